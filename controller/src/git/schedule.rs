//! Pure: when a repository is asked again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

const FIRST_RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_mins(5);
/// What a server asks for is honoured up to here: a mistake there must not stop a team for a day.
const LONGEST_ASKED: Duration = Duration::from_hours(1);
/// After a failure the server has at least this long, whoever asks for a look.
const SHORTEST_RETRY: Duration = Duration::from_secs(1);

/// How long to wait after a sync.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// Nothing cuts this part short.
    pub least: Duration,
    /// The whole of it, if nobody asks for a look sooner.
    pub most: Duration,
    /// Whether later waits will be no longer.
    steady: bool,
}

/// When a repository that fails is asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Then.
    At(Timestamp),
    /// Again and again, so far apart.
    Every(Duration),
}

/// The wait after a sync: the interval, or after `failures` in a row a doubling time of at most five minutes; spread by
/// `jitter` in 0..1 over ±10 %, so that repositories which started together do not stay together. What the server `asked` for,
/// up to an hour, is waited in full, and spread upwards only.
pub(super) fn next(interval: Duration, failures: u32, asked: Option<Duration>, jitter: f64) -> Wait {
    let spread = 0.9 + 0.2 * jitter;
    if failures == 0 {
        return Wait { least: Duration::ZERO, most: interval.mul_f64(spread), steady: true };
    }
    let base = FIRST_RETRY.saturating_mul(1 << (failures - 1).min(10)).min(LONGEST_RETRY);
    let asked = asked.map_or(SHORTEST_RETRY, |asked| asked.clamp(SHORTEST_RETRY, LONGEST_ASKED));
    let least = asked.mul_f64(1.0 + 0.1 * jitter);
    Wait { least, most: base.mul_f64(spread).max(least), steady: base == LONGEST_RETRY && least <= base }
}

impl Wait {
    /// What a person is told: a time while that changes, and then a rule, so that a status does not change for ever.
    pub(super) fn again(&self, now: Timestamp) -> Again {
        if self.steady {
            return Again::Every(LONGEST_RETRY);
        }
        let seconds = i64::try_from(self.most.as_secs() + 1).unwrap_or(i64::MAX);
        Again::At(now.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    #[test]
    fn failures_are_retried_ever_later_up_to_five_minutes() {
        let seconds: Vec<u64> = (0..9).map(|failures| next(MINUTE, failures, None, 0.5).most.as_secs()).collect();
        assert_eq!(seconds, [60, 5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(next(MINUTE, u32::MAX, None, 0.5).most.as_secs(), 300);
    }

    #[test]
    fn what_a_server_asks_for_is_waited_in_full_but_not_for_ever() {
        let least = |asked| next(MINUTE, 1, Some(Duration::from_secs(asked)), 0.0).least.as_secs();
        assert_eq!([0, 1, 120, 3600, 7200, u64::MAX].map(least), [1, 1, 120, 3600, 3600, 3600]);
        assert_eq!(next(MINUTE, 0, Some(MINUTE), 0.5).least, Duration::ZERO, "it answered since");
    }

    #[test]
    fn a_person_is_told_when_and_at_last_how_often() {
        let again = |failures, asked| next(MINUTE, failures, asked, 0.5).again(Timestamp::UNIX_EPOCH);
        let at = |second| Again::At(Timestamp::from_second(second).expect("a time"));
        assert_eq!([again(1, None), again(3, None)], [at(6), at(21)]);
        assert_eq!(again(7, None), Again::Every(LONGEST_RETRY));
        assert_eq!(again(9, Some(MINUTE)), Again::Every(LONGEST_RETRY));
        assert_eq!(again(9, Some(Duration::MAX)), at(3781));
    }

    proptest! {
        #[test]
        fn the_wait_stays_within_a_tenth(seconds in 5u32..86_400, jitter in 0.0f64..1.0) {
            let waited = next(Duration::from_secs(seconds.into()), 0, None, jitter).most.as_secs_f64();
            let asked = f64::from(seconds);
            prop_assert!(waited >= asked * 0.899 && waited <= asked * 1.101);
        }

        #[test]
        fn after_a_failure_no_wait_is_shorter_than_asked_or_longer_than_an_hour(
            failures in 1u32.., asked: Option<u32>, jitter in 0.0f64..1.0
        ) {
            let wait = next(MINUTE, failures, asked.map(|s| Duration::from_secs(s.into())), jitter);
            prop_assert!(wait.least >= Duration::from_secs(asked.unwrap_or(1).clamp(1, 3600).into()));
            prop_assert!(wait.least <= wait.most && wait.most <= Duration::from_secs(3961));
        }
    }
}
