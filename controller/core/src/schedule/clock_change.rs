//! What a clock change does to a schedule, told the day before, with times in UTC.

use drover_crds::condition::{self, CLOCK_CHANGE};
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::Schedule;
use super::times::Change;

/// How long ago a clock change may have been that is not over: what it repeats comes within a day.
const OVER: SignedDuration = SignedDuration::from_hours(48);

/// What becomes of readings of the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shift {
    /// They do not come.
    Skipped,
    /// They come twice.
    Repeated,
}

/// A clock change that takes runs of a schedule away, or adds some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockChange {
    shift: Shift,
    at: Timestamp,
    /// The first moment of the day before: from then on it is told.
    told_from: Timestamp,
    /// When it is over, and what it repeats too.
    until: Timestamp,
    zone: String,
    /// How many readings it skips or repeats, the first and the last of them.
    count: usize,
    first: DateTime,
    last: DateTime,
    /// The two moments at which the first one comes, where it comes twice.
    moments: [Timestamp; 2],
}

impl Schedule {
    /// The next clock change that does something to it and is not over. `None` where none ever does.
    fn clock_change(&self, now: Timestamp) -> Option<ClockChange> {
        let since = now - OVER;
        self.changes(since).filter_map(|change| self.read_change(&change)).find(|change| change.until > now)
    }

    fn read_change(&self, change: &Change) -> Option<ClockChange> {
        let readings: Vec<DateTime> = self.readings(change).collect();
        let (first, last) = (*readings.first()?, *readings.last()?);
        let told_from = first.date().yesterday().ok()?.to_zoned(self.zone.clone()).ok()?.timestamp();
        let moments =
            |reading: DateTime| [change.before, change.after].map(|shown| change.at + reading.duration_since(shown));
        let [_, last_moment] = moments(last);
        let (shift, until) = if change.is_gap() {
            (Shift::Skipped, change.at)
        } else {
            (Shift::Repeated, last_moment + SignedDuration::from_mins(1))
        };
        Some(ClockChange {
            shift,
            at: change.at,
            told_from,
            until,
            zone: self.time_zone().to_owned(),
            count: readings.len(),
            first,
            last,
            moments: moments(first),
        })
    }
}

impl ClockChange {
    /// What becomes of the runs of a job, which are left to Kubernetes.
    pub fn of_job(&self, job: &str) -> String {
        let (what, [once, again]) = (self.what(), self.moments.map(|at| self.utc(at)));
        match (self.shift, self.count) {
            (Shift::Skipped, _) => format!(
                "{what}: the job {job} does not run then; write another hour in its schedule where that matters"
            ),
            (Shift::Repeated, 1) => format!(
                "{what}: the job {job} runs at {once} and again at {again}; write another hour in its schedule where that matters"
            ),
            (Shift::Repeated, count) => format!(
                "{what}: the job {job} runs {count} times from {once} on, and again from {again} on; write other hours in its schedule where that matters"
            ),
        }
    }

    /// What becomes of drover's own work, which `is_done`.
    pub fn of_own(&self, is_done: &str) -> String {
        let (what, [once, again]) = (self.what(), self.moments.map(|at| self.utc(at)));
        let at = self.utc(self.at);
        match (self.shift, self.count) {
            (Shift::Skipped, _) => format!("{what}: it {is_done} at {at} instead"),
            (Shift::Repeated, 1) => {
                format!("{what}: it {is_done} at {once}, and again at {again} only where that failed")
            }
            (Shift::Repeated, _) => {
                format!("{what}: it {is_done} from {once} on, and again from {again} on only where that failed")
            }
        }
    }

    /// "01:30 on Sunday, 28 March (Europe/London) is skipped by a clock change at 01:00 UTC".
    fn what(&self) -> String {
        let (first, last) = (self.first.strftime("%H:%M"), self.last.strftime("%H:%M"));
        let day = self.first.strftime("%A, %-d %B");
        let (times, verb) = match (self.count, self.shift) {
            (1, Shift::Skipped) => (first.to_string(), "is skipped"),
            (1, Shift::Repeated) => (first.to_string(), "comes twice,"),
            (_, Shift::Skipped) => (format!("What it does from {first} to {last}"), "is skipped"),
            (_, Shift::Repeated) => (format!("What it does from {first} to {last}"), "comes twice,"),
        };
        format!("{times} on {day} ({}) {verb} by a clock change at {}", self.zone, self.utc(self.at))
    }

    /// "00:30 UTC", with its day where that is another one there.
    fn utc(&self, at: Timestamp) -> String {
        let utc = TimeZone::UTC.to_datetime(at);
        let day = if utc.date() == self.first.date() { "" } else { " on %-d %B" };
        utc.strftime(&format!("%H:%M UTC{day}")).to_string()
    }
}

/// What is told of clock changes now, and when that is to be told otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Told {
    reason: Option<&'static str>,
    sentences: Vec<String>,
    /// When to read again.
    pub again: Option<Timestamp>,
}

impl Told {
    /// With what a clock change does to that schedule, in the words of `sentence`.
    #[must_use]
    pub fn with(mut self, schedule: &Schedule, now: Timestamp, sentence: impl Fn(&ClockChange) -> String) -> Self {
        let Some(change) = schedule.clock_change(now) else { return self };
        let again = if change.told_from > now { change.told_from } else { change.until };
        self.again = self.again.into_iter().chain([again]).min();
        if change.told_from <= now {
            self.reason.get_or_insert(match change.shift {
                Shift::Skipped => "TimeSkipped",
                Shift::Repeated => "TimeRepeated",
            });
            self.sentences.push(sentence(&change));
        }
        self
    }

    /// Writes it down, or takes away what was told before.
    pub fn note(&self, conditions: &mut Vec<Condition>, generation: Option<i64>, now: &Time) {
        match self.reason {
            None => condition::clear(conditions, CLOCK_CHANGE),
            Some(reason) => {
                let message = self.sentences.join("; ");
                condition::set(conditions, CLOCK_CHANGE, "True", reason, &message, generation, now);
            }
        }
    }
}
