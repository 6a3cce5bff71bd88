//! What is known of one queue, and whether its owner has to be told. Pure: time comes in as a value.

use std::time::Duration;

use drover_core::queue::{Numbers, Reading, Seen, Terms, Told, Unasked, is_idle, wanted};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

/// Numbers that ask for nothing are told no more often than that.
const NUMBERS: Duration = Duration::from_secs(30);
/// After so many answers in a row it is no moment's matter that consumers hold messages ahead.
const HELD: u32 = 3;

/// What an owner waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Waits {
    /// By what it decides how many workers run.
    pub terms: Terms,
    /// How many run.
    pub current: Option<i32>,
}

/// What is known of a queue at a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sight {
    /// For the decision.
    pub seen: Seen,
    /// Seconds since when it is idle, while it is.
    pub idle_seconds: Option<u64>,
    /// For people.
    pub told: Told,
}

/// What is known of one queue.
#[derive(Debug)]
pub(super) struct Known {
    seen: Seen,
    why: Option<Unasked>,
    /// Since when that is seen.
    since: Timestamp,
    idle_since: Option<(Instant, Timestamp)>,
    /// How many answers in a row said that consumers hold messages ahead.
    held: u32,
    /// What its owner has looked at last, and when.
    looked: Option<(Glance, Instant)>,
}

/// What an owner has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Glance {
    seen: Seen,
    why: Option<&'static str>,
    is_held: bool,
}

impl Glance {
    /// Whether the other differs from it in more than in numbers.
    fn is_like(&self, other: &Self) -> bool {
        let is_same = std::mem::discriminant(&self.seen) == std::mem::discriminant(&other.seen);
        is_same && self.why == other.why && self.is_held == other.is_held
    }
}

impl Default for Known {
    fn default() -> Self {
        Self { seen: Seen::NotYet, why: None, since: Timestamp::UNIX_EPOCH, idle_since: None, held: 0, looked: None }
    }
}

impl Known {
    /// Takes in an answer, which came at `now`; `time` is what a person is told of that.
    pub(super) fn hear(&mut self, answer: Result<Reading, Unasked>, now: Instant, time: Timestamp) {
        let (seen, why) = match answer {
            Ok(Reading::Numbers(numbers)) => (Seen::Numbers(numbers), None),
            Ok(Reading::Undeclared) => (Seen::Undeclared, None),
            Err(why) => (Seen::Unknown, Some(why)),
        };
        if self.seen != seen {
            self.since = time;
        }
        // What was not known may have had messages meanwhile, and who has just declared a queue is given the time as well.
        let is_like_before = std::mem::discriminant(&self.seen) == std::mem::discriminant(&seen);
        self.idle_since = is_idle(seen).then(|| self.idle_since.filter(|_| is_like_before).unwrap_or((now, time)));
        self.held = if holds_ahead(seen) { self.held.saturating_add(1) } else { 0 };
        (self.seen, self.why) = (seen, why);
    }

    /// Whether it cannot be asked.
    pub(super) fn is_unknown(&self) -> bool {
        self.seen == Seen::Unknown
    }

    /// What is known at `now`. Its owner looks at it, and so need not be told of it.
    pub(super) fn look(&mut self, now: Instant) -> Sight {
        self.looked = Some((self.glance(), now));
        let since = Time(self.since);
        let told = match (self.seen, &self.why) {
            (Seen::Numbers(numbers), _) => Told::Numbers {
                numbers,
                as_of: since,
                idle_since: self.idle_since.map(|(_, time)| Time(time)),
                is_held: self.is_held(),
            },
            (Seen::Undeclared, _) => Told::Undeclared { since },
            (Seen::Unknown, Some(why)) => Told::Unknown { since, why: why.clone() },
            (Seen::NotYet | Seen::Unknown, _) => Told::NotYet,
        };
        Sight { seen: self.seen, idle_seconds: self.idle_seconds(now), told }
    }

    /// Whether its owner has to look: another number of workers is wanted, or people are to be told of something.
    pub(super) fn is_to_be_told(&self, waits: Option<Waits>, now: Instant) -> bool {
        let Some((looked, at)) = &self.looked else { return true };
        let glance = self.glance();
        let asks_for_others = waits.is_some_and(|Waits { terms, current }| {
            current.is_some_and(|current| wanted(self.seen, self.idle_seconds(now), Some(current), terms) != current)
        });
        asks_for_others || !looked.is_like(&glance) || (*looked != glance && now.duration_since(*at) >= NUMBERS)
    }

    fn idle_seconds(&self, now: Instant) -> Option<u64> {
        self.idle_since.map(|(since, _)| now.duration_since(since).as_secs())
    }

    fn is_held(&self) -> bool {
        self.held >= HELD
    }

    fn glance(&self) -> Glance {
        Glance { seen: self.seen, why: self.why.as_ref().map(Unasked::label), is_held: self.is_held() }
    }
}

/// Whether consumers hold more than one message each while none waits: those that are not worked on could be worked on by others.
fn holds_ahead(seen: Seen) -> bool {
    matches!(seen, Seen::Numbers(Numbers { ready: 0, in_flight, consumers, .. }) if in_flight > consumers)
}
