//! Asks a web app ten times a second and remembers what it answered.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::eventually::eventually;
use crate::http::{Response, get};

/// How a web app served while it was watched.
#[derive(Clone, Debug)]
pub struct Service {
    /// How many answers came, good or not.
    pub answers: usize,
    /// What was not a good answer, and when since the beginning.
    pub failures: Vec<(Duration, String)>,
    /// For how long at a stretch nothing served: the longest time from one good answer to the next.
    pub longest_gap: Duration,
    last_good: Instant,
    /// When the newest question was asked that got a good answer.
    last_good_asked: Instant,
}

/// Asks until it is dropped. A question that waits for its answer holds up no other.
pub struct Prober {
    task: JoinHandle<()>,
    seen: Arc<Mutex<Service>>,
}

impl Prober {
    /// Begins to ask for `/` of `host` at `address`.
    pub fn start(address: String, host: String) -> Self {
        let began = Instant::now();
        let seen = Arc::new(Mutex::new(Service {
            answers: 0,
            failures: Vec::new(),
            longest_gap: Duration::ZERO,
            last_good: began,
            last_good_asked: began,
        }));
        let record = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let mut clock = interval(Duration::from_millis(100));
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            let mut open = JoinSet::new();
            loop {
                clock.tick().await;
                while open.try_join_next().is_some() {}
                let (address, host, record) = (address.clone(), host.clone(), Arc::clone(&record));
                open.spawn(async move {
                    let asked = Instant::now();
                    let answer = get(&address, &host, "/").await;
                    record.lock().expect("no holder of this lock panics").note(began, asked, answer);
                });
            }
        });
        Self { task, seen }
    }

    /// What was seen so far.
    pub fn so_far(&self) -> Service {
        self.seen.lock().expect("no holder of this lock panics").clone()
    }

    /// What was seen until the app gave a good answer to a question that was asked after this call.
    pub async fn until_it_serves(&self) -> Service {
        let called = Instant::now();
        eventually("the app serves", Duration::from_secs(60), async || {
            let seen = self.so_far();
            if seen.last_good_asked > called { Ok(seen) } else { Err(format!("{:?}", seen.failures.last())) }
        })
        .await
    }
}

impl Service {
    fn note(&mut self, began: Instant, asked: Instant, answer: Result<Response, String>) {
        let now = Instant::now();
        self.answers += 1;
        match answer {
            Ok(Response { status: 200, .. }) => {
                self.longest_gap = self.longest_gap.max(now - self.last_good);
                self.last_good = now;
                self.last_good_asked = self.last_good_asked.max(asked);
            }
            Ok(other) => self.failures.push((now - began, format!("{} {}", other.status, other.body.trim()))),
            Err(error) => self.failures.push((now - began, error)),
        }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}
