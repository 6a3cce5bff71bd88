//! Times as a person reads and writes them: `chrono`'s, here and nowhere else. All others are `jiff`'s, of which Kubernetes' own
//! types are made.

use std::time::SystemTime;

use chrono::{SecondsFormat, Utc};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::clock;

/// A moment of the clock on the wall.
pub type Moment = chrono::DateTime<Utc>;

/// Now.
pub fn now() -> Moment {
    SystemTime::from(clock::now()).into()
}

/// A moment as an annotation's value: fine enough that two commands differ.
pub fn stamp(moment: Moment) -> String {
    moment.to_rfc3339_opts(SecondsFormat::Millis, true)
}

/// The time between `then` and `now`, in the largest unit that is not zero: `12s`, `5m`, `3h`, `4d`. A clock that is ahead of
/// ours gives `0s`.
pub fn age(now: Moment, then: &Time) -> String {
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
    fn a_stamp_is_read_by_kubernetes() {
        let moment = Moment::from_timestamp_millis(1_000_000_123).expect("in range");
        assert_eq!(stamp(moment), "1970-01-12T13:46:40.123Z");
    }

    #[test]
    fn a_time_ahead_of_the_clock_is_now() {
        let now = Moment::from_timestamp(1_000_000, 0).expect("in range");
        let time = |second| Time(jiff::Timestamp::from_second(second).expect("in range"));
        assert_eq!(age(now, &time(999_940)), "60s");
        assert_eq!(age(now, &time(1_000_030)), "0s");
    }
}
