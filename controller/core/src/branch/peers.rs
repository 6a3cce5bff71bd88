//! What the Environments want of each other's objects, so that an object which moves between two of them is handed over and not
//! deleted and made anew. Who was read at which commit comes in, answers go out.
//!
//! An object moves in one push when it leaves one Environment's folder and appears in another's, and nobody orders the two turns. So
//! neither judges before the other was read at the same commit: the one that had it does not delete what the other wants, and the
//! one that wants it takes it over once the first does not. Only Environments that can be trusted to mean it are heard: those of the
//! same namespace, and those that follow the same branch of the same repository. Others could keep objects from being deleted.

use std::collections::BTreeMap;
use std::sync::Arc;

use drover_crds::{Environment, Key, Owner, OwnerKind, Reference};

use super::{CommitId, TreeId};
use crate::plan::{Desired, Elsewhere};
use crate::render::ObjectKey;

/// All Environments, as far as the others' plans need them.
#[derive(Debug, Default)]
pub struct Peers {
    /// Whether all Environments that exist are in here.
    complete: bool,
    known: BTreeMap<Key, Peer>,
    /// What those followed that are gone, and whose objects are being looked after.
    gone: BTreeMap<Key, Source>,
}

#[derive(Debug)]
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
#[derive(Debug)]
struct Read {
    commit: CommitId,
    /// The tree that this was read from; `None` for a folder that is not there.
    tree: Option<TreeId>,
    wants: Arc<[Desired]>,
}

/// Why nothing newer is known.
#[derive(Debug, PartialEq, Eq)]
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
    /// Notes an Environment that exists, as its spec is now; `repository` is the same for all addresses of one.
    pub fn note(&mut self, environment: &Environment, repository: Option<String>) {
        let key = Key::of(&environment.metadata);
        let source = &environment.spec.source;
        let generation = environment.metadata.generation;
        let suspended = environment.spec.suspend == Some(true);
        match self.known.get_mut(&key) {
            // What was read of another spec says nothing about this one.
            Some(peer) if peer.generation == generation => {}
            _ => {
                let peer = Peer {
                    generation,
                    label: Owner::of(OwnerKind::Environment, &key).label(),
                    source: (repository, source.reference.clone()),
                    suspended,
                    read: None,
                    failed: None,
                    nudged: None,
                };
                self.known.insert(key, peer);
            }
        }
    }

    /// Notes an Environment that exists and cannot be read: of what it has nothing is taken.
    pub fn note_illegible(&mut self, key: &Key) {
        self.known.entry(key.clone()).or_insert_with(|| Peer {
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
    pub fn complete(&mut self) {
        self.complete = true;
    }

    /// An Environment is gone; what it leaves is looked after next.
    pub fn gone(&mut self, key: &Key) {
        if let Some(peer) = self.known.remove(key) {
            self.gone.insert(key.clone(), peer.source);
        }
    }

    /// What an Environment left was looked after.
    pub fn forget(&mut self, key: &Key) {
        self.gone.remove(key);
    }

    /// What an Environment wants at a commit, where its folder has that tree. Whether that is another commit than the one before.
    pub fn read(
        &mut self,
        key: &Key,
        (commit, tree): (&CommitId, Option<&TreeId>),
        wants: &Arc<[Desired]>,
        current: bool,
    ) -> bool {
        let Some(peer) = self.known.get_mut(key) else { return false };
        let before = peer.read.replace(Read { commit: commit.clone(), tree: tree.cloned(), wants: wants.clone() });
        peer.failed = if current { None } else { Some(Failed::Fetch) };
        before.is_none_or(|before| before.commit != *commit)
    }

    /// An Environment whose folder has that tree at a commit wants there what it wanted of the same tree: it need not have been its turn.
    pub fn wants_the_same(&mut self, key: &Key, commit: &CommitId, tree: &TreeId) {
        let peer = self.known.get_mut(key).filter(|peer| peer.failed.is_none());
        if let Some(read) = peer.and_then(|peer| peer.read.as_mut()).filter(|read| read.tree.as_ref() == Some(tree)) {
            read.commit.clone_from(commit);
        }
    }

    /// What an Environment wants cannot be known: of that commit, or at all.
    pub fn unreadable(&mut self, key: &Key, commit: Option<&CommitId>) {
        if let Some(peer) = self.known.get_mut(key) {
            peer.failed = Some(commit.map_or(Failed::Fetch, |commit| Failed::At(commit.clone())));
        }
    }

    /// What the others have to do with an object that `me`, which is at `commit`, wants or wanted, and that carries the label of the
    /// owner `other`, where that is not `me`. `None` when that is an Environment that was not noted.
    pub fn elsewhere(
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
    pub fn claim(&self, me: &Key, commit: Option<&CommitId>, object: &ObjectKey) -> Elsewhere {
        if !self.complete {
            return Elsewhere::NotYetKnown("the other Environments".to_owned());
        }
        let source = self.known.get(me).map(|peer| &peer.source).or_else(|| self.gone.get(me));
        let (mut not_yet, mut never) = (None, None);
        for (key, peer) in self.known.iter().filter(|(key, peer)| *key != me && !peer.suspended) {
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
        if !self.complete {
            return Some(Elsewhere::NotYetKnown("the other Environments".to_owned()));
        }
        let (key, peer) = self.known.iter().find(|(_, peer)| peer.label == label)?;
        let twin = self.known.get(me).is_some_and(|mine| mine.source == peer.source);
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
    pub fn behind(&mut self, me: &Key, commit: &CommitId) -> Vec<Key> {
        let Some(source) = self.known.get(me).map(|peer| peer.source.clone()) else { return Vec::new() };
        let mut behind = Vec::new();
        for (key, peer) in &mut self.known {
            let not_yet = key == me || !peer.suspended && matches!(peer.at(commit), Sight::NotYet);
            if peer.source == source && not_yet && peer.nudged.as_ref() != Some(commit) {
                peer.nudged = Some(commit.clone());
                behind.push(key.clone());
            }
        }
        behind
    }
}

#[cfg(test)]
mod tests;
