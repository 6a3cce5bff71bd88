//! References whose commits cannot be fetched, while others of the same repository can: each fails alone.
//!
//! A fetch brings all that is new in one go, so a branch that is too large, or that the server itself cannot read, fails it for all.
//! Then it is found out by halves which are at fault. These are left out of the fetches until they mean something else, somebody
//! asks for them, or their time has come.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::time::Duration;

use drover_core::branch::CommitInfo;
use drover_core::render::short;
use drover_crds::Reference;
use drover_fetch::Error;
use drover_fetch::protocol::Synced;
use drover_fetch::references::Meaning;
use tokio::time::Instant;

use super::failed::Failed;
use super::schedule::{self, Again};
use crate::clock;
use crate::metrics;

/// Who asks has a reference fetched again after that long already.
const SHORTEST: Duration = Duration::from_secs(1);
/// Fetches in one sync to find out which references are at fault. Where so many are the rest waits for the next sync.
const MOST_FETCHES: usize = 32;

/// What one reference came to: its commit, or why there is none and when it is fetched again, where that is not as usual.
pub(super) type Found = Result<CommitInfo, (Error, Option<Again>)>;

/// The references of one repository that are left out of its fetches.
#[derive(Default)]
pub(super) struct Apart {
    bad: HashMap<Reference, Bad>,
}

struct Bad {
    meaning: Meaning,
    error: Error,
    failures: u32,
    tried: Instant,
    /// When it is fetched again although it means the same; `None`: never.
    due: Option<Instant>,
    again: Option<Again>,
}

/// What every reference of a repository came to, and how many packs its cache has now.
pub(super) struct Outcome {
    pub(super) found: Vec<Found>,
    pub(super) packs: usize,
}

impl Apart {
    /// One sync of `references`, of which `fetch` leaves out those that it is given a meaning for; those in `asked` are due soon. An
    /// error is the server's.
    pub(super) async fn sync<F>(
        &mut self,
        references: &[Reference],
        asked: &HashSet<Reference>,
        fetch: impl Fn(Vec<Option<Meaning>>) -> F,
    ) -> Result<Outcome, Error>
    where
        F: Future<Output = Result<Synced, Failed>>,
    {
        self.bad.retain(|reference, _| references.contains(reference));
        for (_, bad) in self.bad.iter_mut().filter(|(reference, _)| asked.contains(reference)) {
            bad.due = bad.due.map(|due| due.min(bad.tried + SHORTEST));
        }
        let mut left_out = self.left_out(references);
        let (lacking, error) = match fetch(left_out.clone()).await {
            Ok(synced) => return Ok(self.settle(references, synced)),
            Err(Failed { error, lacking: Some(lacking) }) if may_be_of_one(&error) => (lacking, error),
            Err(failed) => return Err(failed.error),
        };
        let suspects: Vec<usize> = (0..references.len()).filter(|n| lacking[*n].is_some()).collect();
        if suspects.is_empty() {
            return Err(error);
        }
        let among = |some: &[usize]| -> Vec<Option<Meaning>> {
            let of = |n: usize| if some.contains(&n) { None } else { left_out[n].clone().or(lacking[n].clone()) };
            (0..references.len()).map(of).collect()
        };
        let mut bad = Vec::new();
        let mut groups = vec![(suspects, Some(error))];
        let mut fetches = 0;
        while let Some((group, failed)) = groups.pop() {
            let error = match failed {
                Some(error) => error,
                None if fetches == MOST_FETCHES => continue,
                None => {
                    fetches += 1;
                    match fetch(among(&group)).await {
                        Ok(_) => continue,
                        Err(Failed { error, lacking: Some(_) }) if may_be_of_one(&error) => error,
                        Err(failed) => return Err(failed.error),
                    }
                }
            };
            if let [n] = group[..] {
                bad.push((n, error));
            } else {
                let (some, others) = group.split_at(group.len() / 2);
                groups.extend([(others.to_vec(), None), (some.to_vec(), None)]);
            }
        }
        for (n, error) in bad {
            left_out[n].clone_from(&lacking[n]);
            if let Some(meaning) = lacking[n].clone() {
                self.failed(&references[n], meaning, error, references.len() > 1);
            }
        }
        let synced = fetch(left_out).await.map_err(|failed| failed.error)?;
        Ok(self.settle(references, synced))
    }

    /// When the next one is fetched again.
    pub(super) fn due(&self) -> Option<Instant> {
        self.bad.values().filter_map(|bad| bad.due).min()
    }

    fn left_out(&self, references: &[Reference]) -> Vec<Option<Meaning>> {
        let now = Instant::now();
        let bad = |reference| self.bad.get(reference).filter(|bad| bad.due.is_none_or(|due| now < due));
        references.iter().map(|reference| bad(reference).map(|bad| bad.meaning.clone())).collect()
    }

    fn failed(&mut self, reference: &Reference, meaning: Meaning, error: Error, has_others: bool) {
        let error = match error {
            // The server did answer, before.
            Error::Unreachable { url, detail } => Error::BrokeOff { url, what: described(reference), detail },
            error => error,
        };
        let known = self.bad.get(reference).filter(|bad| bad.meaning == meaning).map_or(0, |bad| bad.failures);
        let failures = match error {
            // The others wait while it is fetched: from the first time on that is seldom.
            Error::TimedOut { .. } if has_others => u32::MAX,
            _ => known.saturating_add(1),
        };
        let wait = schedule::next(Duration::ZERO, failures, None, rand::random::<f64>());
        let again = (!error.is_terminal()).then(|| wait.again(clock::now()));
        if known == 0 {
            tracing::warn!(?reference, reason = error.label(), %error, "cannot be fetched");
        }
        metrics::synced(error.label());
        let tried = Instant::now();
        // What a commit holds never changes.
        let due = if matches!(error, Error::Unsound { .. }) { None } else { Some(tried + wait.most) };
        self.bad.insert(reference.clone(), Bad { meaning, error, failures, tried, due, again });
    }

    /// Notes what a sync came to. A reference that was fetched in vain, such as a commit that is nowhere, is left out from now on.
    fn settle(&mut self, references: &[Reference], synced: Synced) -> Outcome {
        let Synced { answers, lacking, packs } = synced;
        let mut found = Vec::with_capacity(references.len());
        for ((reference, answer), lacking) in references.iter().zip(answers).zip(lacking) {
            found.push(match (answer, lacking) {
                (Some(Err(error)), Some(meaning)) => {
                    self.failed(reference, meaning, error.clone(), references.len() > 1);
                    Err((error, None))
                }
                (Some(answer), _) => {
                    self.bad.remove(reference);
                    answer.map_err(|error| (error, None))
                }
                (None, _) => match self.bad.get(reference) {
                    Some(bad) => Err((bad.error.clone(), bad.again)),
                    None => Err((Error::Child { url: String::new(), detail: "it left out a reference".into() }, None)),
                },
            });
        }
        Outcome { found, packs }
    }
}

/// A reference as a person would say it.
fn described(reference: &Reference) -> String {
    let Reference { branch, tag, semver, commit } = reference;
    let named = [("the branch", branch), ("the tag", tag), ("the highest tag in", semver), ("the commit", commit)];
    let said = named.into_iter().find_map(|(what, name)| Some(format!("{what} {}", short(name.as_deref()?))));
    said.unwrap_or_default()
}

/// Whether what one reference leads to can be the cause, once the server has listed them all.
fn may_be_of_one(error: &Error) -> bool {
    matches!(
        error,
        Error::TimedOut { .. }
            | Error::TooLarge { .. }
            | Error::OutOfMemory
            | Error::Server { .. }
            | Error::Unreachable { .. }
            | Error::Unsound { .. }
            | Error::Child { .. }
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::future::ready;
    use std::sync::Mutex;

    use drover_core::branch::{CommitId, TreeId};

    use super::*;
    use drover_fetch::references::Wanted;

    /// A server whose branch `n` leads to commit `n`, and a cache.
    #[derive(Default)]
    struct Server {
        cache: Mutex<BTreeSet<u8>>,
        /// Commits that cannot be fetched.
        bad: BTreeSet<u8>,
        /// The server goes away after so many fetches.
        ends_after: Option<usize>,
        fetches: Mutex<usize>,
    }

    fn branch(n: u8) -> Reference {
        Reference { branch: Some(n.to_string()), ..Reference::default() }
    }

    fn id(n: u8) -> CommitId {
        CommitId::parse(&format!("{n:040x}")).expect("an id")
    }

    fn commit(n: u8) -> CommitInfo {
        CommitInfo {
            id: id(n),
            tree: TreeId::parse(id(n).as_str()).expect("an id"),
            message: String::new(),
            author: String::new(),
            time: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    fn too_large() -> Error {
        Error::TooLarge { url: "u".into(), detail: "d".into() }
    }

    fn gone() -> Error {
        Error::UnresolvedHost { url: "u".into(), host: "h".into() }
    }

    impl Server {
        fn fetch(&self, branches: &[u8], left_out: &[Option<Meaning>]) -> Result<Synced, Failed> {
            let mut fetches = self.fetches.lock().expect("no panic");
            if self.ends_after == Some(*fetches) {
                return Err(Failed { error: gone(), lacking: None });
            }
            *fetches += 1;
            let mut cache = self.cache.lock().expect("no panic");
            let meaning = |n: u8| Wanted { commit: id(n), name: Some("refs/heads/b".into()) }.meaning(&[]);
            let is_left_out =
                |(n, left_out): (&u8, &Option<Meaning>)| !cache.contains(n) && *left_out == Some(meaning(*n));
            let left: Vec<bool> = branches.iter().zip(left_out).map(is_left_out).collect();
            let lacking: Vec<Option<Meaning>> = branches
                .iter()
                .zip(&left)
                .map(|(n, left)| (!left && !cache.contains(n)).then(|| meaning(*n)))
                .collect();
            let wanted: Vec<u8> =
                branches.iter().zip(&lacking).filter(|(_, lacking)| lacking.is_some()).map(|(n, _)| *n).collect();
            if wanted.iter().any(|n| self.bad.contains(n)) {
                return Err(Failed { error: too_large(), lacking: Some(lacking) });
            }
            cache.extend(wanted);
            let answers = branches.iter().zip(&left).map(|(n, left)| (!left).then(|| Ok(commit(*n)))).collect();
            Ok(Synced { answers, lacking, packs: 1 })
        }

        async fn sync(&self, apart: &mut Apart, branches: &[u8]) -> Result<Vec<Result<CommitId, Error>>, Error> {
            let references: Vec<Reference> = branches.iter().map(|n| branch(*n)).collect();
            let fetch = |left_out: Vec<_>| ready(self.fetch(branches, &left_out));
            let outcome = apart.sync(&references, &HashSet::new(), fetch).await?;
            Ok(outcome.found.into_iter().map(|one| one.map(|one| one.id).map_err(|(error, _)| error)).collect())
        }

        fn fetches(&self) -> usize {
            std::mem::take(&mut self.fetches.lock().expect("no panic"))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_those_fail_that_are_at_fault_and_they_are_left_out_from_then_on() {
        let server = Server { bad: [3, 7].into(), ..Server::default() };
        let (mut apart, branches) = (Apart::default(), [1, 2, 3, 4, 5, 6, 7, 8]);
        let expected: Vec<_> =
            branches.iter().map(|n| if server.bad.contains(n) { Err(too_large()) } else { Ok(id(*n)) }).collect();
        assert_eq!(server.sync(&mut apart, &branches).await, Ok(expected.clone()));
        assert!(server.fetches() <= 14, "by halves");
        assert_eq!(server.sync(&mut apart, &branches).await, Ok(expected.clone()));
        assert_eq!(server.fetches(), 1, "nothing new was to be fetched");
        // One who comes later does not suffer either.
        let more = [&branches[..], &[9]].concat();
        assert_eq!(server.sync(&mut apart, &more).await.expect("listed").last(), Some(&Ok(id(9))));
        assert_eq!(server.fetches(), 1);
        // When its time has come it is tried again, with the same end.
        tokio::time::advance(Duration::from_secs(6)).await;
        assert_eq!(server.sync(&mut apart, &branches).await, Ok(expected));
        assert!((3..8).contains(&server.fetches()));
    }

    #[tokio::test(start_paused = true)]
    async fn what_leads_elsewhere_is_fetched_at_once() {
        let server = Server { bad: [2].into(), ..Server::default() };
        let mut apart = Apart::default();
        assert_eq!(server.sync(&mut apart, &[1, 2]).await, Ok(vec![Ok(id(1)), Err(too_large())]));
        // The same branch leads to another commit.
        let references = [branch(1), branch(2)];
        let fetch = |left_out: Vec<_>| ready(server.fetch(&[1, 5], &left_out));
        let outcome = apart.sync(&references, &HashSet::new(), fetch).await.expect("listed");
        assert!(outcome.found.iter().all(Result::is_ok));
        assert!(apart.bad.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_fails_fails_all_of_them() {
        let mut apart = Apart::default();
        let away = Server { ends_after: Some(0), ..Server::default() };
        assert_eq!(away.sync(&mut apart, &[1, 2]).await, Err(gone()));
        let amidst = Server { ends_after: Some(2), bad: [2].into(), ..Server::default() };
        assert_eq!(amidst.sync(&mut apart, &[1, 2]).await, Err(gone()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_has_it_fetched_again_but_not_at_every_moment() {
        let server = Server { bad: [2].into(), ..Server::default() };
        let (mut apart, references) = (Apart::default(), [branch(1), branch(2)]);
        let fetches = async |apart: &mut Apart, asked: &[Reference]| {
            let fetch = |left_out: Vec<_>| ready(server.fetch(&[1, 2], &left_out));
            apart.sync(&references, &asked.iter().cloned().collect(), fetch).await.expect("listed");
            server.fetches()
        };
        assert!(fetches(&mut apart, &[]).await > 1);
        assert_eq!(fetches(&mut apart, &[branch(2)]).await, 1, "it was tried a moment ago");
        assert!(apart.due().is_some_and(|due| due <= Instant::now() + SHORTEST), "that somebody asked is kept in mind");
        tokio::time::advance(SHORTEST).await;
        assert!(fetches(&mut apart, &[]).await > 1);
        assert!(apart.due().is_some_and(|due| due > Instant::now() + Duration::from_secs(8)), "ever later");
        tokio::time::advance(SHORTEST).await;
        assert!(fetches(&mut apart, &[branch(2)]).await > 1, "who asks need not wait for that");
    }

    #[tokio::test(start_paused = true)]
    async fn where_many_are_at_fault_the_rest_is_found_out_later() {
        let branches: Vec<u8> = (1..=64).collect();
        let server = Server { bad: (1..=64).filter(|n| n % 2 == 0).collect(), ..Server::default() };
        let mut apart = Apart::default();
        let mut syncs = 0;
        let found = loop {
            syncs += 1;
            let found = server.sync(&mut apart, &branches).await;
            assert!(server.fetches() <= MOST_FETCHES + 2);
            if let Ok(found) = found {
                break found;
            }
        };
        assert!(syncs < 10, "{syncs} syncs");
        assert!(branches.iter().zip(&found).all(|(n, found)| found.is_ok() != server.bad.contains(n)));
    }
}
