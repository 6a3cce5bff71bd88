//! What a person reads and is told of a queue. Time comes in as a value.

use drover_crds::condition::{self, DEAD_LETTERS, MESSAGES_HELD, Outcome, SOURCE_UNAVAILABLE, WORKERS_NOT_CONNECTED};
use drover_crds::{ActiveMq, QueueProcessorSpec, QueueProcessorStatus, QueueSourceStatus, QueueStatus, UptimeState};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::jolokia::{DeadLetter, Numbers};
use super::unasked::Unasked;
use crate::news::News;
use crate::release;

/// Whether something is so, and whether for long enough to be told: what is so for a moment is nobody's matter, and what was told before
/// stays told while it is so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lasting {
    /// It is not so.
    #[default]
    No,
    /// It is so, for how long yet nobody knows.
    Briefly,
    /// It is so, and has been for a while.
    Long,
}

/// The workers that are ready, beside the consumers that the broker counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attendance {
    /// How many workers are ready.
    pub ready: i64,
    /// Whether the broker counts fewer consumers.
    pub short: Lasting,
}

/// Messages that come back from workers while none gets done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stuck {
    /// Since when none was done.
    pub since: Time,
    /// How often one was handed to a consumer since then that has it no more.
    pub came_back: i64,
}

/// What is known of a queue, as it is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
    /// The answer has not come yet.
    NotYet,
    /// These are its numbers.
    Numbers {
        /// They themselves.
        numbers: Numbers,
        /// Since when they are these.
        as_of: Time,
        /// Since when it is idle.
        idle_since: Option<Time>,
        /// Whether consumers hold more than they work on.
        held: Lasting,
        /// Who takes them.
        workers: Attendance,
        /// Messages that do not get done.
        stuck: Option<Stuck>,
        /// The first of those that the broker gave up on, where it tells.
        first_dead: Option<DeadLetter>,
    },
    /// Nobody has declared it.
    Undeclared {
        /// Since when.
        since: Time,
        /// Who would take messages from it.
        workers: Attendance,
    },
    /// It cannot be asked.
    Unknown {
        /// Since when.
        since: Time,
        /// Why.
        why: Unasked,
    },
}

/// Why no worker runs where none does, of workers whose number a queue decides; `None` for a fixed number.
pub fn idle(spec: &QueueProcessorSpec) -> Option<String> {
    let source = spec.scaling.as_ref().and(spec.source.as_ref())?;
    Some(format!("no worker runs until there are messages in the queue {}", source.activemq.queue))
}

/// Writes down what is known of the queue of that spec.
pub fn note(
    status: &mut QueueProcessorStatus,
    spec: &QueueProcessorSpec,
    told: &Told,
    generation: Option<i64>,
    now: &Time,
) {
    let Some(source) = &spec.source else {
        (status.queue, status.source) = (None, None);
        for kind in [SOURCE_UNAVAILABLE, MESSAGES_HELD, WORKERS_NOT_CONNECTED, DEAD_LETTERS] {
            condition::clear(&mut status.conditions, kind);
        }
        return;
    };
    let queue = &source.activemq.queue;
    let reached = |status: &mut QueueProcessorStatus, message: Option<String>| {
        let since = status.source.as_ref().filter(|before| before.reachable).and_then(|before| before.since.clone());
        let since = since.or_else(|| Some(now.clone()));
        status.source = Some(QueueSourceStatus { reachable: true, since, message });
        condition::clear(&mut status.conditions, SOURCE_UNAVAILABLE);
    };
    match told {
        Told::NotYet => {}
        Told::Numbers { numbers, as_of, idle_since, held, workers, first_dead, .. } => {
            reached(status, None);
            let grew_at = dead_letters_grew_at(status.queue.as_ref(), numbers.dead, now);
            status.queue = Some(QueueStatus {
                ready: numbers.ready,
                in_flight: numbers.in_flight,
                consumers: numbers.consumers,
                dead_letters: numbers.dead,
                dead_letters_grew_at: grew_at.clone(),
                as_of: Some(as_of.clone()),
                idle_since: idle_since.clone(),
            });
            say(status, MESSAGES_HELD, "Prefetch", *held, || self::held(&source.activemq, numbers), (generation, now));
            let sentence = || not_connected(queue, workers.ready, Some(numbers.consumers));
            say(status, WORKERS_NOT_CONNECTED, "FewerConsumers", workers.short, sentence, (generation, now));
            let dead = numbers.dead.unwrap_or(0);
            let sentence = || given_up(&source.activemq, dead, grew_at.as_ref(), first_dead.as_ref());
            let there = if dead > 0 { Lasting::Long } else { Lasting::No };
            say(status, DEAD_LETTERS, "GivenUp", there, sentence, (generation, now));
        }
        Told::Undeclared { workers, .. } => {
            let scaled = if spec.scaling.is_some() { ", so one worker runs, which may declare it" } else { "" };
            reached(status, Some(format!("nobody has declared the queue {queue} yet{scaled}")));
            status.queue = None;
            condition::clear(&mut status.conditions, MESSAGES_HELD);
            let sentence = || not_connected(queue, workers.ready, None);
            say(status, WORKERS_NOT_CONNECTED, "FewerConsumers", workers.short, sentence, (generation, now));
        }
        Told::Unknown { since, why } => {
            let holds = if spec.scaling.is_some() { "; the number of workers stays as it is until then" } else { "" };
            let before = status.source.as_ref().filter(|before| !before.reachable);
            let since = before.and_then(|before| before.since.clone()).unwrap_or_else(|| since.clone());
            let sentence = format!("{why}{holds}");
            condition::set(&mut status.conditions, SOURCE_UNAVAILABLE, "True", why.label(), &sentence, generation, now);
            let message = Some(why.to_string());
            status.source = Some(QueueSourceStatus { reachable: false, since: Some(since), message });
        }
    }
}

/// Sets a condition where something has lasted, and clears it where it is not so.
fn say(
    status: &mut QueueProcessorStatus,
    kind: &str,
    reason: &str,
    lasting: Lasting,
    sentence: impl FnOnce() -> String,
    (generation, now): (Option<i64>, &Time),
) {
    match lasting {
        Lasting::No => condition::clear(&mut status.conditions, kind),
        Lasting::Briefly => {}
        Lasting::Long => {
            condition::set(&mut status.conditions, kind, "True", reason, &sentence(), generation, now);
        }
    }
}

/// When there were last more dead letters than before; those that were there at the first look came at a time that nobody knows.
fn dead_letters_grew_at(before: Option<&QueueStatus>, dead: Option<i64>, now: &Time) -> Option<Time> {
    let (before, dead) = (before?, dead.filter(|dead| *dead > 0)?);
    if dead > before.dead_letters.unwrap_or(0) { Some(now.clone()) } else { before.dead_letters_grew_at.clone() }
}

/// `consumers` is `None` where there is not even the queue.
fn not_connected(queue: &str, ready: i64, consumers: Option<i64>) -> String {
    let workers = if ready == 1 { "1 worker is ready".to_owned() } else { format!("{ready} workers are ready") };
    let seen = match consumers {
        None => format!("the broker has no queue {queue}"),
        Some(0) => format!("the broker counts no consumer of the queue {queue}"),
        Some(1) => format!("the broker counts 1 consumer of the queue {queue}"),
        Some(count) => format!("the broker counts {count} consumers of the queue {queue}"),
    };
    let idle = match ready - consumers.unwrap_or(0) {
        all if all == ready && ready == 1 => "it takes nothing from it".to_owned(),
        all if all == ready => "none of them takes anything from it".to_owned(),
        some => format!("at least {some} of them take nothing from it"),
    };
    format!(
        "{workers}, but {seen}, so {idle}: see in the logs of the workers whether they connect to the broker of spec.source and subscribe to this queue, and whether it refuses their user or password"
    )
}

fn given_up(source: &ActiveMq, dead: i64, grew_at: Option<&Time>, first: Option<&DeadLetter>) -> String {
    let lie = if dead == 1 { "1 message lies".to_owned() } else { format!("{dead} messages lie") };
    let whose = if source.dead_letter_queue.is_none() { ", which all queues of the broker share" } else { "" };
    let grew = grew_at.map(|at| format!(", the newest since {}", moment(at))).unwrap_or_default();
    let first = first.map_or_else(String::new, |DeadLetter { id, is_own }| {
        let from = match is_own {
            Some(true) => format!(", from the queue {}", source.queue),
            Some(false) => ", from another queue".to_owned(),
            None => String::new(),
        };
        format!("; the first is {id}{from}")
    });
    format!(
        "{lie} in the dead letter queue {}{whose}{grew}{first}: look at them in the broker's console, and move them back when what failed is mended, or delete them",
        source.dead_letters()
    )
}

/// A time, as it stands in a sentence.
fn moment(time: &Time) -> impl std::fmt::Display {
    time.0.strftime("%H:%M UTC on %-d %B")
}

/// The reasons of problems that are a worker's own end.
const ENDS: [&str; 3] = ["CrashLoopBackOff", "Error", "OOMKilled"];

/// The outcome, with a word on the messages where workers end again and again while the broker hands messages out and none gets done.
pub fn suspect(mut outcome: Outcome, status: &QueueProcessorStatus, spec: &QueueProcessorSpec, told: &Told) -> Outcome {
    let ends = status.rollout.release.as_ref().and_then(|release| release.problem.as_ref());
    let ends = ends.is_some_and(|problem| ENDS.contains(&problem.reason.as_str()));
    if let (true, Told::Numbers { stuck: Some(Stuck { since, came_back }), .. }, Some(source)) =
        (ends, told, &spec.source)
        && let Outcome::InProgress { message, .. } | Outcome::Failed { message, .. } | Outcome::Stalled { message, .. } =
            &mut outcome
    {
        let word = format!(
            "; since {} messages of the queue {} have come back from workers {came_back} times and none was done, so one of them may end each worker that takes it: see the last lines of its log, have the worker reject (nack) what it cannot do, or take that message out of the queue",
            moment(since),
            source.activemq.queue
        );
        message.push_str(&word);
    }
    outcome
}

fn held(source: &ActiveMq, numbers: &Numbers) -> String {
    format!(
        "{} messages of the queue {} are in flight at {} consumers, so these take messages ahead which other workers could work on: have the workers subscribe with activemq.prefetchSize 1 (jms.prefetchPolicy.queuePrefetch=1 with a JMS client)",
        numbers.in_flight, source.queue, numbers.consumers
    )
}

/// What a person is told of, between two statuses: releases, how many workers run, and what becomes of the queue.
pub fn news(before: &QueueProcessorStatus, after: &QueueProcessorStatus) -> Vec<News> {
    let mut news = release::news(before, after);
    let said = |status: &QueueProcessorStatus, kind: &str| condition::get(&status.conditions, kind).cloned();
    for kind in [SOURCE_UNAVAILABLE, MESSAGES_HELD, WORKERS_NOT_CONNECTED] {
        let (was, is) = (said(before, kind), said(after, kind));
        if let Some(is) = is.filter(|is| was.is_none_or(|was| was.reason != is.reason)) {
            news.push(News::warning(is.reason, is.message));
        }
    }
    if said(before, SOURCE_UNAVAILABLE).is_some() && said(after, SOURCE_UNAVAILABLE).is_none() {
        news.push(News::normal("SourceAvailable", "The queue can be asked again"));
    }
    news.extend(scaled(before, after));
    let dead = |status: &QueueProcessorStatus| status.queue.as_ref().and_then(|queue| queue.dead_letters);
    let (was, is) = (dead(before).unwrap_or(0), dead(after).unwrap_or(0));
    // Those of before the first look are nobody's news.
    if before.queue.is_some() && is > was {
        let note = format!("{is} messages are in the dead letter queue, {} more than before", is - was);
        news.push(News::warning("DeadLetters", note));
    }
    news
}

/// Another number of workers, where the queue asked for it.
fn scaled(before: &QueueProcessorStatus, after: &QueueProcessorStatus) -> Option<News> {
    let count = |status: &QueueProcessorStatus| status.rollout.replicas.as_ref().map(|replicas| replicas.desired);
    let (was, is) = (count(before)?, count(after)?);
    let is_awake = |status: &QueueProcessorStatus| {
        status.rollout.uptime.as_ref().is_none_or(|uptime| uptime.state == UptimeState::Awake)
    };
    after.source.as_ref().filter(|_| was != is && is_awake(before) && is_awake(after))?;
    let why = after.queue.as_ref().map_or_else(
        || "nobody has declared the queue yet".to_owned(),
        |queue| format!("{} messages wait and {} are in flight", queue.ready, queue.in_flight),
    );
    Some(News::normal("Scaled", format!("From {was} to {is} workers: {why}")))
}
