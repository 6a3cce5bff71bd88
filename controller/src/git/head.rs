//! Pure: what is known about the head of a reference, and how one sync changes it.

use jiff::Timestamp;

use super::commit::CommitInfo;
use super::error::Error;

/// What is known about what an Environment follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Head {
    /// Nothing yet: the first sync is on its way.
    Pending,
    /// The commit at the head.
    At {
        /// The commit; it is in the cache.
        commit: CommitInfo,
        /// When drover first fetched it.
        fetched_at: Timestamp,
    },
    /// It cannot be followed now.
    Failed {
        /// Why.
        error: Error,
        /// Since when it fails in this way.
        since: Timestamp,
        /// The last commit that was at the head, if one was seen.
        last_good: Option<CommitInfo>,
    },
}

impl Head {
    /// The head after a sync, and whether that is news.
    pub(super) fn after(&self, answer: Result<CommitInfo, Error>, now: Timestamp) -> (Self, bool) {
        match (self, answer) {
            (Self::At { commit, .. }, Ok(new)) if *commit == new => (self.clone(), false),
            (_, Ok(commit)) => (Self::At { commit, fetched_at: now }, true),
            (Self::Failed { error, .. }, Err(new)) if *error == new => (self.clone(), false),
            (_, Err(error)) => {
                let last_good = match self {
                    Self::Pending => None,
                    Self::At { commit, .. } => Some(commit.clone()),
                    Self::Failed { last_good, .. } => last_good.clone(),
                };
                (Self::Failed { error, since: now, last_good }, true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::git::commit::{CommitId, TreeId};

    fn commit(n: u8) -> CommitInfo {
        CommitInfo {
            id: CommitId::parse(&format!("{n:040x}")).expect("id"),
            tree: TreeId::parse(&format!("{n:040x}")).expect("id"),
            message: String::new(),
            author: String::new(),
            time: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn only_what_changes_is_news() {
        let at = |second| Timestamp::from_second(second).expect("time");
        let error = || Error::BadReference;
        let (first, news) = Head::Pending.after(Ok(commit(1)), at(1));
        assert!(news);
        assert_eq!(first.after(Ok(commit(1)), at(2)), (first.clone(), false), "the time it was fetched stays");
        let (failed, news) = first.after(Err(error()), at(3));
        assert!(news);
        assert_eq!(failed, Head::Failed { error: error(), since: at(3), last_good: Some(commit(1)) });
        assert_eq!(failed.after(Err(error()), at(4)), (failed.clone(), false));
        let (other, news) = failed.after(Err(Error::NotSubscribed { name: "x".into() }), at(5));
        assert!(news && matches!(other, Head::Failed { last_good: Some(_), .. }));
        let (back, news) = other.after(Ok(commit(1)), at(6));
        assert!(news && matches!(back, Head::At { .. }));
    }
}
