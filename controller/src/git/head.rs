//! Pure: what is known about the head of a reference, and how one sync changes it.

use drover_core::branch::CommitInfo;
use drover_fetch::Error;
use jiff::Timestamp;

use super::schedule::Again;

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
        /// Since when.
        since: Timestamp,
        /// When the server is asked again; `None` where that is as usual, because it did answer or a person has to do something.
        again: Option<Again>,
        /// The last commit that was at the head, if one was seen.
        last_good: Option<CommitInfo>,
    },
}

/// The end of a sentence: since when a server fails, and when it is asked again.
pub fn outlook(since: Timestamp, again: Again) -> String {
    // To the second: people read this.
    let moment = |time: Timestamp| time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let again = match again {
        Again::At(time) => format!("at {}", moment(time)),
        Again::Every(period) => format!("every {} minutes", period.as_secs() / 60),
    };
    format!("; it has failed since {}, and drover asks again {again}", moment(since))
}

impl Head {
    /// The head after a sync, and whether that is news.
    pub(super) fn after(
        &self,
        answer: Result<CommitInfo, Error>,
        again: Option<Again>,
        now: Timestamp,
    ) -> (Self, bool) {
        match (self, answer) {
            (Self::At { commit, .. }, Ok(new)) if *commit == new => (self.clone(), false),
            (_, Ok(commit)) => (Self::At { commit, fetched_at: now }, true),
            (Self::Failed { error, again: before, .. }, Err(new)) if *error == new && *before == again => {
                (self.clone(), false)
            }
            (_, Err(error)) => {
                let (since, last_good) = match self {
                    Self::Pending => (now, None),
                    Self::At { commit, .. } => (now, Some(commit.clone())),
                    Self::Failed { since, last_good, .. } => (*since, last_good.clone()),
                };
                (Self::Failed { error, since, again, last_good }, true)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use drover_core::branch::{CommitId, TreeId};

    use super::*;

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
        let (first, news) = Head::Pending.after(Ok(commit(1)), None, at(1));
        assert!(news);
        assert_eq!(first.after(Ok(commit(1)), None, at(2)), (first.clone(), false), "the time it was fetched stays");
        let (failed, news) = first.after(Err(error()), None, at(3));
        assert!(news);
        assert_eq!(failed, Head::Failed { error: error(), since: at(3), again: None, last_good: Some(commit(1)) });
        assert_eq!(failed.after(Err(error()), None, at(4)), (failed.clone(), false));
        let again = Some(Again::At(at(9)));
        let (later, news) = failed.after(Err(error()), again, at(5));
        assert!(news, "another time is news");
        assert_eq!(later, Head::Failed { error: error(), since: at(3), again, last_good: Some(commit(1)) });
        let (other, news) = later.after(Err(Error::NotSubscribed { name: "x".into() }), None, at(5));
        assert!(news && matches!(other, Head::Failed { since, last_good: Some(_), .. } if since == at(3)));
        let (back, news) = other.after(Ok(commit(1)), None, at(6));
        assert!(news && matches!(back, Head::At { .. }));
    }

    #[test]
    fn a_person_reads_since_when_and_when_again() {
        let at = |second: i64| Timestamp::from_millisecond(second * 1000 + 7).expect("a time");
        assert_eq!(
            outlook(at(0), Again::At(at(65))),
            "; it has failed since 1970-01-01T00:00:00Z, and drover asks again at 1970-01-01T00:01:05Z"
        );
        let every = Again::Every(std::time::Duration::from_mins(5));
        assert!(outlook(at(0), every).ends_with("drover asks again every 5 minutes"));
    }
}
