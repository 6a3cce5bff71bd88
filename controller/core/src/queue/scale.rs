//! How many workers a queue asks for.

use drover_crds::{Duration, Scaling};

use super::jolokia::Numbers;

/// By what a number of workers is decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// At least.
    pub least: i32,
    /// At most.
    pub most: i32,
    /// Messages for each; more than 0.
    pub each: i64,
    /// Seconds without a message before workers go.
    pub cooldown: u64,
}

impl Terms {
    /// What a spec says, with every default. What it says wrong is taken as the nearest that makes sense: a queue is no place for a failure.
    pub fn of(scaling: &Scaling) -> Self {
        let most = scaling.max_replicas.max(0);
        Self {
            least: scaling.min_replicas.unwrap_or(0).clamp(0, most),
            most,
            each: i64::from(scaling.messages_per_replica.unwrap_or(1).max(1)),
            cooldown: scaling.cooldown.map_or(300, Duration::as_secs),
        }
    }
}

/// What is known of a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing yet.
    NotYet,
    /// Its numbers.
    Numbers(Numbers),
    /// Nobody has declared it yet.
    Undeclared,
    /// It cannot be asked.
    Unknown,
}

/// Whether nothing waits and nothing is in flight: only then does the time run after which workers go.
pub fn is_idle(seen: Seen) -> bool {
    match seen {
        Seen::Numbers(numbers) => numbers.messages() == 0,
        Seen::Undeclared => true,
        Seen::NotYet | Seen::Unknown => false,
    }
}

/// How many workers are to run, where `now` run, and the queue has been idle for so many seconds.
///
/// More come at once. Fewer only when the queue was idle for the whole cooldown: while any message is there nobody knows which worker has
/// it. What is not known changes nothing. The bounds of the spec hold always.
pub fn wanted(seen: Seen, idle_seconds: Option<u64>, now: Option<i32>, terms: Terms) -> i32 {
    let Terms { least, most, each, cooldown } = terms;
    let bounded = |count: i32| count.clamp(least, most);
    let asked = match seen {
        Seen::NotYet | Seen::Unknown => return bounded(now.unwrap_or(least)),
        // Most workers declare their queue.
        Seen::Undeclared => bounded(1),
        Seen::Numbers(numbers) => {
            let messages = numbers.messages();
            let needed = messages / each + i64::from(messages % each != 0);
            bounded(i32::try_from(needed).unwrap_or(i32::MAX))
        }
    };
    let now = bounded(now.unwrap_or(least));
    let has_cooled = is_idle(seen) && idle_seconds.is_some_and(|seconds| seconds >= cooldown);
    if asked > now || has_cooled { asked } else { now }
}
