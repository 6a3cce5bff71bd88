//! Pure: when a repository is asked again.

use std::time::Duration;

const FIRST_RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_mins(5);

/// The wait after a sync: the interval, or after `failures` in a row a doubling time of at most five minutes; spread by
/// `jitter` in 0..1 over ±10 %, so that repositories which started together do not stay together.
pub(super) fn next(interval: Duration, failures: u32, jitter: f64) -> Duration {
    let base = match failures {
        0 => interval,
        n => FIRST_RETRY.saturating_mul(1 << (n - 1).min(10)).min(LONGEST_RETRY),
    };
    base.mul_f64(0.9 + 0.2 * jitter)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn failures_are_retried_ever_later_up_to_five_minutes() {
        let interval = Duration::from_mins(1);
        let seconds: Vec<u64> = (0..9).map(|failures| next(interval, failures, 0.5).as_secs()).collect();
        assert_eq!(seconds, [60, 5, 10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(next(interval, u32::MAX, 0.5).as_secs(), 300);
    }

    proptest! {
        #[test]
        fn the_wait_stays_within_a_tenth(seconds in 5u32..86_400, jitter in 0.0f64..1.0) {
            let waited = next(Duration::from_secs(seconds.into()), 0, jitter).as_secs_f64();
            let asked = f64::from(seconds);
            prop_assert!(waited >= asked * 0.899 && waited <= asked * 1.101);
        }
    }
}
