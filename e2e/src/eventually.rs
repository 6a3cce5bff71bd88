//! Waiting for what a person would see, with a deadline instead of a sleep.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How many times as long as by itself something may take beside other tests: a test fails because something never comes, and not because
/// the machine is busy.
const BESIDE_OTHERS: u32 = 3;

/// Looks until `look` gives a value, and returns it. When it has not after `usually`, with much to spare, the test fails with what was looked
/// for and what was seen last; its namespace tells the rest.
pub async fn eventually<T, Look, Seen>(what: &str, usually: Duration, look: Look) -> T
where
    Look: FnMut() -> Seen,
    Seen: Future<Output = Result<T, String>>,
{
    within(what, usually * BESIDE_OTHERS, look).await
}

/// The same where the time is what is promised.
pub async fn within<T, Look, Seen>(what: &str, deadline: Duration, mut look: Look) -> T
where
    Look: FnMut() -> Seen,
    Seen: Future<Output = Result<T, String>>,
{
    let end = Instant::now() + deadline;
    let mut last = "nothing: the first look did not come back".to_owned();
    while Instant::now() < end {
        match timeout(end - Instant::now(), look()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(seen)) => last = seen,
            Err(_) => break,
        }
        sleep(LOOK_EVERY).await;
    }
    panic!("{what}: not within {} s.\nLast seen: {last}", deadline.as_secs());
}

/// Looks again and again for the whole of `period`; the test fails at the first look that gives an error.
pub async fn steadily<Look, Seen>(what: &str, period: Duration, mut look: Look)
where
    Look: FnMut() -> Seen,
    Seen: Future<Output = Result<(), String>>,
{
    let end = Instant::now() + period;
    while Instant::now() < end {
        if let Err(seen) = look().await {
            panic!("{what}: no longer.\nSeen: {seen}");
        }
        sleep(LOOK_EVERY).await;
    }
}
