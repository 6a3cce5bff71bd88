//! Who is reconciled next. Pure: time comes in as a value.
//!
//! Fair: first come, first served, each key at most once in the queue, and never two reconciles of one key at once. A key that
//! is asked for while it runs is run again afterwards. A key that fails waits, longer after each wait that did not help; nobody
//! else waits for it. A failure that an event brought about makes no wait longer: events come in bursts.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::hash::Hash;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

/// The first and the longest pause after failures.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));

/// How often the clock on the wall is looked at for those who wait for a time of it: it may be set, and goes on while a machine sleeps.
const WALL: Duration = Duration::from_secs(20);

/// What both clocks say.
#[derive(Clone, Copy, Debug)]
pub struct Now {
    /// The monotonic one, by which pauses go.
    pub steady: Instant,
    /// The one on the wall, which may be set.
    pub wall: Timestamp,
}

/// When an object wants to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something happens that concerns it.
    Await,
    /// After that time, or earlier when something happens.
    After(Duration),
    /// When the clock on the wall comes to that time, or is set back; after that pause, where there is one; or earlier when something
    /// happens.
    At {
        /// The time.
        time: Timestamp,
        /// What that clock said when this was found out.
        judged: Timestamp,
        /// The pause.
        pause: Option<Duration>,
    },
    /// It could not begin: after that time, or earlier when something happens, as if it had not tried.
    Later(Duration),
    /// It failed for a reason that may pass: after a pause that grows with each failure.
    Retry,
}

impl Next {
    /// The same, and no later than when the clock on the wall, which says `now`, comes to `time`.
    #[must_use]
    pub fn by(self, time: Option<Timestamp>, now: Timestamp) -> Self {
        match (self, time) {
            (Self::Await, Some(time)) => Self::At { time, judged: now, pause: None },
            (Self::After(pause), Some(time)) => Self::At { time, judged: now, pause: Some(pause) },
            (Self::At { time: other, judged, pause }, Some(time)) => Self::At { time: other.min(time), judged, pause },
            (next, _) => next,
        }
    }

    /// The same, and no later than after that pause.
    #[must_use]
    pub fn sooner(self, wait: Duration) -> Self {
        match self {
            Self::Await => Self::After(wait),
            Self::After(other) => Self::After(other.min(wait)),
            Self::At { time, judged, pause } => Self::At { time, judged, pause: pause.into_iter().chain([wait]).min() },
            other => other,
        }
    }
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
    /// What its timer is for, where that is a time of the clock on the wall.
    awaited: Option<Awaited>,
}

/// A time of the clock on the wall.
#[derive(Clone, Copy)]
struct Awaited {
    time: Timestamp,
    /// What that clock said when it was looked at last.
    seen: Timestamp,
    /// When the pause is over.
    until: Option<Instant>,
}

impl Awaited {
    /// When to look at the clock on the wall again; `None` when the wait is over.
    fn look_again(&self, now: Now) -> Option<Instant> {
        let is_over =
            self.time <= now.wall || now.wall < self.seen || self.until.is_some_and(|until| until <= now.steady);
        let rest = Duration::try_from(self.time.duration_since(now.wall)).unwrap_or_default();
        let look = now.steady + rest.min(WALL);
        (!is_over).then(|| self.until.map_or(look, |until| until.min(look)))
    }
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
        entry.awaited = None;
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
    pub fn pop(&mut self, now: Now) -> Option<K> {
        while let Some((&timer, _)) = self.timers.iter().next() {
            if timer.0 > now.steady {
                break;
            }
            let Some(key) = self.timers.remove(&timer) else { continue };
            if let Some(awaited) = self.entries.get(&key).and_then(|entry| entry.awaited)
                && let Some(look) = awaited.look_again(now)
            {
                self.arm(&key, look, Some(Awaited { seen: now.wall, ..awaited }));
                continue;
            }
            self.push(&key);
            self.entries.entry(key).or_default().after_pause = true;
        }
        let key = self.ready.pop_front()?;
        let entry = self.entries.entry(key.clone()).or_default();
        entry.standing = Standing::Running;
        Some(key)
    }

    /// A reconcile ended. `jitter` from 0 to 1 spreads the pauses of many that failed together.
    pub fn done(&mut self, key: &K, next: Next, now: Now, jitter: f64) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        let again = entry.standing == Standing::RunningAgainNext;
        entry.standing = Standing::Idle;
        let waited = std::mem::take(&mut entry.after_pause);
        entry.failures = match next {
            Next::Retry if waited || entry.failures == 0 => entry.failures.saturating_add(1),
            Next::Retry | Next::Later(_) => entry.failures,
            Next::Await | Next::After(_) | Next::At { .. } => 0,
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
            Next::At { time, judged, pause } => {
                let awaited = Awaited { time, seen: judged, until: pause.map(|pause| now.steady + pause) };
                let look = awaited.look_again(now).unwrap_or(now.steady);
                self.arm(key, look, Some(awaited));
                return;
            }
            Next::After(pause) | Next::Later(pause) => pause,
            Next::Retry => back_off(entry.failures).mul_f64(0.8 + 0.4 * jitter),
        };
        self.arm(key, now.steady + pause, None);
    }

    /// Sets the timer of a key, which has none.
    fn arm(&mut self, key: &K, at: Instant, awaited: Option<Awaited>) {
        self.sequence += 1;
        let timer = (at, self.sequence);
        let entry = self.entries.entry(key.clone()).or_default();
        entry.timer = Some(timer);
        entry.awaited = awaited;
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

    /// Both clocks, seconds after the start of the tests.
    fn now(seconds: u64) -> Now {
        by_wall(seconds, i64::try_from(seconds).expect("few"))
    }

    /// The same, with a clock on the wall that says something else.
    fn by_wall(seconds: u64, wall: i64) -> Now {
        Now { steady: at(seconds), wall: Timestamp::from_second(1_000_000 + wall).expect("in range") }
    }

    /// The clock on the wall goes with the monotonic one.
    fn both(steady: Instant) -> Now {
        now((steady - at(0)).as_secs())
    }

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
        assert_eq!(queue.pop(now(0)), Some("a"));
        queue.push(&"a");
        assert_eq!(queue.pop(now(0)), Some("b"));
        assert_eq!(queue.pop(now(0)), None, "a still runs");
        queue.done(&"a", Next::Await, now(1), 0.5);
        assert_eq!(queue.pop(now(1)), Some("a"), "it was asked for while it ran");
        queue.done(&"a", Next::Await, now(2), 0.5);
        assert_eq!(queue.pop(now(1_000)), None);
    }

    #[test]
    fn failures_wait_longer_each_time_and_success_forgets_them() {
        let mut queue = Queue::default();
        queue.push(&"a");
        let mut time = at(0);
        let mut pauses = Vec::new();
        for _ in 0..12 {
            assert_eq!(queue.pop(both(time)), Some("a"));
            queue.done(&"a", Next::Retry, both(time), 0.5);
            let due = queue.next_timer().expect("a timer");
            pauses.push((due - time).as_secs());
            time = due;
        }
        assert_eq!(pauses[..5], [1, 2, 4, 8, 16]);
        assert_eq!(pauses[11], 300);
        assert_eq!(queue.pop(both(time)), Some("a"));
        queue.done(&"a", Next::After(Duration::from_secs(7)), both(time), 0.5);
        assert_eq!(queue.next_timer(), Some(time + Duration::from_secs(7)));
    }

    #[test]
    fn waiting_for_a_turn_forgets_no_failure() {
        let mut queue = Queue::default();
        queue.push(&"a");
        let mut time = at(0);
        for _ in 0..3 {
            queue.pop(both(time));
            queue.done(&"a", Next::Retry, both(time), 0.5);
            time = queue.next_timer().expect("a timer");
        }
        queue.pop(both(time));
        queue.done(&"a", Next::Later(Duration::from_secs(1)), both(time), 0.5);
        assert_eq!(queue.next_timer(), Some(time + Duration::from_secs(1)));
        time += Duration::from_secs(1);
        queue.pop(both(time));
        queue.done(&"a", Next::Retry, both(time), 0.5);
        assert_eq!(queue.next_timer(), Some(time + Duration::from_secs(8)), "the fourth failure");
    }

    #[test]
    fn a_burst_of_events_makes_no_pause_longer() {
        let mut queue = Queue::default();
        for _ in 0..20 {
            queue.push(&"a");
            assert_eq!(queue.pop(now(0)), Some("a"));
            queue.done(&"a", Next::Retry, now(0), 0.5);
        }
        assert_eq!(queue.next_timer(), Some(at(1)));
        assert_eq!(queue.pop(now(1)), Some("a"));
        queue.done(&"a", Next::Retry, now(1), 0.5);
        assert_eq!(queue.next_timer(), Some(at(3)));
    }

    #[test]
    fn an_event_cuts_a_pause_short() {
        let mut queue = Queue::default();
        queue.push(&"a");
        queue.pop(now(0));
        queue.done(&"a", Next::After(Duration::from_secs(100)), now(0), 0.0);
        assert_eq!(queue.pop(now(1)), None);
        queue.push(&"a");
        assert_eq!(queue.pop(now(1)), Some("a"));
        assert_eq!(queue.next_timer(), None, "the old timer is gone");
    }

    #[test]
    fn a_time_on_the_wall_is_come_to_however_that_clock_goes() {
        let time = now(3600).wall;
        let awaiting = |pause| {
            let mut queue = Queue::default();
            queue.push(&"a");
            queue.pop(now(0));
            queue.done(&"a", Next::At { time, judged: now(0).wall, pause }, now(0), 0.5);
            queue
        };
        let mut queue = awaiting(None);
        for second in (20..3600).step_by(20) {
            assert_eq!(queue.next_timer(), Some(at(second)));
            assert_eq!(queue.pop(now(second)), None);
        }
        assert_eq!(queue.pop(now(3599)), None);
        assert_eq!((queue.next_timer(), queue.pop(now(3600))), (Some(at(3600)), Some("a")));
        // Set forth, as after a machine slept; and set back.
        for wall in [3600, 5000, 1, -100] {
            let mut queue = awaiting(None);
            assert_eq!(queue.pop(now(20)), None);
            assert_eq!(queue.pop(by_wall(40, wall)), Some("a"), "{wall}");
        }
        let mut queue = awaiting(Some(Duration::from_secs(30)));
        assert_eq!(queue.pop(now(20)), None);
        assert_eq!((queue.next_timer(), queue.pop(now(30))), (Some(at(30)), Some("a")));
        // It is past already.
        let mut queue = awaiting(None);
        queue.push(&"a");
        queue.pop(now(4000));
        queue.done(&"a", Next::At { time, judged: now(4000).wall, pause: None }, now(4000), 0.5);
        assert_eq!(queue.pop(now(4000)), Some("a"));
        // It was set back while the object was looked at.
        queue.done(&"a", Next::At { time: now(9000).wall, judged: now(8000).wall, pause: None }, now(4001), 0.5);
        assert_eq!(queue.pop(now(4001)), Some("a"));
    }
}
