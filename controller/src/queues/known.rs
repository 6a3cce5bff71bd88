//! What is known of one queue, and whether its owner has to be told. Pure: time comes in as a value.

use std::time::Duration;

use drover_core::queue::{
    Attendance, Counters, DeadLetter, Lasting, Numbers, Reading, Seen, Stuck, Terms, Told, Unasked, is_idle, wanted,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tokio::time::Instant;

/// Numbers that ask for nothing are told no more often than that.
const NUMBERS: Duration = Duration::from_secs(30);
/// After so many answers in a row what they say is no moment's matter.
const LASTING: u32 = 3;
/// So long a worker that is ready may take to connect to its broker.
const CONNECTS_WITHIN: Duration = Duration::from_mins(1);
/// Of a worker that ends once its messages come back too.
const ONCE: i64 = 1;

/// What an owner waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// By what it decides how many workers run, where the queue decides that now.
    pub terms: Option<Terms>,
    /// How many run.
    pub current: Option<i32>,
    /// How many of them are ready.
    pub ready: i64,
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
    /// How many workers are ready.
    ready: i64,
    /// How many answers in a row counted fewer consumers, and since when.
    short: Option<(u32, Instant)>,
    /// What the broker had counted when the last message got done, and since when none has.
    undone: Option<(Counters, Timestamp)>,
    /// What the broker has counted by now.
    counters: Counters,
    /// The first dead letter, and of how many that is known.
    first_dead: Option<(DeadLetters, Option<DeadLetter>)>,
    /// What its owner has looked at last, and when.
    looked: Option<(Glance, Instant)>,
}

/// Which dead letters there are, as far as numbers tell: how many, and how many there ever were.
pub(super) type DeadLetters = (i64, Option<i64>);

/// What an owner has seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Glance {
    seen: Seen,
    why: Option<&'static str>,
    held: Lasting,
    short: Lasting,
    first_dead: Option<String>,
}

impl Glance {
    /// Whether the other differs from it in more than in numbers.
    fn is_like(&self, other: &Self) -> bool {
        let is_same = std::mem::discriminant(&self.seen) == std::mem::discriminant(&other.seen);
        is_same
            && (self.why, self.held, self.short, &self.first_dead)
                == (other.why, other.held, other.short, &other.first_dead)
    }
}

impl Default for Known {
    fn default() -> Self {
        Self {
            seen: Seen::NotYet,
            why: None,
            since: Timestamp::UNIX_EPOCH,
            idle_since: None,
            held: 0,
            ready: 0,
            short: None,
            undone: None,
            counters: Counters::default(),
            first_dead: None,
            looked: None,
        }
    }
}

impl Known {
    /// Takes in an answer, which came at `now`; `time` is what a person is told of that.
    pub(super) fn hear(&mut self, answer: Result<Reading, Unasked>, now: Instant, time: Timestamp) {
        let (seen, counters, why) = match answer {
            Ok(Reading::Numbers(numbers, counters)) => (Seen::Numbers(numbers), Some(counters), None),
            Ok(Reading::Undeclared) => (Seen::Undeclared, None, None),
            Err(why) => (Seen::Unknown, None, Some(why)),
        };
        if self.seen != seen {
            self.since = time;
        }
        // What was not known may have had messages meanwhile, and who has just declared a queue is given the time as well.
        let is_like_before = std::mem::discriminant(&self.seen) == std::mem::discriminant(&seen);
        self.idle_since = is_idle(seen).then(|| self.idle_since.filter(|_| is_like_before).unwrap_or((now, time)));
        self.held = if holds_ahead(seen) { self.held.saturating_add(1) } else { 0 };
        self.short = self.is_short_of(seen).then(|| {
            let (answers, since) = self.short.unwrap_or((0, now));
            (answers.saturating_add(1), since)
        });
        let counters = counters.unwrap_or_default();
        let is_undone = matches!(seen, Seen::Numbers(numbers) if numbers.messages() > 0);
        // A broker that starts anew counts from 0.
        let goes_on = |(before, _): &(Counters, Timestamp)| {
            counters.done.is_some() && before.done == counters.done && before.handed_out <= counters.handed_out
        };
        self.undone = is_undone.then(|| self.undone.filter(goes_on).unwrap_or((counters, time)));
        (self.seen, self.why, self.counters) = (seen, why, counters);
        if self.dead_letters().is_none() {
            self.first_dead = None;
        }
    }

    /// So many workers are ready from now on. One that has just become so is given the time to connect.
    pub(super) fn attend(&mut self, ready: i64) {
        let are_more = ready > self.ready;
        self.ready = ready;
        if are_more || !self.is_short_of(self.seen) {
            self.short = None;
        }
    }

    /// Which dead letters nobody has looked at yet.
    pub(super) fn unseen_dead_letters(&self) -> Option<DeadLetters> {
        let there = self.dead_letters()?;
        self.first_dead.as_ref().is_none_or(|(seen, _)| *seen != there).then_some(there)
    }

    /// The first of those dead letters, where the broker tells.
    pub(super) fn find_first_dead(&mut self, of: DeadLetters, first: Option<DeadLetter>) {
        if self.dead_letters() == Some(of) {
            self.first_dead = Some((of, first));
        }
    }

    fn dead_letters(&self) -> Option<DeadLetters> {
        let Seen::Numbers(Numbers { dead: Some(dead), .. }) = self.seen else { return None };
        (dead > 0).then_some((dead, self.counters.dead))
    }

    /// Whether the broker counts fewer consumers than there are workers that are ready.
    fn is_short_of(&self, seen: Seen) -> bool {
        match seen {
            Seen::Numbers(numbers) => numbers.consumers < self.ready,
            Seen::Undeclared => self.ready > 0,
            Seen::NotYet | Seen::Unknown => false,
        }
    }

    /// Whether it cannot be asked.
    pub(super) fn is_unknown(&self) -> bool {
        self.seen == Seen::Unknown
    }

    /// What is known at `now`. Its owner looks at it, and so need not be told of it.
    pub(super) fn look(&mut self, now: Instant) -> Sight {
        self.looked = Some((self.glance(now), now));
        let since = Time(self.since);
        let told = match (self.seen, &self.why) {
            (Seen::Numbers(numbers), _) => Told::Numbers {
                numbers,
                as_of: since,
                idle_since: self.idle_since.map(|(_, time)| Time(time)),
                held: self.held(),
                workers: self.attendance(now),
                stuck: self.stuck(),
                first_dead: self.first_dead.as_ref().and_then(|(_, first)| first.clone()),
            },
            (Seen::Undeclared, _) => Told::Undeclared { since, workers: self.attendance(now) },
            (Seen::Unknown, Some(why)) => Told::Unknown { since, why: why.clone() },
            (Seen::NotYet | Seen::Unknown, _) => Told::NotYet,
        };
        Sight { seen: self.seen, idle_seconds: self.idle_seconds(now), told }
    }

    /// Whether its owner has to look: another number of workers is wanted, or people are to be told of something.
    pub(super) fn is_to_be_told(&self, waits: Waits, now: Instant) -> bool {
        let Some((looked, at)) = &self.looked else { return true };
        let glance = self.glance(now);
        let asks_for_others = waits
            .terms
            .zip(waits.current)
            .is_some_and(|(terms, current)| wanted(self.seen, self.idle_seconds(now), Some(current), terms) != current);
        asks_for_others || !looked.is_like(&glance) || (*looked != glance && now.duration_since(*at) >= NUMBERS)
    }

    fn idle_seconds(&self, now: Instant) -> Option<u64> {
        self.idle_since.map(|(since, _)| now.duration_since(since).as_secs())
    }

    fn held(&self) -> Lasting {
        match self.held {
            0 => Lasting::No,
            answers if answers < LASTING => Lasting::Briefly,
            _ => Lasting::Long,
        }
    }

    /// Whether workers take nothing from the queue, and have not for a while.
    pub(super) fn short(&self, now: Instant) -> Lasting {
        let is_long =
            |(answers, since): (u32, Instant)| answers >= LASTING && now.duration_since(since) >= CONNECTS_WITHIN;
        if !self.is_short_of(self.seen) {
            Lasting::No
        } else if self.short.is_some_and(is_long) {
            Lasting::Long
        } else {
            Lasting::Briefly
        }
    }

    fn attendance(&self, now: Instant) -> Attendance {
        Attendance { ready: self.ready, short: self.short(now) }
    }

    fn stuck(&self) -> Option<Stuck> {
        let ((before, since), Seen::Numbers(numbers)) = (self.undone?, self.seen) else { return None };
        let came_back = self.counters.handed_out? - before.handed_out? - numbers.in_flight;
        (came_back > ONCE).then_some(Stuck { since: Time(since), came_back })
    }

    fn glance(&self, now: Instant) -> Glance {
        Glance {
            seen: self.seen,
            why: self.why.as_ref().map(Unasked::label),
            held: self.held(),
            short: self.short(now),
            first_dead: self.first_dead.as_ref().and_then(|(_, first)| Some(first.as_ref()?.id.clone())),
        }
    }
}

/// Whether consumers hold more than one message each while none waits: those that are not worked on could be worked on by others.
fn holds_ahead(seen: Seen) -> bool {
    matches!(seen, Seen::Numbers(Numbers { ready: 0, in_flight, consumers, .. }) if in_flight > consumers)
}
