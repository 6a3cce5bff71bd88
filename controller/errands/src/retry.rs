//! What a request's failure is worth: another try, a try later, none.

use std::time::Duration;

use drover_core::errand::{Reason, Refusal};
use tokio::time::{Instant, sleep};

/// How often a request is made that could succeed the next time.
const ATTEMPTS: u32 = 4;

/// The time before the second attempt; it doubles.
const PAUSE: Duration = Duration::from_millis(250);

/// A request that failed.
pub struct Fault {
    pub refusal: Refusal,
    pub retry: Retry,
}

/// Whether asking again can help.
#[derive(Clone, Copy)]
pub enum Retry {
    Never,
    Soon,
    /// The server said when.
    After(Duration),
}

impl Fault {
    /// For a passing reason, perhaps.
    pub fn passing(reason: Reason, sentence: impl Into<String>) -> Self {
        Self { refusal: Refusal::new(reason, sentence), retry: Retry::Soon }
    }
}

impl From<Refusal> for Fault {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, retry: Retry::Never }
    }
}

/// Tries until it works, or cannot, or the deadline would pass.
pub async fn patiently<T>(deadline: Instant, mut attempt: impl AsyncFnMut() -> Result<T, Fault>) -> Result<T, Refusal> {
    let (mut attempts, mut pause) = (1, PAUSE);
    loop {
        let Fault { mut refusal, retry } = match attempt().await {
            Ok(done) => return Ok(done),
            Err(fault) => fault,
        };
        let wait = match retry {
            Retry::Soon if attempts < ATTEMPTS => pause,
            Retry::Soon | Retry::Never => return Err(refusal),
            Retry::After(wait) => wait,
        };
        if wait >= deadline.saturating_duration_since(Instant::now()) {
            if let Retry::After(wait) = retry {
                let again = wait.as_secs();
                refusal.sentence =
                    format!("{}, and to be asked again after {again} s: sync less often", refusal.sentence);
            }
            return Err(refusal);
        }
        tracing::info!(wait_seconds = wait.as_secs_f32(), "asking again: {}", refusal.sentence);
        sleep(wait).await;
        if matches!(retry, Retry::Soon) {
            attempts += 1;
            pause *= 2;
        }
    }
}
