use crate::plan::{Answer, DEFAULT_MAX_PERCENT, Guards, InventoryEntry, Knowledge, LiveView, Occasion, Seen, plan};
use crate::render::Stage;
use drover_crds::DriftPolicy;
use serde_json::json;

use super::*;

fn repository() -> String {
    "h/a".to_owned()
}

fn key(namespace: &str, name: &str) -> Key {
    Key::new(namespace, name)
}

fn object(name: &str) -> ObjectKey {
    ObjectKey { group: String::new(), kind: "Service".into(), namespace: Some("shop".into()), name: name.into() }
}

fn wants(names: &[&str]) -> Arc<[Desired]> {
    let desired = |name: &&str| Desired { key: object(name), hash: "h".into(), stage: Stage::Config };
    names.iter().map(desired).collect()
}

fn commit(digit: char) -> CommitId {
    CommitId::parse(&digit.to_string().repeat(40)).expect("40 digits")
}

fn environment(Key { namespace, name }: &Key, branch: &str, generation: i64, suspend: bool) -> Environment {
    serde_json::from_value(json!({
        "apiVersion": "drover.dev/v1alpha1", "kind": "Environment",
        "metadata": {"namespace": namespace, "name": name, "generation": generation},
        "spec": {"source": {"url": "https://h/a.git", "ref": {"branch": branch}}, "suspend": suspend},
    }))
    .expect("an Environment")
}

/// `a` and `b` of namespace `shop` follow one branch; both were read at commit `1`, where `a` wants `web`.
fn two() -> (Peers, Key, Key) {
    let (mut peers, a, b) = (Peers::default(), key("shop", "a"), key("shop", "b"));
    for each in [&a, &b] {
        peers.note(&environment(each, "prod", 1, false), Some(repository()));
    }
    peers.complete();
    peers.read(&a, (&commit('1'), None), &wants(&["web"]), true);
    peers.read(&b, (&commit('1'), None), &wants(&[]), true);
    (peers, a, b)
}

#[test]
fn a_move_in_one_push_is_handed_over_whoever_is_first() {
    // The one that had it is first.
    let (mut peers, a, b) = two();
    peers.read(&a, (&commit('2'), None), &wants(&[]), true);
    let claim = |peers: &Peers| peers.claim(&a, Some(&commit('2')), &object("web"));
    assert_eq!(claim(&peers), Elsewhere::NotYetKnown("Environment shop/b".into()), "it was not read at this commit");
    peers.read(&b, (&commit('2'), None), &wants(&["web"]), true);
    assert_eq!(claim(&peers), Elsewhere::Wanted("Environment shop/b".into()));
    assert_eq!(peers.claim(&a, Some(&commit('2')), &object("other")), Elsewhere::Nothing);
    // The one that wants it is first.
    let (mut peers, a, b) = two();
    peers.read(&b, (&commit('2'), None), &wants(&["web"]), true);
    let holder = |peers: &Peers| peers.holder(&b, &commit('2'), "env.shop.a", &object("web"));
    assert_eq!(holder(&peers), Some(Elsewhere::NotYetKnown("Environment shop/a".into())));
    peers.read(&a, (&commit('2'), None), &wants(&[]), true);
    assert_eq!(holder(&peers), Some(Elsewhere::LetGo));
    peers.read(&a, (&commit('2'), None), &wants(&["web"]), true);
    assert_eq!(holder(&peers), Some(Elsewhere::Nothing), "both want it");
}

/// One turn of `me`, which follows a folder with the object or without: it is read, planned, and carried out on the one object
/// that there is, uid and owner's label.
fn turn(peers: &mut Peers, me: &Key, has_it: bool, live: &mut (String, String), inventory: &mut Vec<InventoryEntry>) {
    let owner = Owner::of(OwnerKind::Environment, me).label();
    // Something besides, so that no folder is empty.
    let desired = wants(if has_it { &["web"] } else { &[] });
    let own = [Desired { key: object(&me.name), hash: "h".into(), stage: Stage::Config }];
    peers.read(me, (&commit('2'), None), &desired, true);
    let all: Vec<Desired> = desired.iter().chain(&own).cloned().collect();
    let guards = Guards {
        kind: OwnerKind::Environment,
        namespace: me.namespace.clone(),
        name: me.name.clone(),
        owner_label: owner.clone(),
        path: String::new(),
        commit: commit('2').to_string(),
        confirmation: None,
        prune: true,
        max_percent: DEFAULT_MAX_PERCENT,
        drift: DriftPolicy::Correct,
        occasion: Occasion::Commit,
    };
    let look = |key: &ObjectKey| {
        if key.name != "web" {
            return Knowledge::Unknown;
        }
        let other = Some(live.1.as_str()).filter(|label| *label != owner);
        let elsewhere = peers.elsewhere(me, &commit('2'), has_it, other, key).expect("both were noted");
        let (uid, owner_label, applied) = (live.0.clone(), Some(live.1.clone()), Some("h".to_owned()));
        Knowledge::Present(LiveView { uid, applied, owner_label, elsewhere, ..LiveView::default() })
    };
    let plan = plan(&all, look, inventory, &guards).expect("nothing to refuse");
    assert!(plan.prune.is_empty(), "deleted by {}: {:?}", me.name, plan.prune);
    assert_eq!(plan.conflicts().count(), 0, "a conflict is told by {}", me.name);
    if plan.applies().any(|step| step.key.name == "web") {
        live.1 = owner;
    }
    let uid = live.0.clone();
    let seen = |key: &ObjectKey| (key.name == "web").then(|| Answer::Accepted(Seen { uid: uid.clone(), fields: None }));
    if let Some(after) = plan.finished(seen, |_| true).or(plan.write_ahead.clone()) {
        *inventory = after;
    }
}

#[test]
fn in_any_order_of_turns_the_object_stays_what_it_is() {
    for order in 0..1 << 6 {
        let (mut peers, a, b) = two();
        let mut live = ("u1".to_owned(), "env.shop.a".to_owned());
        let web = InventoryEntry { uid: Some("u1".into()), ..InventoryEntry::ahead(object("web")) };
        let mut inventories = [vec![web, InventoryEntry::ahead(object("a"))], vec![InventoryEntry::ahead(object("b"))]];
        for step in 0..6 {
            let [of_a, of_b] = &mut inventories;
            match order >> step & 1 {
                0 => turn(&mut peers, &a, false, &mut live, of_a),
                _ => turn(&mut peers, &b, true, &mut live, of_b),
            }
        }
        // However it began, a few turns later it has changed hands.
        let [of_a, of_b] = &mut inventories;
        for _ in 0..2 {
            turn(&mut peers, &b, true, &mut live, of_b);
            turn(&mut peers, &a, false, &mut live, of_a);
        }
        assert_eq!(live, ("u1".to_owned(), "env.shop.b".to_owned()), "order {order:b}");
        let has_it = |inventory: &[InventoryEntry]| inventory.iter().any(|entry| entry.key.name == "web");
        assert!(!has_it(of_a) && has_it(of_b), "order {order:b}");
    }
}

#[test]
fn before_all_are_known_nobody_judges() {
    let (mut peers, a) = (Peers::default(), key("shop", "a"));
    peers.note(&environment(&a, "prod", 1, false), Some(repository()));
    peers.read(&a, (&commit('1'), None), &wants(&[]), true);
    assert!(matches!(peers.claim(&a, Some(&commit('1')), &object("web")), Elsewhere::NotYetKnown(_)));
    let holder = |peers: &Peers, label| peers.holder(&a, &commit('1'), label, &object("web"));
    assert!(matches!(holder(&peers, "env.shop.b"), Some(Elsewhere::NotYetKnown(_))));
    peers.complete();
    assert_eq!(peers.claim(&a, Some(&commit('1')), &object("web")), Elsewhere::Nothing);
    assert_eq!(holder(&peers, "env.shop.b"), None, "it was deleted, or never seen");
    assert_eq!(holder(&peers, "app.shop.b"), Some(Elsewhere::Nothing), "a child of an app");
    peers.note_illegible(&key("shop", "b"));
    assert_eq!(holder(&peers, "env.shop.b"), Some(Elsewhere::Nothing), "what it wants nobody knows");
}

#[test]
fn who_cannot_be_read_holds_up_its_own_namespace_only() {
    let (mut peers, a, b) = two();
    let stranger = key("other", "c");
    peers.note(&environment(&stranger, "prod", 1, false), Some(repository()));
    let claim = |peers: &Peers| peers.claim(&a, Some(&commit('2')), &object("web"));
    peers.read(&b, (&commit('2'), None), &wants(&[]), true);
    assert_eq!(claim(&peers), Elsewhere::NotYetKnown("Environment other/c".into()));
    peers.unreadable(&stranger, None);
    assert_eq!(claim(&peers), Elsewhere::Nothing);
    peers.unreadable(&b, Some(&commit('3')));
    assert_eq!(claim(&peers), Elsewhere::Nothing, "this commit was read");
    peers.note(&environment(&b, "prod", 2, false), Some(repository()));
    assert_eq!(claim(&peers), Elsewhere::NotYetKnown("Environment shop/b".into()), "its spec is another");
    peers.unreadable(&b, Some(&commit('2')));
    assert_eq!(claim(&peers), Elsewhere::Unreadable("Environment shop/b".into()));
    peers.note(&environment(&b, "prod", 3, true), Some(repository()));
    assert_eq!(claim(&peers), Elsewhere::Nothing, "what is suspended takes nothing");
}

#[test]
fn strangers_neither_keep_an_object_nor_get_it() {
    let (mut peers, a, _) = two();
    let stranger = key("other", "c");
    peers.note(&environment(&stranger, "theirs", 1, false), Some(repository()));
    peers.read(&stranger, (&commit('9'), None), &wants(&["web"]), true);
    peers.read(&key("shop", "b"), (&commit('1'), None), &wants(&[]), true);
    peers.read(&a, (&commit('1'), None), &wants(&[]), true);
    assert_eq!(peers.claim(&a, Some(&commit('1')), &object("web")), Elsewhere::Nothing);
    assert_eq!(peers.holder(&stranger, &commit('9'), "env.shop.a", &object("web")), Some(Elsewhere::Nothing));
}

#[test]
fn what_a_deleted_one_leaves_is_asked_for_too() {
    let (mut peers, a, b) = two();
    peers.note(&environment(&b, "prod", 2, false), Some(repository()));
    peers.gone(&a);
    let claim = |peers: &Peers| peers.claim(&a, None, &object("web"));
    assert_eq!(claim(&peers), Elsewhere::NotYetKnown("Environment shop/b".into()), "its spec is new");
    peers.read(&b, (&commit('2'), None), &wants(&["web"]), true);
    assert_eq!(claim(&peers), Elsewhere::Wanted("Environment shop/b".into()));
    assert_eq!(peers.holder(&b, &commit('2'), "env.shop.a", &object("web")), None);
    peers.forget(&a);
}

#[test]
fn between_branches_of_one_namespace_what_is_known_counts() {
    let (mut peers, a, _) = two();
    let next = key("shop", "next");
    peers.note(&environment(&next, "next", 1, false), Some(repository()));
    peers.read(&key("shop", "b"), (&commit('2'), None), &wants(&[]), true);
    peers.read(&a, (&commit('2'), None), &wants(&[]), true);
    let claim = |peers: &Peers| peers.claim(&a, Some(&commit('2')), &object("web"));
    assert_eq!(claim(&peers), Elsewhere::Nothing, "nobody waits for another branch");
    peers.read(&next, (&commit('7'), None), &wants(&["web"]), true);
    assert_eq!(claim(&peers), Elsewhere::Wanted("Environment shop/next".into()));
    assert_eq!(peers.holder(&next, &commit('7'), "env.shop.a", &object("web")), Some(Elsewhere::LetGo));
}

#[test]
fn who_is_behind_is_asked_once_per_commit() {
    let (mut peers, a, b) = two();
    peers.read(&a, (&commit('2'), None), &wants(&[]), true);
    assert_eq!(peers.behind(&a, &commit('2')), [a.clone(), b]);
    assert!(peers.behind(&a, &commit('2')).is_empty());
}

#[test]
fn whose_folder_is_the_same_wants_the_same_before_its_turn() {
    let tree = |digit: char| TreeId::parse(&digit.to_string().repeat(40)).expect("40 digits");
    let (mut peers, a, b) = two();
    peers.read(&b, (&commit('1'), Some(&tree('b'))), &wants(&["web"]), true);
    peers.read(&a, (&commit('2'), None), &wants(&[]), true);
    let claim = |peers: &Peers| peers.claim(&a, Some(&commit('2')), &object("web"));
    let not_yet = Elsewhere::NotYetKnown("Environment shop/b".into());
    peers.wants_the_same(&b, &commit('2'), &tree('c'));
    assert_eq!(claim(&peers), not_yet, "it was read at another tree since");
    peers.unreadable(&b, Some(&commit('1')));
    peers.wants_the_same(&b, &commit('2'), &tree('b'));
    assert_eq!(claim(&peers), not_yet, "it could not be read");
    peers.read(&b, (&commit('1'), Some(&tree('b'))), &wants(&["web"]), true);
    peers.wants_the_same(&b, &commit('2'), &tree('b'));
    assert_eq!(claim(&peers), Elsewhere::Wanted("Environment shop/b".into()));
    peers.note(&environment(&b, "prod", 2, false), Some(repository()));
    peers.wants_the_same(&b, &commit('2'), &tree('b'));
    assert_eq!(claim(&peers), not_yet, "its spec is another");
}
