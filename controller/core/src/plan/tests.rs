//! What is planned for which state of the cluster, and that applying plans always arrives.

use std::collections::{BTreeMap, BTreeSet};

use drover_crds::{DriftPolicy, OwnerKind};
use proptest::prelude::*;

use super::*;
use crate::render::{Generated, ObjectKey, Stage};

mod ended;
mod generated;
mod moved;

const OURS: &str = "env.shop.prod";
const OTHER: &str = "env.other.prod";
const COMMIT: &str = "1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d";

fn guards() -> Guards {
    Guards {
        kind: OwnerKind::Environment,
        namespace: "shop".into(),
        name: "prod".into(),
        path: "deploy".into(),
        owner_label: OURS.into(),
        commit: COMMIT.into(),
        confirmation: None,
        prune: true,
        max_percent: DEFAULT_MAX_PERCENT,
        drift: DriftPolicy::Correct,
        occasion: Occasion::Commit,
    }
}

fn confirmed() -> Guards {
    Guards { confirmation: Some(COMMIT.into()), ..guards() }
}

fn of_kind(group: &str, kind: &str, name: &str) -> ObjectKey {
    let namespace = (kind != "Namespace" && kind != "CustomResourceDefinition").then(|| "shop".to_owned());
    ObjectKey { group: group.into(), kind: kind.into(), namespace, name: name.into() }
}

fn key(name: &str) -> ObjectKey {
    of_kind("", "ConfigMap", name)
}

fn wanted(key: ObjectKey, hash: &str) -> Desired {
    Desired { stage: Stage::of_key(&key), key, hash: hash.into() }
}

fn entry(key: ObjectKey) -> InventoryEntry {
    InventoryEntry { key, uid: Some("u1".into()), fields: Some(7), ended: None }
}

fn live() -> LiveView {
    LiveView {
        uid: "u1".into(),
        applied: Some("h1".into()),
        fields: Some(7),
        owner_label: Some(OURS.into()),
        deleting: false,
        prune_disabled: false,
        generated: Generated::default(),
        ended: None,
        elsewhere: Elsewhere::Nothing,
    }
}

/// The action for one wanted object with hash `h1`.
fn action(knowledge: &Knowledge, recorded: Option<InventoryEntry>, guards: &Guards) -> Action {
    let inventory: Vec<_> = recorded.into_iter().collect();
    let plan = plan(&[wanted(key("a"), "h1")], |_| knowledge.clone(), &inventory, guards).expect("not refused");
    plan.steps().next().expect("one step").action.clone()
}

fn present(change: impl FnOnce(&mut LiveView)) -> Knowledge {
    let mut view = live();
    change(&mut view);
    Knowledge::Present(view)
}

fn apply(force: bool, why: Why) -> Action {
    Action::Apply { force, why }
}

#[test]
fn what_is_live_as_last_sent_is_kept() {
    assert_eq!(action(&present(|_| {}), Some(entry(key("a"))), &guards()), Action::Keep);
}

#[test]
fn a_first_apply_takes_nothing_over() {
    assert_eq!(action(&Knowledge::Absent, None, &guards()), apply(false, Why::New));
    let somebodys = present(|view| (view.owner_label, view.applied, view.uid) = (None, None, "u2".into()));
    assert_eq!(action(&somebodys, None, &guards()), apply(false, Why::New));
    let ahead = InventoryEntry::ahead(key("a"));
    assert_eq!(action(&Knowledge::Absent, Some(ahead.clone()), &guards()), apply(false, Why::New));
    assert_eq!(action(&somebodys, Some(ahead), &guards()), apply(false, Why::New));
    assert_eq!(
        action(&somebodys, Some(entry(key("a"))), &guards()),
        apply(false, Why::New),
        "made anew by somebody else"
    );
}

#[test]
fn an_apply_that_nobody_saw_the_answer_of_is_ours_by_its_label() {
    let sent = present(|view| view.applied = Some("h0".into()));
    assert_eq!(action(&sent, Some(InventoryEntry::ahead(key("a"))), &guards()), apply(true, Why::Changed));
}

#[test]
fn what_cannot_be_asked_is_sent_without_force() {
    assert_eq!(action(&Knowledge::Unknown, Some(entry(key("a"))), &guards()), apply(false, Why::Unknown));
}

#[test]
fn drift_is_put_back_reported_or_ignored_as_the_policy_says() {
    let on_watch = |drift| Guards { drift, occasion: Occasion::Watch, ..guards() };
    let drifted = [
        present(|view| view.fields = Some(8)),
        present(|view| view.fields = None),
        present(|view| view.owner_label = None),
        present(|view| view.applied = Some("touched".into())),
        Knowledge::Absent,
    ];
    for knowledge in drifted {
        let of = |guards: &Guards| action(&knowledge, Some(entry(key("a"))), guards);
        let force = knowledge != Knowledge::Absent;
        assert_eq!(of(&on_watch(DriftPolicy::Correct)), apply(force, Why::Drifted), "{knowledge:?}");
        assert_eq!(of(&on_watch(DriftPolicy::Report)), Action::Drifted, "{knowledge:?}");
        assert_eq!(of(&on_watch(DriftPolicy::Ignore)), Action::Keep, "{knowledge:?}");
        for drift in [DriftPolicy::Correct, DriftPolicy::Report, DriftPolicy::Ignore] {
            let at_next_commit = of(&Guards { drift, ..guards() });
            assert!(matches!(at_next_commit, Action::Apply { .. }), "{knowledge:?}: {at_next_commit:?}");
        }
    }
}

#[test]
fn drift_that_is_left_alone_is_not_forgotten() {
    for drift in [DriftPolicy::Report, DriftPolicy::Ignore] {
        let guards = Guards { drift, occasion: Occasion::Watch, ..guards() };
        let knowledge = present(|view| view.fields = Some(8));
        let plan = plan(&[wanted(key("a"), "h1")], |_| knowledge.clone(), &[entry(key("a"))], &guards).expect("a plan");
        assert!(plan.is_empty(), "the record of what we held stays: {plan:?}");
    }
}

#[test]
fn an_object_of_another_owner_is_a_conflict_and_stops_removals() {
    let theirs = |view: &mut LiveView| view.owner_label = Some(OTHER.into());
    let inventory = [entry(key("a")), entry(key("b")), entry(key("c"))];
    let desired = [wanted(key("a"), "h1"), wanted(key("b"), "h1")];
    let answer = |key: &ObjectKey| if key.name == "a" { present(theirs) } else { present(|_| {}) };
    let plan = plan(&desired, answer, &inventory, &guards()).expect("a plan");
    let conflicts: Vec<String> = plan.conflicts().map(ToString::to_string).collect();
    assert_eq!(
        conflicts,
        ["ConfigMap shop/a is applied by Environment other/prod, so it was not touched: remove it from one of the two"]
    );
    assert_eq!(plan.prune, []);
    assert_eq!(plan.held, [Held { key: key("c"), why: HeldBecause::Conflicts }]);
}

#[test]
fn an_object_that_is_being_deleted_is_awaited() {
    assert_eq!(action(&present(|view| view.deleting = true), Some(entry(key("a"))), &guards()), Action::Await);
}

#[test]
fn stages_come_in_order_and_removals_in_reverse() {
    let deployment = |name| of_kind("apps", "Deployment", name);
    let webhook = of_kind("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", "old");
    let desired = [
        wanted(deployment("a"), "h1"),
        wanted(key("a"), "h1"),
        wanted(of_kind("", "Namespace", "x"), "h1"),
        wanted(key("b"), "h1"),
    ];
    let inventory = [
        entry(key("old")),
        entry(deployment("old")),
        entry(webhook.clone()),
        entry(key("a")),
        entry(key("b")),
        entry(deployment("a")),
    ];
    let plan = plan(&desired, |_| present(|_| {}), &inventory, &guards()).expect("a plan");
    let stages: Vec<Stage> = plan.stages.iter().map(|(stage, _)| *stage).collect();
    assert_eq!(stages, [Stage::Definitions, Stage::Config, Stage::Workloads]);
    let pruned: Vec<&ObjectKey> = plan.prune.iter().map(|removal| &removal.key).collect();
    assert_eq!(pruned, [&webhook, &deployment("old"), &key("old")]);
}

/// What becomes of `old`, which left git, next to three objects that stay.
fn leaves(old: &ObjectKey, knowledge: &Knowledge, guards: &Guards) -> Plan {
    let stay = [key("a"), key("b"), key("c")];
    let desired = stay.clone().map(|key| wanted(key, "h1"));
    let inventory: Vec<_> = stay.into_iter().chain([old.clone()]).map(entry).collect();
    let answer = |key: &ObjectKey| if key == old { knowledge.clone() } else { present(|_| {}) };
    plan(&desired, answer, &inventory, guards).expect("not refused")
}

/// Whether `old` is in the inventory after the plan was carried out.
fn remembered(plan: &Plan, old: &ObjectKey) -> bool {
    plan.finished(|_| None, |_| true).is_none_or(|after| after.iter().any(|entry| entry.key == *old))
}

#[test]
fn what_left_git_is_deleted_with_its_uid() {
    let old = key("old");
    let plan = leaves(&old, &present(|view| view.uid = "u1".into()), &guards());
    assert_eq!(plan.prune, [Removal { key: old.clone(), uid: "u1".into() }]);
    assert!(!remembered(&plan, &old));
    assert!(plan.finished(|_| None, |_| false).is_none(), "a deletion that failed is tried again");
}

#[test]
fn what_is_not_ours_gone_or_protected_is_forgotten_and_left() {
    let old = key("old");
    let cases = [
        Knowledge::Absent,
        present(|view| view.owner_label = Some(OTHER.into())),
        present(|view| (view.owner_label, view.uid) = (None, "u2".into())),
        present(|view| view.deleting = true),
        present(|view| view.prune_disabled = true),
    ];
    for knowledge in cases {
        let plan = leaves(&old, &knowledge, &guards());
        assert_eq!((plan.prune.len(), plan.held.len()), (0, 0), "{knowledge:?}");
        assert!(!remembered(&plan, &old), "{knowledge:?}");
    }
    let off = leaves(&old, &present(|_| {}), &Guards { prune: false, ..guards() });
    assert!(off.prune.is_empty() && !remembered(&off, &old));
    let own = of_kind("", "Namespace", "shop");
    let plan = leaves(&own, &present(|_| {}), &confirmed());
    assert!(plan.prune.is_empty() && !remembered(&plan, &own), "the Environment's own namespace");
}

#[test]
fn an_object_that_lost_its_label_is_still_ours_by_its_uid() {
    let plan = leaves(&key("old"), &present(|view| view.owner_label = None), &guards());
    assert_eq!(plan.prune.len(), 1);
}

#[test]
fn what_cannot_be_asked_is_never_deleted_nor_forgotten() {
    let old = key("old");
    for guards in [guards(), confirmed()] {
        let plan = leaves(&old, &Knowledge::Unknown, &guards);
        assert_eq!(plan.held, [Held { key: old.clone(), why: HeldBecause::CannotAsk }]);
        assert!(plan.prune.is_empty() && remembered(&plan, &old));
    }
}

#[test]
fn what_takes_more_with_it_is_deleted_only_when_confirmed() {
    for (group, kind) in [
        ("", "Namespace"),
        ("", "PersistentVolumeClaim"),
        ("", "PersistentVolume"),
        ("apiextensions.k8s.io", "CustomResourceDefinition"),
    ] {
        let old = of_kind(group, kind, "old");
        let plan = leaves(&old, &present(|_| {}), &guards());
        assert!(plan.prune.is_empty() && remembered(&plan, &old), "{kind}");
        let sentence = plan.held[0].to_string();
        let command =
            format!("kubectl annotate environment prod --namespace shop --overwrite drover.dev/confirm-prune={COMMIT}");
        assert!(sentence.contains(&command) && sentence.contains("drover.dev/prune=disabled"), "{sentence}");
        assert_eq!(leaves(&old, &present(|_| {}), &confirmed()).prune.len(), 1, "{kind}");
    }
}

/// A plan in which `gone` of `all` objects left git, and one came.
fn removal(gone: usize, all: usize, guards: &Guards) -> Result<Plan, Refusal> {
    let keys: Vec<ObjectKey> = (0..all).map(|i| key(&format!("o{i}"))).collect();
    let mut desired: Vec<Desired> = keys[gone..].iter().map(|key| wanted(key.clone(), "h1")).collect();
    desired.push(wanted(key("new"), "h1"));
    let inventory: Vec<_> = keys.into_iter().map(entry).collect();
    plan(&desired, |_| present(|_| {}), &inventory, guards)
}

#[test]
fn a_mass_removal_needs_a_confirmation() {
    assert!(removal(2, 3, &guards()).is_ok(), "fewer than three");
    assert!(removal(5, 10, &guards()).is_ok(), "half");
    assert!(removal(0, 0, &guards()).is_ok());
    let refusal = removal(6, 10, &guards()).expect_err("more than half");
    assert_eq!(
        refusal.to_string(),
        format!(
            "commit 1a2b3c4d5e6f would remove 6 of 10 applied objects (ConfigMap shop/o0, ConfigMap shop/o1, ConfigMap \
             shop/o2, …), more than spec.prune.maxFraction of 50% allows, so nothing was changed: bring them back in git, or \
             confirm with `kubectl annotate environment prod --namespace shop --overwrite drover.dev/confirm-prune={COMMIT}`"
        )
    );
    assert!(removal(1, 1, &guards()).is_err(), "all of them");
    assert!(removal(6, 10, &confirmed()).is_ok());
    assert!(removal(6, 10, &Guards { max_percent: 60, ..guards() }).is_ok());
    assert!(removal(3, 10, &Guards { max_percent: 0, ..guards() }).is_err());
    assert!(removal(10, 10, &Guards { prune: false, ..guards() }).is_ok(), "nothing is deleted");
}

#[test]
fn an_empty_commit_is_refused_until_confirmed() {
    let inventory = [entry(key("a")), entry(key("b"))];
    for guards in [guards(), Guards { prune: false, ..guards() }, Guards { max_percent: 100, ..guards() }] {
        let refusal = plan(&[], |_| present(|_| {}), &inventory, &guards).expect_err("empty");
        let sentence = refusal.to_string();
        assert!(
            sentence.starts_with("commit 1a2b3c4d5e6f contains no objects in the path deploy while 2 are applied"),
            "{sentence}"
        );
    }
    assert_eq!(plan(&[], |_| present(|_| {}), &inventory, &confirmed()).expect("confirmed").prune.len(), 2);
    let nothing =
        plan(&[], |_| Knowledge::Absent, &[], &guards()).expect_err("a path that leads nowhere is no success");
    assert!(nothing.to_string().contains("no objects in the path deploy, so there is nothing to apply"), "{nothing}");
    assert!(plan(&[], |_| Knowledge::Absent, &[], &confirmed()).expect("as a person confirmed").is_empty());
}

#[test]
fn nothing_is_written_when_nothing_changes() {
    let plan = plan(&[wanted(key("a"), "h1")], |_| present(|_| {}), &[entry(key("a"))], &guards()).expect("a plan");
    assert!(plan.is_empty());
    assert_eq!(plan.write_ahead, None);
}

#[test]
fn an_inventory_that_was_lost_grows_back() {
    let plan = plan(&[wanted(key("a"), "h1")], |_| present(|_| {}), &[], &guards()).expect("a plan");
    assert_eq!(plan.applies().count(), 0);
    assert_eq!(plan.write_ahead, Some(vec![InventoryEntry::ahead(key("a"))]));
    assert_eq!(plan.finished(|_| None, |_| true), Some(vec![entry(key("a"))]));
}

#[test]
fn what_was_refused_is_not_remembered() {
    let role = of_kind("rbac.authorization.k8s.io", "ClusterRole", "r");
    let later = of_kind("apps", "Deployment", "later");
    let lost = key("lost");
    let desired = [&key("a"), &role, &later, &lost].map(|key| wanted(key.clone(), "h1"));
    let refused = plan(&desired, |_| Knowledge::Absent, &[], &guards()).expect("a plan");
    assert_eq!(refused.write_ahead.as_ref().map(Vec::len), Some(4));
    let seen = Seen { uid: "u1".into(), fields: Some(7) };
    let answered = |key: &ObjectKey| match key {
        key if *key == role => Some(Answer::Refused),
        key if *key == later => None, // its stage never began
        key if *key == lost => Some(Answer::Unknown),
        _ => Some(Answer::Accepted(seen.clone())),
    };
    let stored = refused.finished(answered, |_| false).expect("it differs from what was written ahead");
    assert_eq!(stored, [entry(key("a")), InventoryEntry::ahead(lost.clone())]);

    // What was in the record before stays in it, whatever is refused now.
    let before = [entry(key("a")), InventoryEntry::ahead(role.clone())];
    let again = plan(&desired, |_| Knowledge::Unknown, &before, &guards()).expect("a plan");
    let stored = again.finished(|_| Some(Answer::Refused), |_| false).expect("what is new was refused");
    assert_eq!(stored, before);
}

#[test]
fn what_was_perhaps_never_made_counts_in_no_guard_and_is_not_held() {
    let roles = ["r1", "r2", "r3"].map(|name| of_kind("rbac.authorization.k8s.io", "ClusterRole", name));
    let ahead = roles.clone().map(InventoryEntry::ahead);
    let inventory: Vec<_> = [entry(key("a"))].into_iter().chain(ahead.clone()).collect();
    let answer = |key: &ObjectKey| if roles.contains(key) { Knowledge::Unknown } else { present(|_| {}) };
    let plan_of = |desired: &[Desired], inventory: &[InventoryEntry]| plan(desired, answer, inventory, &guards());
    let plan = plan_of(&[wanted(key("a"), "h1")], &inventory).expect("three of four, and none of them known");
    assert!(plan.held.is_empty() && plan.is_empty(), "{plan:?}");
    assert!(roles.iter().all(|role| remembered(&plan, role)), "it may be there all the same");

    let refusal = plan_of(&[], &ahead).expect_err("no objects").to_string();
    assert!(refusal.contains("so there is nothing to apply"), "{refusal}");
    let refusal = plan_of(&[wanted(key("b"), "h1")], &inventory).expect_err("the one that is applied").to_string();
    assert!(refusal.contains("would remove 1 of 1 applied objects"), "{refusal}");
}

#[test]
fn an_entry_is_compact() {
    let text = serde_json::to_string(&InventoryEntry::ahead(key("a"))).expect("JSON");
    assert_eq!(text, r#"{"kind":"ConfigMap","namespace":"shop","name":"a"}"#);
    let full = entry(of_kind("apps", "Deployment", "web"));
    let back: InventoryEntry = serde_json::from_str(&serde_json::to_string(&full).expect("JSON")).expect("an entry");
    assert_eq!(back, full);
}

// A cluster that does what it is told, with another owner and a person beside us.

#[derive(Clone, Debug, Default)]
struct Cluster {
    objects: BTreeMap<ObjectKey, LiveView>,
    created: u32,
}

impl Cluster {
    fn apply(&mut self, desired: &Desired, force: bool) -> Option<Seen> {
        let uid = format!("new{}", self.created);
        let object = self.objects.entry(desired.key.clone()).or_insert_with(|| {
            self.created += 1;
            LiveView { uid, ..LiveView::default() }
        });
        let theirs = object.owner_label.as_deref().is_some_and(|label| label != OURS);
        assert!(!(theirs && force), "taken from another owner: {}", desired.key);
        if theirs {
            return None;
        }
        object.owner_label = Some(OURS.into());
        object.applied = Some(desired.hash.clone());
        object.fields = Some(u64::from(desired.hash.as_bytes()[1]));
        Some(Seen { uid: object.uid.clone(), fields: object.fields })
    }

    /// Carries a plan out; of the applies in `failing` some are refused, and of the others the answer is lost. Returns the
    /// inventory that is stored afterwards.
    fn carry_out(
        &mut self,
        plan: &Plan,
        desired: &[Desired],
        inventory: Vec<InventoryEntry>,
        failing: &BTreeSet<ObjectKey>,
    ) -> Vec<InventoryEntry> {
        let ahead = plan.write_ahead.clone().unwrap_or(inventory);
        let mut answers = BTreeMap::new();
        for step in plan.applies() {
            let Action::Apply { force, .. } = step.action else { continue };
            assert!(ahead.iter().any(|entry| entry.key == step.key), "not written ahead: {}", step.key);
            let object = desired.iter().find(|object| object.key == step.key).expect("only wanted objects are applied");
            let refused = failing.contains(&step.key) && step.key.name.as_str() < "o3";
            let answer = match if refused { None } else { self.apply(object, force) } {
                Some(_) if failing.contains(&step.key) => Answer::Unknown,
                Some(seen) => Answer::Accepted(seen),
                None => Answer::Refused,
            };
            answers.insert(step.key.clone(), answer);
        }
        let all_applied = answers.values().all(|answer| matches!(answer, Answer::Accepted(_)));
        for removal in plan.prune.iter().filter(|_| all_applied) {
            assert!(desired.iter().all(|object| object.key != removal.key), "wanted, and deleted: {}", removal.key);
            let object = self.objects.remove(&removal.key).expect("only what is there is deleted");
            assert_eq!(object.uid, removal.uid);
            assert_ne!(object.owner_label.as_deref(), Some(OTHER), "deleted from another owner");
        }
        plan.finished(|key| answers.get(key).cloned(), |_| all_applied).unwrap_or(ahead)
    }
}

fn any_key() -> impl Strategy<Value = ObjectKey> {
    (0..4usize, 0..6usize).prop_map(|(kind, name)| {
        let (group, kind) = [("", "ConfigMap"), ("apps", "Deployment"), ("", "Namespace"), ("", "Service")][kind];
        of_kind(group, kind, &format!("o{name}"))
    })
}

fn any_desired() -> impl Strategy<Value = Vec<Desired>> {
    prop::collection::btree_map(any_key(), 1..4u8, 0..12)
        .prop_map(|all| all.into_iter().map(|(key, hash)| wanted(key, &format!("h{hash}"))).collect())
}

fn any_live() -> impl Strategy<Value = LiveView> {
    let owner = prop::option::of(prop::sample::select(vec![OURS.to_owned(), OTHER.to_owned()]));
    (1..4u8, prop::option::of(1..4u8), prop::option::of(48..52u64), owner, any::<bool>()).prop_map(
        |(uid, applied, fields, owner_label, prune_disabled)| LiveView {
            uid: format!("u{uid}"),
            applied: applied.map(|hash| format!("h{hash}")),
            fields,
            owner_label,
            deleting: false,
            prune_disabled,
            generated: Generated::default(),
            ended: None,
            elsewhere: Elsewhere::Nothing,
        },
    )
}

fn any_inventory() -> impl Strategy<Value = Vec<InventoryEntry>> {
    prop::collection::btree_map(any_key(), (prop::option::of(1..4u8), prop::option::of(48..52u64)), 0..12).prop_map(
        |all| {
            let entries = all.into_iter().map(|(key, (uid, fields))| InventoryEntry {
                key,
                uid: uid.map(|uid| format!("u{uid}")),
                fields,
                ended: None,
            });
            entries.collect()
        },
    )
}

proptest! {
    #[test]
    fn carrying_out_plans_arrives_and_then_rests(
        desired in any_desired(),
        objects in prop::collection::btree_map(any_key(), any_live(), 0..12),
        inventory in any_inventory(),
        failing in prop::collection::btree_set(any_key(), 0..3),
        confirm: bool,
    ) {
        let before = objects.clone();
        let mut cluster = Cluster { objects, created: 0 };
        let guards = if confirm { confirmed() } else { guards() };
        let ask = |cluster: &Cluster, key: &ObjectKey| {
            cluster.objects.get(key).cloned().map_or(Knowledge::Absent, Knowledge::Present)
        };

        // A first round in which some applies fail, then one in which none does.
        let Ok(first) = plan(&desired, |key| ask(&cluster, key), &inventory, &guards) else {
            prop_assert!(!confirm, "a confirmed plan is never refused");
            return Ok(());
        };
        let recorded: BTreeSet<ObjectKey> = inventory.iter().map(|entry| entry.key.clone()).collect();
        let stored = cluster.carry_out(&first, &desired, inventory, &failing);
        for (key, object) in &cluster.objects {
            let new = !before.contains_key(key) && object.owner_label.as_deref() == Some(OURS);
            prop_assert!(!new || stored.iter().any(|entry| entry.key == *key), "exists and is not in the inventory: {key}");
        }
        for entry in stored.iter().filter(|entry| !recorded.contains(&entry.key)) {
            prop_assert!(cluster.objects.contains_key(&entry.key), "was never made and is in the inventory: {}", entry.key);
        }
        let Ok(second) = plan(&desired, |key| ask(&cluster, key), &stored, &guards) else { return Ok(()) };
        let stored = cluster.carry_out(&second, &desired, stored, &BTreeSet::new());

        let third = plan(&desired, |key| ask(&cluster, key), &stored, &guards).expect("what was carried out is not refused");
        prop_assert!(third.is_empty(), "not at rest: {third:?}");
        for object in &desired {
            let live = cluster.objects.get(&object.key).expect("every wanted object exists");
            let theirs = live.owner_label.as_deref() == Some(OTHER);
            prop_assert!(theirs || live.applied.as_deref() == Some(object.hash.as_str()), "{}", object.key);
        }
    }

    #[test]
    fn without_an_answer_nothing_is_ever_deleted_or_forgotten(
        desired in any_desired(),
        inventory in any_inventory(),
    ) {
        if let Ok(plan) = plan(&desired, |_| Knowledge::Unknown, &inventory, &confirmed()) {
            prop_assert!(plan.prune.is_empty());
            let after = plan.finished(|_| None, |_| true).or(plan.write_ahead.clone()).unwrap_or(inventory.clone());
            for entry in &inventory {
                prop_assert!(after.contains(entry), "{}", entry.key);
            }
        }
    }
}
