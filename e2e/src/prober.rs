//! Asks a web app ten times a second and remembers what it answered.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::http::{Response, get};

/// How a web app served while it was watched.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// How often it was asked.
    pub asked: usize,
    /// What was not a good answer, and when since the beginning.
    pub failures: Vec<(Duration, String)>,
    /// For how long at a stretch nothing served: the longest, from the last good answer to the next.
    pub longest_gap: Duration,
}

/// Asks until it is told to stop. Dropped, it stops too.
pub struct Prober {
    task: JoinHandle<()>,
    seen: Arc<Mutex<Service>>,
}

impl Prober {
    /// Begins to ask for `/` of `host` at `address`.
    pub fn start(address: String, host: String) -> Self {
        let seen = Arc::new(Mutex::new(Service::default()));
        let record = Arc::clone(&seen);
        let task = tokio::spawn(async move {
            let began = Instant::now();
            let mut last_good = began;
            let mut clock = interval(Duration::from_millis(100));
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                clock.tick().await;
                let answer = get(&address, &host, "/").await;
                let now = Instant::now();
                let mut seen = record.lock().expect("no holder of this lock panics");
                seen.asked += 1;
                match answer {
                    Ok(Response { status: 200, .. }) => {
                        seen.longest_gap = seen.longest_gap.max(now - last_good);
                        last_good = now;
                    }
                    Ok(other) => seen.failures.push((now - began, format!("{} {}", other.status, other.body.trim()))),
                    Err(error) => seen.failures.push((now - began, error)),
                }
            }
        });
        Self { task, seen }
    }

    /// What was seen so far.
    pub fn so_far(&self) -> Service {
        self.seen.lock().expect("no holder of this lock panics").clone()
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}
