//! Who is reconciled next. Pure: time comes in as a value.
//!
//! Fair: first come, first served, each key at most once in the queue, and never two reconciles of one key at once. A key that
//! is asked for while it runs is run again afterwards. A key that fails waits, longer after each wait that did not help; nobody
//! else waits for it. A failure that an event brought about makes no wait longer: events come in bursts.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use tokio::time::Instant;

/// The first and the longest pause after failures.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// When an object wants to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something happens that concerns it.
    Await,
    /// After that time, or earlier when something happens.
    After(Duration),
    /// It could not begin: after that time, or earlier when something happens, as if it had not tried.
    Later(Duration),
    /// It failed for a reason that may pass: after a pause that grows with each failure.
    Retry,
}

/// Where a key stands.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Standing {
    /// It waits for its timer, or was never asked for.
    #[default]
    Idle,
    Queued,
    Running,
    /// It was asked for while it ran.
    RunningAgainNext,
}

#[derive(Default)]
struct Entry {
    standing: Standing,
    /// It was not asked for: its pause was over.
    after_pause: bool,
    failures: u32,
    timer: Option<(Instant, u64)>,
}

/// The queue of one controller.
pub struct Queue<K> {
    ready: VecDeque<K>,
    entries: HashMap<K, Entry>,
    timers: BTreeMap<(Instant, u64), K>,
    sequence: u64,
}

impl<K> Default for Queue<K> {
    fn default() -> Self {
        Self { ready: VecDeque::new(), entries: HashMap::new(), timers: BTreeMap::new(), sequence: 0 }
    }
}

impl<K: Clone + Eq + Hash> Queue<K> {
    /// Asks for a reconcile of `key` as soon as possible.
    pub fn push(&mut self, key: &K) {
        let entry = self.entries.entry(key.clone()).or_default();
        if let Some(timer) = entry.timer.take() {
            self.timers.remove(&timer);
        }
        match entry.standing {
            Standing::Idle => {
                entry.standing = Standing::Queued;
                self.ready.push_back(key.clone());
            }
            Standing::Running => entry.standing = Standing::RunningAgainNext,
            Standing::Queued | Standing::RunningAgainNext => {}
        }
    }

    /// The next key to run, if one is due at `now`. It counts as running until [`Queue::done`].
    pub fn pop(&mut self, now: Instant) -> Option<K> {
        while let Some((&timer, _)) = self.timers.iter().next() {
            if timer.0 > now {
                break;
            }
            if let Some(key) = self.timers.remove(&timer) {
                self.push(&key);
                self.entries.entry(key).or_default().after_pause = true;
            }
        }
        let key = self.ready.pop_front()?;
        let entry = self.entries.entry(key.clone()).or_default();
        entry.standing = Standing::Running;
        Some(key)
    }

    /// A reconcile ended. `jitter` from 0 to 1 spreads the pauses of many that failed together.
    pub fn done(&mut self, key: &K, next: Next, now: Instant, jitter: f64) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let again = entry.standing == Standing::RunningAgainNext;
        entry.standing = Standing::Idle;
        let waited = std::mem::take(&mut entry.after_pause);
        entry.failures = match next {
            Next::Retry if waited || entry.failures == 0 => entry.failures.saturating_add(1),
            Next::Retry | Next::Later(_) => entry.failures,
            Next::Await | Next::After(_) => 0,
        };
        if again {
            self.push(key);
            return;
        }
        let pause = match next {
            Next::Await => {
                self.entries.remove(key);
                return;
            }
            Next::After(pause) | Next::Later(pause) => pause,
            Next::Retry => back_off(entry.failures).mul_f64(0.8 + 0.4 * jitter),
        };
        self.sequence += 1;
        let timer = (now + pause, self.sequence);
        entry.timer = Some(timer);
        self.timers.insert(timer, key.clone());
    }

    /// When the next timer is due.
    pub fn next_timer(&self) -> Option<Instant> {
        self.timers.keys().next().map(|(at, _)| *at)
    }

    /// How many wait to run.
    pub fn waiting(&self) -> usize {
        self.ready.len()
    }
}

fn back_off(failures: u32) -> Duration {
    BACK_OFF.0.saturating_mul(2u32.saturating_pow(failures.saturating_sub(1).min(16))).min(BACK_OFF.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
        *START + Duration::from_secs(seconds)
    }

    #[test]
    fn a_key_is_queued_once_and_never_runs_twice_at_once() {
        let mut queue = Queue::default();
        queue.push(&"a");
        queue.push(&"b");
        queue.push(&"a");
        assert_eq!(queue.pop(at(0)), Some("a"));
        queue.push(&"a");
        assert_eq!(queue.pop(at(0)), Some("b"));
        assert_eq!(queue.pop(at(0)), None, "a still runs");
        queue.done(&"a", Next::Await, at(1), 0.5);
        assert_eq!(queue.pop(at(1)), Some("a"), "it was asked for while it ran");
        queue.done(&"a", Next::Await, at(2), 0.5);
        assert_eq!(queue.pop(at(1_000)), None);
    }

    #[test]
    fn failures_wait_longer_each_time_and_success_forgets_them() {
        let mut queue = Queue::default();
        queue.push(&"a");
        let mut now = at(0);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(queue.pop(now), Some("a"));
            queue.done(&"a", Next::Retry, now, 0.5);
            let due = queue.next_timer().expect("a timer");
            pauses.push((due - now).as_secs());
            now = due;
        }
        assert_eq!(pauses[..5], [1, 2, 4, 8, 16]);
        assert_eq!(pauses[11], 300);
        assert_eq!(queue.pop(now), Some("a"));
        queue.done(&"a", Next::After(Duration::from_secs(7)), now, 0.5);
        assert_eq!(queue.next_timer(), Some(now + Duration::from_secs(7)));
    }

    #[test]
    fn waiting_for_a_turn_forgets_no_failure() {
        let mut queue = Queue::default();
        queue.push(&"a");
        let mut now = at(0);
        for _ in 0..3 {
            queue.pop(now);
            queue.done(&"a", Next::Retry, now, 0.5);
            now = queue.next_timer().expect("a timer");
        }
        queue.pop(now);
        queue.done(&"a", Next::Later(Duration::from_secs(1)), now, 0.5);
        assert_eq!(queue.next_timer(), Some(now + Duration::from_secs(1)));
        now += Duration::from_secs(1);
        queue.pop(now);
        queue.done(&"a", Next::Retry, now, 0.5);
        assert_eq!(queue.next_timer(), Some(now + Duration::from_secs(8)), "the fourth failure");
    }

    #[test]
    fn a_burst_of_events_makes_no_pause_longer() {
        let mut queue = Queue::default();
        for _ in 0..20 {
            queue.push(&"a");
            assert_eq!(queue.pop(at(0)), Some("a"));
            queue.done(&"a", Next::Retry, at(0), 0.5);
        }
        assert_eq!(queue.next_timer(), Some(at(1)));
        assert_eq!(queue.pop(at(1)), Some("a"));
        queue.done(&"a", Next::Retry, at(1), 0.5);
        assert_eq!(queue.next_timer(), Some(at(3)));
    }

    #[test]
    fn an_event_cuts_a_pause_short() {
        let mut queue = Queue::default();
        queue.push(&"a");
        queue.pop(at(0));
        queue.done(&"a", Next::After(Duration::from_secs(100)), at(0), 0.0);
        assert_eq!(queue.pop(at(1)), None);
        queue.push(&"a");
        assert_eq!(queue.pop(at(1)), Some("a"));
        assert_eq!(queue.next_timer(), None, "the old timer is gone");
    }
}
