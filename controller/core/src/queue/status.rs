//! What a person reads and is told of a queue. Time comes in as a value.

use drover_crds::condition::{self, MESSAGES_HELD, SOURCE_UNAVAILABLE};
use drover_crds::{ActiveMq, QueueProcessorSpec, QueueProcessorStatus, QueueSourceStatus, QueueStatus, UptimeState};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::jolokia::Numbers;
use super::unasked::Unasked;
use crate::news::News;
use crate::release;

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
        /// Consumers hold more than they work on, for longer than a moment.
        is_held: bool,
    },
    /// Nobody has declared it.
    Undeclared {
        /// Since when.
        since: Time,
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
        condition::clear(&mut status.conditions, SOURCE_UNAVAILABLE);
        condition::clear(&mut status.conditions, MESSAGES_HELD);
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
        Told::Numbers { numbers, as_of, idle_since, is_held } => {
            reached(status, None);
            status.queue = Some(QueueStatus {
                ready: numbers.ready,
                in_flight: numbers.in_flight,
                consumers: numbers.consumers,
                dead_letters: numbers.dead,
                as_of: Some(as_of.clone()),
                idle_since: idle_since.clone(),
            });
            if *is_held {
                let sentence = held(&source.activemq, numbers);
                condition::set(&mut status.conditions, MESSAGES_HELD, "True", "Prefetch", &sentence, generation, now);
            } else {
                condition::clear(&mut status.conditions, MESSAGES_HELD);
            }
        }
        Told::Undeclared { .. } => {
            let scaled = if spec.scaling.is_some() { ", so one worker runs, which may declare it" } else { "" };
            reached(status, Some(format!("nobody has declared the queue {queue} yet{scaled}")));
            status.queue = None;
            condition::clear(&mut status.conditions, MESSAGES_HELD);
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
    for kind in [SOURCE_UNAVAILABLE, MESSAGES_HELD] {
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
