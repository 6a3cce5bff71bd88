//! When a schedule runs: at each minute whose reading, by the clock of its time zone, its fields allow. A reading that a clock change
//! skips does not run, and one that it repeats runs twice, as with a `CronJob`.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::{InvalidSchedule, Set, TIME_ZONE, fields, time_zone};

/// Days after which a schedule that has not come never does: from one 29 February to the next there may be eight years.
const DAYS: usize = 8 * 366 + 1;
/// The minutes of a day.
const DAY: u32 = 24 * 60;
/// The hours of a day, as bits.
const ALL_HOURS: u64 = (1 << 24) - 1;

/// A schedule that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    text: String,
    name: String,
    pub(super) zone: TimeZone,
    fields: [Set; 5],
}

/// A time of a schedule of drover's own work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Slot {
    /// Kubernetes begins it.
    OfKubernetes(Timestamp),
    /// A clock change skipped it, so that drover makes up for it.
    Skipped(Timestamp),
}

impl Slot {
    /// When it is due.
    pub const fn at(self) -> Timestamp {
        match self {
            Self::OfKubernetes(at) | Self::Skipped(at) => at,
        }
    }
}

impl Schedule {
    /// Reads a schedule, and the time zone by which it goes: `UTC` where none is named.
    ///
    /// # Errors
    /// A sentence that says what to write instead.
    ///
    /// # Panics
    /// Never: the time zones of the database can be read.
    pub fn read(text: &str, zone: Option<&str>) -> Result<Self, InvalidSchedule> {
        let (fields, name) = (fields(text)?, zone.unwrap_or(TIME_ZONE));
        let zone = TimeZone::tzif(name, time_zone(name)?).expect("the database's own time zones can be read");
        Ok(Self { text: text.to_owned(), name: name.to_owned(), zone, fields })
    }

    /// The five fields, as they are written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The name of its time zone.
    pub fn time_zone(&self) -> &str {
        &self.name
    }

    /// Whether it runs in each hour of its days. Then a clock change neither takes a run away nor adds one: an hour passes between two.
    pub fn runs_each_hour(&self) -> bool {
        let [_, hours, ..] = self.fields;
        hours.bits == ALL_HOURS
    }

    /// The first time after that one at which Kubernetes begins a run. `None` where it never does.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let minutes = after.as_second().div_euclid(60);
        let mut from = Timestamp::from_second((minutes + 1) * 60).ok()?;
        // Between two clock changes each reading comes once.
        loop {
            let reading = self.reading(self.zone.to_datetime(from))?;
            let at = self.zone.to_offset(from).to_timestamp(reading).ok()?;
            match self.zone.following(from).next() {
                Some(change) if change.timestamp() <= at => from = change.timestamp(),
                _ => return Some(at),
            }
        }
    }

    /// The first time after that one at which work of drover's own is due, which makes up for what a clock change skips.
    pub fn next_slot(&self, after: Timestamp) -> Option<Slot> {
        let next = self.next(after);
        let skipped = self.changes(after).take_while(|change| next.is_none_or(|next| change.at < next));
        let skipped = skipped.filter(|change| self.is_made_up(change)).map(|change| Slot::Skipped(change.at)).next();
        skipped.or_else(|| next.map(Slot::OfKubernetes))
    }

    /// Whether drover makes up for what that change skips: not where Kubernetes begins a run at that very minute.
    pub(super) fn is_made_up(&self, change: &Change) -> bool {
        change.is_gap() && self.readings(change).next().is_some() && self.next(change.before()) != Some(change.at)
    }

    /// The clock changes after that time, as far as anybody may plan.
    pub(super) fn changes(&self, after: Timestamp) -> impl Iterator<Item = Change> {
        const MOST: usize = 64;
        self.zone.following(after).take(MOST).map(|found| {
            let at = found.timestamp();
            let before = self.zone.to_datetime(at - SignedDuration::from_secs(1));
            let before = before.saturating_add(SignedDuration::from_secs(1));
            Change { at, before, after: self.zone.to_datetime(at) }
        })
    }

    /// The readings of this schedule that a clock change skips or repeats. None where it runs in each hour.
    pub(super) fn readings(&self, change: &Change) -> impl Iterator<Item = DateTime> {
        let (from, to) = (change.before.min(change.after), change.before.max(change.after));
        let minute = SignedDuration::from_mins(1);
        let first = if self.runs_each_hour() { None } else { self.reading(from) };
        std::iter::successors(first, move |reading| self.reading(reading.checked_add(minute).ok()?))
            .take_while(move |reading| *reading < to)
    }

    /// The first reading, from that one on, that the fields allow.
    fn reading(&self, from: DateTime) -> Option<DateTime> {
        let [minutes, hours, ..] = self.fields;
        let part = |number: i8| u32::try_from(number).unwrap_or_default();
        let mut least = part(from.hour()) * 60 + part(from.minute());
        let mut date = from.date();
        for _ in 0..DAYS {
            let minutes_of_the_day = if self.is_day(date) { least..DAY } else { 0..0 };
            let mut found = minutes_of_the_day.map(|minute| (minute / 60, minute % 60));
            let found = found.find(|(hour, minute)| hours.has(*hour) && minutes.has(*minute));
            if let Some((hour, minute)) = found {
                let [hour, minute] = [hour, minute].map(|number| i8::try_from(number).unwrap_or_default());
                return Some(date.at(hour, minute, 0, 0));
            }
            (date, least) = (date.tomorrow().ok()?, 0);
        }
        None
    }

    /// Of two fields for days that restrict, either will do.
    fn is_day(&self, date: Date) -> bool {
        let [_, _, days, months, weekdays] = self.fields;
        let number = |number: i8| u32::try_from(number).unwrap_or_default();
        let by_day = days.has(number(date.day()));
        let by_weekday = weekdays.has(number(date.weekday().to_sunday_zero_offset()));
        let is_day = if days.star || weekdays.star { by_day && by_weekday } else { by_day || by_weekday };
        months.has(number(date.month())) && is_day
    }
}

/// A clock change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// When.
    pub(super) at: Timestamp,
    /// What the clock would have shown then.
    pub(super) before: DateTime,
    /// What it shows.
    pub(super) after: DateTime,
}

impl Change {
    /// Whether readings are skipped.
    pub(super) fn is_gap(&self) -> bool {
        self.after > self.before
    }

    /// A moment before it.
    fn before(&self) -> Timestamp {
        self.at - SignedDuration::from_secs(1)
    }
}
