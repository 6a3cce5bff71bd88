//! What the Environments want of each other's objects, so that an object which moves between two of them is handed over and not
//! deleted and made anew. Pure but for the lock: who was read at which commit comes in, answers go out.
//!
//! An object moves in one push when it leaves one Environment's folder and appears in another's, and nobody orders the two turns. So
//! neither judges before the other was read at the same commit: the one that had it does not delete what the other wants, and the
//! one that wants it takes it over once the first does not. Only Environments that can be trusted to mean it are heard: those of the
//! same namespace, and those that follow the same branch of the same repository. Others could keep objects from being deleted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use drover_core::plan::{Desired, Elsewhere};
use drover_core::render::ObjectKey;
use drover_crds::{Environment, Key, Owner, OwnerKind, Reference};

use crate::git::CommitId;
use crate::git::webhook::webhook_id;
use crate::unpoisoned;

/// All Environments, as far as the others' plans need them.
#[derive(Default)]
pub(super) struct Peers {
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    /// Whether all Environments that exist are in here.
    complete: bool,
    peers: BTreeMap<Key, Peer>,
    /// What those followed that are gone, and whose objects are being looked after.
    gone: BTreeMap<Key, Source>,
}

struct Peer {
    generation: Option<i64>,
    label: String,
    source: Source,
    suspended: bool,
    read: Option<Read>,
    failed: Option<Failed>,
    /// The commit that its repository was asked for because another Environment saw it first.
    nudged: Option<CommitId>,
}

/// What is followed: the repository under whatever address, and the reference.
type Source = (Option<String>, Reference);

/// The last commit whose objects are known.
struct Read {
    commit: CommitId,
    wants: Arc<[Desired]>,
}

/// Why nothing newer is known.
#[derive(PartialEq, Eq)]
enum Failed {
    /// No commit can be had.
    Fetch,
    /// This one cannot be used.
    At(CommitId),
}

/// How far an Environment was read, seen from one that is at a certain commit.
enum Sight<'a> {
    Known(&'a [Desired]),
    NotYet,
    Never,
}

impl Peer {
    fn at(&self, commit: &CommitId) -> Sight<'_> {
        match (&self.read, &self.failed) {
            (Some(read), _) if read.commit == *commit => Sight::Known(&read.wants),
            (_, Some(Failed::Fetch)) => Sight::Never,
            (_, Some(Failed::At(failed))) if failed == commit => Sight::Never,
            _ => Sight::NotYet,
        }
    }

    /// Its newest known state, whatever the commit.
    fn newest(&self) -> Sight<'_> {
        match (&self.read, &self.failed) {
            (Some(read), _) => Sight::Known(&read.wants),
            (None, Some(_)) => Sight::Never,
            (None, None) => Sight::NotYet,
        }
    }
}

fn holds(wants: &[Desired], object: &ObjectKey) -> bool {
    wants.iter().any(|wanted| wanted.key == *object)
}

fn named(key: &Key) -> String {
    Owner::of(OwnerKind::Environment, key).to_string()
}

impl Peers {
    /// Notes an Environment that exists, as its spec is now.
    pub(super) fn note(&self, environment: &Environment) {
        let key = Key::of(&environment.metadata);
        let source = &environment.spec.source;
        let generation = environment.metadata.generation;
        let suspended = environment.spec.suspend == Some(true);
        let mut known = self.known();
        match known.peers.get_mut(&key) {
            // What was read of another spec says nothing about this one.
            Some(peer) if peer.generation == generation => {}
            _ => {
                let peer = Peer {
                    generation,
                    label: Owner::of(OwnerKind::Environment, &key).label(),
                    source: (webhook_id(&source.url), source.reference.clone()),
                    suspended,
                    read: None,
                    failed: None,
                    nudged: None,
                };
                known.peers.insert(key, peer);
            }
        }
    }

    /// Notes an Environment that exists and cannot be read: of what it has nothing is taken.
    pub(super) fn note_illegible(&self, key: &Key) {
        self.known().peers.entry(key.clone()).or_insert_with(|| Peer {
            generation: None,
            label: Owner::of(OwnerKind::Environment, key).label(),
            source: (None, Reference::default()),
            suspended: false,
            read: None,
            failed: Some(Failed::Fetch),
            nudged: None,
        });
    }

    /// All Environments that exist were noted.
    pub(super) fn complete(&self) {
        self.known().complete = true;
    }

    /// An Environment is gone; what it leaves is looked after next.
    pub(super) fn gone(&self, key: &Key) {
        let mut known = self.known();
        if let Some(peer) = known.peers.remove(key) {
            known.gone.insert(key.clone(), peer.source);
        }
    }

    /// What an Environment left was looked after.
    pub(super) fn forget(&self, key: &Key) {
        self.known().gone.remove(key);
    }

    /// What an Environment wants at a commit.
    pub(super) fn read(&self, key: &Key, commit: &CommitId, wants: &Arc<[Desired]>, current: bool) {
        if let Some(peer) = self.known().peers.get_mut(key) {
            peer.read = Some(Read { commit: commit.clone(), wants: wants.clone() });
            peer.failed = if current { None } else { Some(Failed::Fetch) };
        }
    }

    /// What an Environment wants cannot be known: of that commit, or at all.
    pub(super) fn unreadable(&self, key: &Key, commit: Option<&CommitId>) {
        if let Some(peer) = self.known().peers.get_mut(key) {
            peer.failed = Some(commit.map_or(Failed::Fetch, |commit| Failed::At(commit.clone())));
        }
    }

    /// What the others have to do with an object that `me`, which is at `commit`, wants or wanted, and that carries the label of the
    /// owner `other`, where that is not `me`. `None` when that is an Environment that was not noted.
    pub(super) fn elsewhere(
        &self,
        me: &Key,
        commit: &CommitId,
        wanted: bool,
        other: Option<&str>,
        object: &ObjectKey,
    ) -> Option<Elsewhere> {
        match (wanted, other) {
            (true, Some(label)) => self.holder(me, commit, label, object),
            (false, None) => Some(self.claim(me, Some(commit), object)),
            (true, None) | (false, Some(_)) => Some(Elsewhere::Nothing),
        }
    }

    /// Who else wants an object that is no longer wanted by `me`, which is at `commit`, or was deleted.
    pub(super) fn claim(&self, me: &Key, commit: Option<&CommitId>, object: &ObjectKey) -> Elsewhere {
        let known = self.known();
        if !known.complete {
            return Elsewhere::NotYetKnown("the other Environments".to_owned());
        }
        let source = known.peers.get(me).map(|peer| &peer.source).or_else(|| known.gone.get(me));
        let (mut not_yet, mut never) = (None, None);
        for (key, peer) in known.peers.iter().filter(|(key, peer)| *key != me && !peer.suspended) {
            let twin = source == Some(&peer.source);
            let sight = match commit.filter(|_| twin) {
                Some(commit) => peer.at(commit),
                None if key.namespace == me.namespace || twin => peer.newest(),
                None => continue,
            };
            match sight {
                Sight::Known(wants) if holds(wants, object) => return Elsewhere::Wanted(named(key)),
                Sight::Known(_) => {}
                Sight::NotYet => not_yet = not_yet.or_else(|| twin.then(|| named(key))),
                // Another namespace's trouble is not this one's.
                Sight::Never => never = never.or_else(|| (twin && key.namespace == me.namespace).then(|| named(key))),
            }
        }
        match (not_yet, never) {
            (Some(by), _) => Elsewhere::NotYetKnown(by),
            (None, Some(by)) => Elsewhere::Unreadable(by),
            (None, None) => Elsewhere::Nothing,
        }
    }

    /// What the owner with that label has to do with an object that carries it and that `me`, which is at `commit`, wants;
    /// `None` when it is an Environment that was not noted.
    fn holder(&self, me: &Key, commit: &CommitId, label: &str, object: &ObjectKey) -> Option<Elsewhere> {
        // What is a child of an app is nobody else's, also when the app is gone.
        if Owner::parse(label).is_none_or(|owner| owner.kind() != OwnerKind::Environment) {
            return Some(Elsewhere::Nothing);
        }
        let known = self.known();
        if !known.complete {
            return Some(Elsewhere::NotYetKnown("the other Environments".to_owned()));
        }
        let (key, peer) = known.peers.iter().find(|(_, peer)| peer.label == label)?;
        let twin = known.peers.get(me).is_some_and(|mine| mine.source == peer.source);
        if peer.suspended || !twin && key.namespace != me.namespace {
            return Some(Elsewhere::Nothing);
        }
        Some(match if twin { peer.at(commit) } else { peer.newest() } {
            Sight::Known(wants) if !holds(wants, object) => Elsewhere::LetGo,
            Sight::Known(_) | Sight::Never => Elsewhere::Nothing,
            Sight::NotYet => Elsewhere::NotYetKnown(named(key)),
        })
    }

    /// The Environments that follow the same as `me` and were not seen at `commit` yet, each once per commit: their repositories are
    /// to be asked now, because with a credential of their own that may be an hour from now.
    pub(super) fn behind(&self, me: &Key, commit: &CommitId) -> Vec<Key> {
        let mut known = self.known();
        let Some(source) = known.peers.get(me).map(|peer| peer.source.clone()) else { return Vec::new() };
        let mut behind = Vec::new();
        for (key, peer) in &mut known.peers {
            let not_yet = key == me || !peer.suspended && matches!(peer.at(commit), Sight::NotYet);
            if peer.source == source && not_yet && peer.nudged.as_ref() != Some(commit) {
                peer.nudged = Some(commit.clone());
                behind.push(key.clone());
            }
        }
        behind
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        unpoisoned::lock(&self.known)
    }
}

#[cfg(test)]
mod tests {
    use drover_core::plan::{
        Answer, DEFAULT_MAX_PERCENT, Guards, InventoryEntry, Knowledge, LiveView, Occasion, Seen, plan,
    };
    use drover_core::render::Stage;
    use drover_crds::DriftPolicy;
    use serde_json::json;

    use super::*;

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
        let (peers, a, b) = (Peers::default(), key("shop", "a"), key("shop", "b"));
        for each in [&a, &b] {
            peers.note(&environment(each, "prod", 1, false));
        }
        peers.complete();
        peers.read(&a, &commit('1'), &wants(&["web"]), true);
        peers.read(&b, &commit('1'), &wants(&[]), true);
        (peers, a, b)
    }

    #[test]
    fn a_move_in_one_push_is_handed_over_whoever_is_first() {
        // The one that had it is first.
        let (peers, a, b) = two();
        peers.read(&a, &commit('2'), &wants(&[]), true);
        let claim = || peers.claim(&a, Some(&commit('2')), &object("web"));
        assert_eq!(claim(), Elsewhere::NotYetKnown("Environment shop/b".into()), "it was not read at this commit");
        peers.read(&b, &commit('2'), &wants(&["web"]), true);
        assert_eq!(claim(), Elsewhere::Wanted("Environment shop/b".into()));
        assert_eq!(peers.claim(&a, Some(&commit('2')), &object("other")), Elsewhere::Nothing);
        // The one that wants it is first.
        let (peers, a, b) = two();
        peers.read(&b, &commit('2'), &wants(&["web"]), true);
        let holder = || peers.holder(&b, &commit('2'), "env.shop.a", &object("web"));
        assert_eq!(holder(), Some(Elsewhere::NotYetKnown("Environment shop/a".into())));
        peers.read(&a, &commit('2'), &wants(&[]), true);
        assert_eq!(holder(), Some(Elsewhere::LetGo));
        peers.read(&a, &commit('2'), &wants(&["web"]), true);
        assert_eq!(holder(), Some(Elsewhere::Nothing), "both want it");
    }

    /// One turn of `me`, which follows a folder with the object or without: it is read, planned, and carried out on the one object
    /// that there is, uid and owner's label.
    fn turn(peers: &Peers, me: &Key, has_it: bool, live: &mut (String, String), inventory: &mut Vec<InventoryEntry>) {
        let owner = Owner::of(OwnerKind::Environment, me).label();
        // Something besides, so that no folder is empty.
        let desired = wants(if has_it { &["web"] } else { &[] });
        let own = [Desired { key: object(&me.name), hash: "h".into(), stage: Stage::Config }];
        peers.read(me, &commit('2'), &desired, true);
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
        let seen =
            |key: &ObjectKey| (key.name == "web").then(|| Answer::Accepted(Seen { uid: uid.clone(), fields: None }));
        if let Some(after) = plan.finished(seen, |_| true).or(plan.write_ahead.clone()) {
            *inventory = after;
        }
    }

    #[test]
    fn in_any_order_of_turns_the_object_stays_what_it_is() {
        for order in 0..1 << 6 {
            let (peers, a, b) = two();
            let mut live = ("u1".to_owned(), "env.shop.a".to_owned());
            let web = InventoryEntry { uid: Some("u1".into()), ..InventoryEntry::ahead(object("web")) };
            let mut inventories =
                [vec![web, InventoryEntry::ahead(object("a"))], vec![InventoryEntry::ahead(object("b"))]];
            for step in 0..6 {
                let [of_a, of_b] = &mut inventories;
                match order >> step & 1 {
                    0 => turn(&peers, &a, false, &mut live, of_a),
                    _ => turn(&peers, &b, true, &mut live, of_b),
                }
            }
            // However it began, a few turns later it has changed hands.
            let [of_a, of_b] = &mut inventories;
            for _ in 0..2 {
                turn(&peers, &b, true, &mut live, of_b);
                turn(&peers, &a, false, &mut live, of_a);
            }
            assert_eq!(live, ("u1".to_owned(), "env.shop.b".to_owned()), "order {order:b}");
            let has_it = |inventory: &[InventoryEntry]| inventory.iter().any(|entry| entry.key.name == "web");
            assert!(!has_it(of_a) && has_it(of_b), "order {order:b}");
        }
    }

    #[test]
    fn before_all_are_known_nobody_judges() {
        let (peers, a) = (Peers::default(), key("shop", "a"));
        peers.note(&environment(&a, "prod", 1, false));
        peers.read(&a, &commit('1'), &wants(&[]), true);
        assert!(matches!(peers.claim(&a, Some(&commit('1')), &object("web")), Elsewhere::NotYetKnown(_)));
        let holder = |label| peers.holder(&a, &commit('1'), label, &object("web"));
        assert!(matches!(holder("env.shop.b"), Some(Elsewhere::NotYetKnown(_))));
        peers.complete();
        assert_eq!(peers.claim(&a, Some(&commit('1')), &object("web")), Elsewhere::Nothing);
        assert_eq!(holder("env.shop.b"), None, "it was deleted, or never seen");
        assert_eq!(holder("app.shop.b"), Some(Elsewhere::Nothing), "a child of an app");
        peers.note_illegible(&key("shop", "b"));
        assert_eq!(holder("env.shop.b"), Some(Elsewhere::Nothing), "what it wants nobody knows");
    }

    #[test]
    fn who_cannot_be_read_holds_up_its_own_namespace_only() {
        let (peers, a, b) = two();
        let stranger = key("other", "c");
        peers.note(&environment(&stranger, "prod", 1, false));
        let claim = || peers.claim(&a, Some(&commit('2')), &object("web"));
        peers.read(&b, &commit('2'), &wants(&[]), true);
        assert_eq!(claim(), Elsewhere::NotYetKnown("Environment other/c".into()));
        peers.unreadable(&stranger, None);
        assert_eq!(claim(), Elsewhere::Nothing);
        peers.unreadable(&b, Some(&commit('3')));
        assert_eq!(claim(), Elsewhere::Nothing, "this commit was read");
        peers.note(&environment(&b, "prod", 2, false));
        assert_eq!(claim(), Elsewhere::NotYetKnown("Environment shop/b".into()), "its spec is another");
        peers.unreadable(&b, Some(&commit('2')));
        assert_eq!(claim(), Elsewhere::Unreadable("Environment shop/b".into()));
        peers.note(&environment(&b, "prod", 3, true));
        assert_eq!(claim(), Elsewhere::Nothing, "what is suspended takes nothing");
    }

    #[test]
    fn strangers_neither_keep_an_object_nor_get_it() {
        let (peers, a, _) = two();
        let stranger = key("other", "c");
        peers.note(&environment(&stranger, "theirs", 1, false));
        peers.read(&stranger, &commit('9'), &wants(&["web"]), true);
        peers.read(&key("shop", "b"), &commit('1'), &wants(&[]), true);
        peers.read(&a, &commit('1'), &wants(&[]), true);
        assert_eq!(peers.claim(&a, Some(&commit('1')), &object("web")), Elsewhere::Nothing);
        assert_eq!(peers.holder(&stranger, &commit('9'), "env.shop.a", &object("web")), Some(Elsewhere::Nothing));
    }

    #[test]
    fn what_a_deleted_one_leaves_is_asked_for_too() {
        let (peers, a, b) = two();
        peers.note(&environment(&b, "prod", 2, false));
        peers.gone(&a);
        let claim = || peers.claim(&a, None, &object("web"));
        assert_eq!(claim(), Elsewhere::NotYetKnown("Environment shop/b".into()), "its spec is new");
        peers.read(&b, &commit('2'), &wants(&["web"]), true);
        assert_eq!(claim(), Elsewhere::Wanted("Environment shop/b".into()));
        assert_eq!(peers.holder(&b, &commit('2'), "env.shop.a", &object("web")), None);
        peers.forget(&a);
    }

    #[test]
    fn between_branches_of_one_namespace_what_is_known_counts() {
        let (peers, a, _) = two();
        let next = key("shop", "next");
        peers.note(&environment(&next, "next", 1, false));
        peers.read(&key("shop", "b"), &commit('2'), &wants(&[]), true);
        peers.read(&a, &commit('2'), &wants(&[]), true);
        let claim = || peers.claim(&a, Some(&commit('2')), &object("web"));
        assert_eq!(claim(), Elsewhere::Nothing, "nobody waits for another branch");
        peers.read(&next, &commit('7'), &wants(&["web"]), true);
        assert_eq!(claim(), Elsewhere::Wanted("Environment shop/next".into()));
        assert_eq!(peers.holder(&next, &commit('7'), "env.shop.a", &object("web")), Some(Elsewhere::LetGo));
    }

    #[test]
    fn who_is_behind_is_asked_once_per_commit() {
        let (peers, a, b) = two();
        peers.read(&a, &commit('2'), &wants(&[]), true);
        assert_eq!(peers.behind(&a, &commit('2')), [a.clone(), b]);
        assert!(peers.behind(&a, &commit('2')).is_empty());
    }
}
