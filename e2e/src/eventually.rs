//! Waiting for what a person would see, with a deadline instead of a sleep.

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

/// How often is looked.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How many times as long as by itself something may take beside other tests: a test fails because something never comes, and not because
/// the machine is busy.
const BESIDE_OTHERS: u32 = 3;

/// How many times its patience one may take whose steps go on: what shows something new at each look, as a log does, comes to an end too.
const WHILE_IT_GOES_ON: u32 = 3;

/// Looks until `look` gives a value, and returns it. When nothing new was seen for as long as `usually`, with much to spare, the test fails with
/// what was looked for and what was seen last; its namespace tells the rest. A release of many steps on a busy machine is waited for while its
/// steps go on.
pub async fn eventually<T, Look, Seen>(what: &str, usually: Duration, look: Look) -> T
where
    Look: FnMut() -> Seen,
    Seen: Future<Output = Result<T, String>>,
{
    let patience = usually * BESIDE_OTHERS;
    until(what, patience, patience * WHILE_IT_GOES_ON, look).await
}

/// The same where the time is what is promised.
pub async fn within<T, Look, Seen>(what: &str, deadline: Duration, look: Look) -> T
where
    Look: FnMut() -> Seen,
    Seen: Future<Output = Result<T, String>>,
{
    until(what, deadline, deadline, look).await
}

/// Looks until `look` gives a value, for `patience` after the last new sight, and not longer than `longest` in all.
async fn until<T, Look, Seen>(what: &str, patience: Duration, longest: Duration, mut look: Look) -> T
where
    Look: FnMut() -> Seen,
    Seen: Future<Output = Result<T, String>>,
{
    let start = Instant::now();
    let mut end = start + patience;
    // Their hashes: a log that grows would be kept again and again.
    let (mut sights, hasher) = (HashSet::new(), RandomState::new());
    let mut last = "nothing: the first look did not come back".to_owned();
    while Instant::now() < end {
        match timeout(end - Instant::now(), look()).await {
            Ok(Ok(value)) => return value,
            Ok(Err(seen)) => {
                if sights.insert(hasher.hash_one(&seen)) {
                    end = (Instant::now() + patience).min(start + longest);
                }
                last = seen;
            }
            Err(_) => break,
        }
        sleep(LOOK_EVERY).await;
    }
    panic!("{what}: not within {} s.\nLast seen: {last}", start.elapsed().as_secs());
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

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;

    use futures::FutureExt as _;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_goes_on_is_waited_for_and_what_stands_still_is_not() {
        let start = Instant::now();
        let usually = Duration::from_secs(10);
        let steps = async || match start.elapsed().as_secs() {
            passed @ 75.. => Ok(passed),
            passed => Err(format!("step {}", passed / 25)),
        };
        assert_eq!(eventually("the last step", usually, steps).await, 75);

        let start = Instant::now();
        let still = async || Err::<(), _>("nothing".to_owned());
        let gave_up = AssertUnwindSafe(eventually("a step", usually, still)).catch_unwind().await;
        assert!(gave_up.is_err() && (30..32).contains(&start.elapsed().as_secs()));

        let start = Instant::now();
        let endless = async || Err::<(), _>(format!("{:?}", start.elapsed()));
        let gave_up = AssertUnwindSafe(eventually("an end", usually, endless)).catch_unwind().await;
        assert!(gave_up.is_err() && (90..92).contains(&start.elapsed().as_secs()));
    }
}
