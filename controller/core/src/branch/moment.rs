//! The moment that most objects take to be as asked, once they are applied. What is over before anybody reads of it is not told: a commit
//! costs one status then, which says that it is applied and that all is healthy. The time comes in.

use std::time::Duration;

use jiff::Timestamp;

use super::CommitId;

/// How long objects may be on their way before that is told.
const MOMENT: Duration = Duration::from_secs(1);

/// What was applied and not told yet.
#[derive(Clone, Default)]
pub struct Moment(Option<Untold>);

#[derive(Clone)]
struct Untold {
    commit: CommitId,
    since: Timestamp,
    /// How many objects were changed for it so far.
    changed: usize,
}

impl Moment {
    /// How many objects were changed for `commit` by turns before this one that told nobody.
    pub fn changed(&self, commit: &CommitId) -> usize {
        self.0.as_ref().filter(|untold| untold.commit == *commit).map_or(0, |untold| untold.changed)
    }

    /// How long what is applied may still be on its way at `now` before it is told, so many objects `changed` for it in all. A clock that was
    /// set back ends the moment.
    pub fn left(&mut self, commit: &CommitId, changed: usize, now: Timestamp) -> Option<Duration> {
        let begun = self.0.as_ref().filter(|untold| untold.commit == *commit);
        let since = begun.map_or(now, |untold| untold.since);
        self.0 = Some(Untold { commit: commit.clone(), since, changed });
        let past = Duration::try_from(now.duration_since(since)).ok()?;
        MOMENT.checked_sub(past).filter(|left| !left.is_zero())
    }

    /// It was told.
    pub fn over(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::branch::CommitInfo;

    #[test]
    fn what_is_over_within_a_moment_is_told_once_with_all_that_was_changed() {
        let (a, b) = (CommitInfo::of_digit('a').id, CommitInfo::of_digit('b').id);
        let (mut moment, began) = (Moment::default(), Timestamp::UNIX_EPOCH);
        assert_eq!((moment.changed(&a), moment.left(&a, 4, began)), (0, Some(MOMENT)));
        assert_eq!((moment.changed(&a), moment.left(&a, 5, began + MOMENT / 4)), (4, Some(MOMENT / 4 * 3)));
        assert_eq!((moment.changed(&a), moment.left(&a, 5, began + MOMENT)), (5, None), "it lasts");
        // Another commit has its own moment.
        assert_eq!((moment.changed(&b), moment.left(&b, 2, began + 2 * MOMENT)), (0, Some(MOMENT)));
        assert_eq!(moment.left(&b, 2, began), None, "the clock was set back");
        moment.over();
        assert_eq!(moment.changed(&b), 0);
    }
}
