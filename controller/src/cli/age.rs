//! How long ago something was, as a person says it.

use chrono::{DateTime, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// The time between `then` and `now`, in the largest unit that is not zero: `12s`, `5m`, `3h`, `4d`. A clock that is ahead of
/// ours gives `0s`.
pub fn age(now: DateTime<Utc>, then: &Time) -> String {
    span(now.timestamp().saturating_sub(then.0.as_second()))
}

/// A number of seconds in the largest unit that is not zero.
pub fn span(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..=119 => format!("{s}s"),
        s @ 120..=7199 => format!("{}m", s / 60),
        s @ 7200..=172_799 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_unit_that_says_something() {
        for (seconds, text) in [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (7199, "119m"),
            (7200, "2h"),
            (172_800, "2d"),
            (9_000_000, "104d"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn a_time_ahead_of_the_clock_is_now() {
        let now = DateTime::from_timestamp(1_000_000, 0).expect("in range");
        let time = |second| Time(jiff::Timestamp::from_second(second).expect("in range"));
        assert_eq!(age(now, &time(999_940)), "60s");
        assert_eq!(age(now, &time(1_000_030)), "0s");
    }
}
