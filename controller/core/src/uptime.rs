//! When an app is awake: windows of the week, read in a time zone, and what a person says over them.
//!
//! A window is a state and no event: what the clock says now decides, whatever was missed. A window begins on its days and may end on
//! the day after. A time that a clock change skips is the moment of that change; of one that it repeats, the first counts.

mod word;

use drover_crds as crds;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use crate::schedule::{InvalidSchedule, TIME_ZONE, time_zone};

pub use word::Word;

/// Days that are looked back: a window that began two days ago is over, but for what a clock change may add.
const BACK: i64 = -2;
/// Days that are looked ahead. Windows come again each week, and of one a clock change may leave nothing.
const AHEAD: i64 = 15;
/// Who is awake for so long has windows without a gap.
const ENDLESS: SignedDuration = SignedDuration::from_hours(8 * 24);
/// The minutes of a day.
const DAY: i16 = 24 * 60;

/// Why an uptime is not taken: one sentence that says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUptime {
    /// No time of the day.
    #[error(
        "spec.uptime.windows[{window}].{field} is {text:?}, which is no time of the day: write hours and minutes in quotes, such as \"08:00\", from \"00:00\" to {last:?}"
    )]
    Time {
        /// Which window, from 0.
        window: usize,
        /// `from` or `to`.
        field: &'static str,
        /// What is written.
        text: String,
        /// The last time that can be written there.
        last: &'static str,
    },
    /// A window of no length, or of a day.
    #[error(
        "spec.uptime.windows[{window}] begins and ends at {time}: write two times, or from \"00:00\" to \"24:00\" for whole days"
    )]
    Empty {
        /// Which window, from 0.
        window: usize,
        /// The time.
        time: String,
    },
    /// A time zone that is not one.
    #[error("spec.uptime.timeZone: {0}")]
    Zone(#[from] InvalidSchedule),
}

/// Windows that can be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Windows {
    /// The name of the time zone.
    name: String,
    zone: TimeZone,
    each: Vec<Window>,
}

/// One of them, in minutes of the day.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Window {
    /// On which days it begins, from Monday on.
    days: [bool; 7],
    from: i16,
    to: i16,
}

/// Whether an app is awake, and when that changes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Whether it is asleep.
    pub asleep: bool,
    /// Until when; `None` for as long as nobody says otherwise.
    pub until: Option<Timestamp>,
    /// Because a person said so, and the windows do not.
    pub asked: bool,
}

/// A window of one day.
struct Span {
    from: Edge,
    to: Edge,
}

/// When a window begins or ends.
struct Edge {
    at: Timestamp,
    /// As it is written, by the clock on that wall.
    written: DateTime,
    shift: Shift,
}

/// What a clock change does to a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shift {
    None,
    Skipped,
    Repeated,
}

impl Windows {
    /// Reads an uptime.
    ///
    /// # Errors
    /// A sentence that says what to write instead.
    ///
    /// # Panics
    /// Never: the time zones of the database can be read.
    pub fn of(uptime: &crds::Uptime) -> Result<Self, InvalidUptime> {
        let name = uptime.time_zone.as_deref().unwrap_or(TIME_ZONE);
        let zone = TimeZone::tzif(name, time_zone(name)?).expect("the database's own time zones can be read");
        let windows = uptime.windows.iter().enumerate().map(|(number, window)| Window::of(number, window));
        let mut each = windows.collect::<Result<Vec<_>, _>>()?;
        if uptime.on_demand == Some(true) {
            each.clear();
        }
        Ok(Self { name: name.to_owned(), zone, each })
    }

    /// Whether there is none, so that only a person wakes the app.
    pub fn is_empty(&self) -> bool {
        self.each.is_empty()
    }

    /// Whether the app is awake at that time, where a person said that.
    pub fn judge(&self, word: &Word, now: Timestamp) -> Reading {
        let by_the_clock = self.by_the_clock(now);
        let Some((asleep, said_until)) = word.counts(now) else { return by_the_clock };
        let then = self.by_the_clock(said_until);
        let until = if then.asleep == asleep { then.until } else { Some(said_until) };
        Reading { asleep, until, asked: by_the_clock.asleep != asleep }
    }

    /// Whether the app is awake at that time, where nobody says anything.
    pub fn by_the_clock(&self, now: Timestamp) -> Reading {
        let spans: Vec<Span> = self.spans(now).filter(|span| span.from.at < span.to.at).collect();
        let mut end = now;
        while let Some(later) =
            spans.iter().filter(|span| span.from.at <= end && end < span.to.at).map(|span| span.to.at).max()
        {
            end = later;
        }
        if end > now {
            let until = Some(end).filter(|end| end.duration_since(now) < ENDLESS);
            return Reading { asleep: false, until, asked: false };
        }
        let until = spans.iter().map(|span| span.from.at).filter(|from| *from > now).min();
        Reading { asleep: true, until, asked: false }
    }

    /// When the window ends that is open, or else the next one. `None` where none ever does.
    pub fn next_end(&self, now: Timestamp) -> Option<Timestamp> {
        let reading = self.by_the_clock(now);
        if reading.asleep { self.by_the_clock(reading.until?).until } else { reading.until }
    }

    /// When the next window begins after the one that is open. `None` where none ever does.
    pub fn next_begin(&self, now: Timestamp) -> Option<Timestamp> {
        let reading = self.by_the_clock(now);
        if reading.asleep { reading.until } else { self.by_the_clock(reading.until?).until }
    }

    /// When to read again, at the latest: what a clock change does is told on the day before.
    pub fn read_again(&self, reading: &Reading, now: Timestamp) -> Timestamp {
        let today = self.zone.to_datetime(now).date();
        let midnight = today.tomorrow().ok().and_then(|tomorrow| self.edge(tomorrow, 0));
        let midnight = midnight.map_or(now + SignedDuration::from_hours(24), |edge| edge.at);
        reading.until.map_or(midnight, |until| until.min(midnight))
    }

    /// "asleep until 08:00 on Saturday, 28 November (Europe/London)".
    pub fn phrase(&self, reading: &Reading) -> String {
        let state = if reading.asleep { "asleep" } else { "awake" };
        let asked = if reading.asked { ", as somebody asked" } else { "" };
        match (reading.until, reading.asleep) {
            (Some(until), _) => format!("{state} until {}{asked}", self.local(until)),
            (None, true) => "asleep until somebody wakes it with `drover wake`".to_owned(),
            (None, false) => "awake, because its windows leave no time to sleep".to_owned(),
        }
    }

    /// A moment by the clock of the time zone: "08:00 on Saturday, 28 November (Europe/London)".
    pub fn local(&self, at: Timestamp) -> String {
        format!("{} ({})", self.zone.to_datetime(at).strftime("%H:%M on %A, %-d %B"), self.name)
    }

    /// What a clock change does to the windows of today and tomorrow, a sentence each.
    pub fn changes(&self, now: Timestamp) -> Vec<String> {
        let today = self.zone.to_datetime(now).date();
        let near = |edge: &Edge| {
            edge.at > now
                && edge.shift != Shift::None
                && (edge.written.date() == today || today.tomorrow().is_ok_and(|next| next == edge.written.date()))
        };
        let mut told = Vec::new();
        for Span { from, to } in self.spans(now) {
            let edges =
                if from.at >= to.at { vec![(&from, None)] } else { vec![(&from, Some("begins")), (&to, Some("ends"))] };
            let said = edges.into_iter().filter(|(edge, _)| near(edge)).map(|(edge, does)| self.change(edge, does));
            told.extend(said);
        }
        told.sort();
        told.dedup();
        told
    }

    /// What a clock change does to that edge of a window; `does` says which it is, where the window comes at all.
    fn change(&self, edge: &Edge, does: Option<&str>) -> String {
        let time = edge.written.strftime("%H:%M on %A, %-d %B");
        let utc = TimeZone::UTC.to_datetime(edge.at).strftime("%H:%M");
        let local = self.zone.to_datetime(edge.at).strftime("%H:%M");
        match (does, edge.shift) {
            (None, _) => format!("{time} is skipped by a clock change, and the window that begins then with it"),
            (Some(does), Shift::Skipped) => {
                format!("{time} is skipped by a clock change: the window {does} at {local}, which is {utc} UTC")
            }
            (Some(does), _) => {
                format!("{time} comes twice, by a clock change: the window {does} the first time, at {utc} UTC")
            }
        }
    }

    /// The windows of the days around that time, also those that a clock change leaves nothing of.
    fn spans(&self, now: Timestamp) -> impl Iterator<Item = Span> {
        let today = self.zone.to_datetime(now).date();
        let days = (BACK..=AHEAD).filter_map(move |day| today.checked_add(day.days()).ok());
        days.flat_map(move |date| {
            let begins = move |window: &&Window| window.days[days_since_monday(date)];
            self.each.iter().filter(begins).filter_map(move |window| {
                let end = if window.to > window.from { date } else { date.tomorrow().ok()? };
                Some(Span { from: self.edge(date, window.from)?, to: self.edge(end, window.to)? })
            })
        })
    }

    /// The moment of that minute of that day. `None` beyond the years that there are.
    fn edge(&self, date: Date, minute: i16) -> Option<Edge> {
        let date = if minute == DAY { date.tomorrow().ok()? } else { date };
        let [hour, minute] = [minute % DAY / 60, minute % 60].map(|part| i8::try_from(part).unwrap_or_default());
        let written = date.at(hour, minute, 0, 0);
        let (at, shift) = match self.zone.to_ambiguous_timestamp(written).offset() {
            AmbiguousOffset::Unambiguous { offset } => (offset.to_timestamp(written), Shift::None),
            AmbiguousOffset::Fold { before, .. } => (before.to_timestamp(written), Shift::Repeated),
            AmbiguousOffset::Gap { before, after } => {
                // By the offset that holds afterwards it would be before the change.
                let earlier = after.to_timestamp(written).ok()?;
                let change = self.zone.following(earlier).find(|change| change.offset() == after);
                (change.map_or_else(|| before.to_timestamp(written), |change| Ok(change.timestamp())), Shift::Skipped)
            }
        };
        Some(Edge { at: at.ok()?, written, shift })
    }
}

impl Window {
    fn of(number: usize, window: &crds::UptimeWindow) -> Result<Self, InvalidUptime> {
        let time = |field, text: &str, last: &'static str| {
            let minute = minute(text).filter(|_| text <= last);
            minute.ok_or_else(|| InvalidUptime::Time {
                window: number,
                field,
                text: text.chars().take(20).collect(),
                last,
            })
        };
        let (from, to) = (time("from", &window.from, "23:59")?, time("to", &window.to, "24:00")?);
        if from == to {
            return Err(InvalidUptime::Empty { window: number, time: window.from.clone() });
        }
        let mut days = [window.days.is_empty(); 7];
        for day in &window.days {
            days[*day as usize] = true;
        }
        Ok(Self { days, from, to })
    }
}

fn days_since_monday(date: Date) -> usize {
    usize::try_from(date.weekday().to_monday_zero_offset()).unwrap_or_default()
}

/// The minute of the day that is written as `HH:MM`.
fn minute(text: &str) -> Option<i16> {
    let &[a, b, b':', c, d] = text.as_bytes() else { return None };
    let [a, b, c, d] = [a, b, c, d].map(|digit| digit.is_ascii_digit().then(|| i16::from(digit - b'0')));
    let (hours, minutes) = (a? * 10 + b?, c? * 10 + d?);
    (minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests;
