//! Pure: which followers are settled with their folder as it is, and who of them is told of a new commit at leisure, because the folder
//! is the same there.
//!
//! A folder is known by the id of its tree, which is the id of its content: where that is equal, nothing else has to be.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use drover_core::branch::{CommitId, TreeId};
use drover_crds::Owner;
use tokio::time::Instant;

/// As many read their folders in one child: comparing them before takes as long as that, and tells nobody sooner.
const FEW: usize = 8;
/// How long a commit that changes nothing for a follower waits until it is told: of commits that come faster only the newest is.
const LEISURE: Duration = Duration::from_secs(5);
/// Between one who is told at leisure and the next.
pub(super) const PACE: Duration = Duration::from_millis(200);

/// The folders of all followers that are settled.
#[derive(Default)]
pub(super) struct Folders {
    settled: HashMap<Owner, Settled>,
    /// In the order of their times; one may stand here twice, or be told already.
    untold: VecDeque<(Instant, Owner)>,
    /// Whether somebody tells them.
    is_told: bool,
}

/// A folder that its follower has nothing more to do with.
struct Settled {
    path: String,
    tree: TreeId,
    /// The newest commit of which it is known that the folder is this one.
    at: CommitId,
    /// That commit has not been told.
    untold: bool,
}

/// What is at the paths of commits, as far as that is known.
pub(super) type Found = BTreeMap<CommitId, BTreeMap<String, TreeId>>;

/// Whom to tell of news now, and whether somebody is to begin telling the others.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sorted {
    pub now: Vec<Owner>,
    pub begin: bool,
}

/// What there is to do at leisure.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    Tell(Owner),
    Wait(Duration),
    Nothing,
}

impl Folders {
    /// A follower is settled with the tree at that path of a commit, or with none. Whether it has to be told at once: while it was settled
    /// with another one it was kept for later.
    pub(super) fn settle(&mut self, name: &Owner, settled: Option<(&CommitId, &str, &TreeId)>) -> bool {
        let before = self.settled.get_mut(name);
        match (before, settled) {
            (Some(before), Some((commit, path, tree))) if before.path == path && before.tree == *tree => {
                before.untold &= before.at != *commit;
                false
            }
            (before, settled) => {
                let untold = before.is_some_and(|before| before.untold);
                self.settled.remove(name);
                if let Some((commit, path, tree)) = settled {
                    let (path, tree) = (path.to_owned(), tree.clone());
                    self.settled.insert(name.clone(), Settled { path, tree, at: commit.clone(), untold: false });
                }
                untold
            }
        }
    }

    /// The paths that are worth a comparison for those who should hear of these commits; none where few should.
    pub(super) fn asked(&self, news: &[(Owner, CommitId)]) -> BTreeMap<CommitId, BTreeSet<String>> {
        let mut asked: BTreeMap<CommitId, BTreeSet<String>> = BTreeMap::new();
        if news.len() > FEW {
            for (name, commit) in news {
                if let Some(settled) = self.settled.get(name) {
                    asked.entry(commit.clone()).or_default().insert(settled.path.clone());
                }
            }
        }
        asked
    }

    /// Sorts those who should hear of these commits by what was `found` there.
    pub(super) fn sort(&mut self, news: Vec<(Owner, CommitId)>, found: &Found, now: Instant) -> Sorted {
        let mut at_once = Vec::new();
        for (name, commit) in news {
            let found = |settled: &Settled| found.get(&commit)?.get(&settled.path).cloned();
            match self.settled.get_mut(&name) {
                Some(settled) if found(settled).as_ref() == Some(&settled.tree) => {
                    settled.at = commit;
                    if !std::mem::replace(&mut settled.untold, true) {
                        self.untold.push_back((now + LEISURE, name));
                    }
                }
                settled => {
                    if let Some(settled) = settled {
                        settled.untold = false;
                    }
                    at_once.push(name);
                }
            }
        }
        let begin = !self.untold.is_empty() && !std::mem::replace(&mut self.is_told, !self.untold.is_empty());
        Sorted { now: at_once, begin }
    }

    /// What to do next for those who are told at leisure.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        while let Some((due, name)) = self.untold.pop_front() {
            let Some(settled) = self.settled.get_mut(&name).filter(|settled| settled.untold) else { continue };
            if due > now {
                self.untold.push_front((due, name));
                return Next::Wait(due - now);
            }
            settled.untold = false;
            return Next::Tell(name);
        }
        self.is_told = false;
        Next::Nothing
    }

    /// Somebody waits for a follower. Whether it was kept for later, and is to be told at once.
    pub(super) fn hurry(&mut self, name: &Owner) -> bool {
        self.settled.get_mut(name).is_some_and(|settled| std::mem::take(&mut settled.untold))
    }

    /// Whether that tree is known to be the one at that path of that commit, with which the follower is settled.
    pub(super) fn has(&self, name: &Owner, commit: &CommitId, path: &str, tree: &TreeId) -> bool {
        let settled = self.settled.get(name);
        settled.is_some_and(|settled| settled.at == *commit && settled.path == path && settled.tree == *tree)
    }

    /// All whose folders are known at that commit, each with its tree.
    pub(super) fn at(&self, commit: &CommitId) -> Vec<(Owner, TreeId)> {
        let at = self.settled.iter().filter(|(_, settled)| settled.at == *commit);
        at.map(|(name, settled)| (name.clone(), settled.tree.clone())).collect()
    }

    /// Nothing is followed under that name any more.
    pub(super) fn forget(&mut self, name: &Owner) {
        self.settled.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use drover_crds::OwnerKind;

    use super::*;

    fn team(n: usize) -> Owner {
        Owner::new(OwnerKind::Environment, "team", format!("part-{n}"))
    }

    fn commit(n: u8) -> CommitId {
        CommitId::parse(&format!("{n:040x}")).expect("an id")
    }

    fn tree(n: u8) -> TreeId {
        TreeId::parse(&format!("{n:040x}")).expect("an id")
    }

    fn path(n: usize) -> String {
        format!("folder-{n}")
    }

    /// `count` followers that are settled with tree 1 at commit 1.
    fn settled(count: usize) -> Folders {
        let mut folders = Folders::default();
        for n in 0..count {
            assert!(!folders.settle(&team(n), Some((&commit(1), &path(n), &tree(1)))));
        }
        folders
    }

    /// All of them hear of a commit in which the folders `changed` have tree 2 and all others tree 1.
    fn push(folders: &mut Folders, count: usize, n: u8, changed: &[usize], now: Instant) -> Sorted {
        let news: Vec<(Owner, CommitId)> = (0..count).map(|follower| (team(follower), commit(n))).collect();
        let trees = (0..count).map(|n| (path(n), tree(if changed.contains(&n) { 2 } else { 1 })));
        let trees: BTreeMap<String, TreeId> = trees.collect();
        let asked = folders.asked(&news);
        let found = asked.into_iter().map(|(commit, paths)| {
            (commit, paths.into_iter().map(|path| (path.clone(), trees[&path].clone())).collect())
        });
        folders.sort(news, &found.collect(), now)
    }

    /// Who is told from `now` on, until nothing is to be done, and how long that takes.
    fn told(folders: &mut Folders, mut now: Instant) -> (Vec<Owner>, Duration) {
        let (began, mut told) = (now, Vec::new());
        loop {
            match folders.next(now) {
                Next::Tell(name) => {
                    told.push(name);
                    now += PACE;
                }
                Next::Wait(pause) => now += pause,
                Next::Nothing => return (told, now - began),
            }
        }
    }

    #[test]
    fn who_has_another_folder_hears_at_once_and_the_others_once_at_leisure_of_the_newest() {
        let (mut folders, now) = (settled(20), Instant::now());
        assert_eq!(push(&mut folders, 20, 2, &[3], now), Sorted { now: vec![team(3)], begin: true });
        assert!(
            folders.has(&team(4), &commit(2), &path(4), &tree(1))
                && !folders.has(&team(3), &commit(2), &path(3), &tree(1))
        );
        assert_eq!(folders.next(now), Next::Wait(LEISURE));
        // A push a second, each of which is heard of by those whose folders it changes.
        folders.settle(&team(3), Some((&commit(2), &path(3), &tree(2))));
        let later = now + Duration::from_secs(1);
        assert_eq!(push(&mut folders, 20, 3, &[3, 7], later), Sorted { now: vec![team(7)], begin: false });
        let (told, took) = told(&mut folders, later);
        let each: BTreeSet<&Owner> = told.iter().collect();
        assert_eq!((told.len(), each.len(), each.contains(&team(7))), (19, 19, false), "{told:?}");
        assert!(took <= LEISURE + PACE * 20, "{took:?}");
        assert!(folders.at(&commit(3)).iter().all(|(name, _)| *name != team(7)) && folders.at(&commit(3)).len() == 19);
        assert!(push(&mut folders, 20, 4, &[3], later).begin, "nobody tells any more");
    }

    #[test]
    fn few_are_told_at_once_and_so_is_whoever_is_not_settled() {
        let (mut folders, now) = (settled(FEW), Instant::now());
        assert_eq!(push(&mut folders, FEW, 2, &[], now).now.len(), FEW);
        let mut folders = settled(20);
        folders.settle(&team(5), None);
        folders.forget(&team(6));
        assert_eq!(push(&mut folders, 21, 2, &[], now).now, [5, 6, 20].map(team));
    }

    #[test]
    fn whose_folder_changed_while_it_was_at_work_is_not_kept_waiting() {
        // It was told of a folder that the next commit takes back, and settles with it only then.
        let (mut folders, now) = (settled(20), Instant::now());
        assert_eq!(push(&mut folders, 20, 2, &[3], now).now, [team(3)]);
        assert_eq!(push(&mut folders, 20, 3, &[], now).now, []);
        assert!(folders.settle(&team(3), Some((&commit(2), &path(3), &tree(2)))), "it is told of the newest now");
        assert!(folders.settle(&team(4), None), "it has something to do again");
        assert!(!folders.settle(&team(5), Some((&commit(1), &path(5), &tree(1)))), "as before");
        assert!(!folders.settle(&team(6), Some((&commit(3), &path(6), &tree(1)))), "it has heard by itself");
        assert!(folders.hurry(&team(7)) && !folders.hurry(&team(7)) && !folders.hurry(&team(6)));
        folders.forget(&team(8));
        let (told, _) = told(&mut folders, now);
        assert!(
            [3, 4, 6, 7, 8].iter().all(|n| !told.contains(&team(*n))) && told.contains(&team(5)) && told.len() == 15
        );
    }
}
