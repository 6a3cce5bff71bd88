//! Who may run a child now: no repository waits for those that hang, nor for those that need much memory.

use std::future::Future;
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

/// Two pools for syncs and one for readings. A sync that takes longer than `grace` moves over to the small pool, or, when
/// that is full, is dropped and started again there: so a place in the large pool is never held longer than `grace`. Besides
/// its place in a pool, a child that needs more memory than usual takes the one place for such.
pub(super) struct Pools {
    quick: Semaphore,
    slow: Semaphore,
    readers: Semaphore,
    roomy: Semaphore,
    grace: Duration,
}

impl Pools {
    pub(super) fn new(max_children: usize, grace: Duration) -> Self {
        let most = max_children.max(1);
        Self {
            quick: Semaphore::new(most),
            slow: Semaphore::new(most.div_ceil(4)),
            readers: Semaphore::new(most),
            roomy: Semaphore::new(1),
            grace,
        }
    }

    /// Runs a sync, and says whether it took longer than `grace`. `hung` are those whose last one did, and came to nothing:
    /// a host that answers with an error keeps nobody waiting, so it needs no other place than a healthy one.
    pub(super) async fn sync<F: Future>(&self, hung: bool, start: impl Fn() -> F) -> (F::Output, bool) {
        if !hung {
            let permit = take(&self.quick).await;
            let mut running = Box::pin(start());
            if let Ok(result) = tokio::time::timeout(self.grace, &mut running).await {
                return (result, false);
            }
            if let Ok(_slow) = self.slow.try_acquire() {
                drop(permit);
                return (running.await, true);
            }
        }
        let _slow = take(&self.slow).await;
        let began = Instant::now();
        let result = start().await;
        (result, began.elapsed() > self.grace)
    }

    /// A place for one reading.
    pub(super) async fn reader(&self) -> SemaphorePermit<'_> {
        take(&self.readers).await
    }

    /// The place for a child with more memory than usual.
    pub(super) async fn roomy(&self) -> SemaphorePermit<'_> {
        take(&self.roomy).await
    }
}

async fn take(semaphore: &Semaphore) -> SemaphorePermit<'_> {
    semaphore.acquire().await.expect("the semaphores are never closed")
}

#[cfg(test)]
mod tests {
    use std::future::pending;
    use std::sync::Arc;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hanging_syncs_leave_the_places_of_healthy_ones() {
        let pools = Arc::new(Pools::new(4, Duration::from_secs(5)));
        for hung in [false, false, false, false, false, false, true, true] {
            let pools = pools.clone();
            tokio::spawn(async move { pools.sync(hung, pending::<()>).await });
        }
        tokio::task::yield_now().await;
        let healthy = || pools.sync(false, || async { 1 });
        assert!(timeout(Duration::from_secs(4), healthy()).await.is_err(), "all places are taken at first");
        // Six hang, four at a time, each for five seconds at most.
        assert_eq!(timeout(Duration::from_secs(7), healthy()).await, Ok((1, false)));
        for _ in 0..20 {
            assert_eq!(timeout(Duration::from_millis(1), healthy()).await, Ok((1, false)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_what_took_long_is_called_long() {
        let pools = Pools::new(4, Duration::from_secs(5));
        for hung in [false, true] {
            let takes = |seconds| pools.sync(hung, move || tokio::time::sleep(Duration::from_secs(seconds)));
            assert_eq!((takes(1).await, takes(60).await), (((), false), ((), true)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_has_more_memory_than_usual_and_nobody_else_waits_for_it() {
        let pools = Pools::new(1, Duration::from_secs(5));
        let first = pools.roomy().await;
        let moment = Duration::from_secs(1);
        assert!(timeout(moment, pools.roomy()).await.is_err());
        assert_eq!(timeout(moment, pools.sync(false, || async { 1 })).await, Ok((1, false)));
        assert!(timeout(moment, pools.reader()).await.is_ok());
        drop(first);
        assert!(timeout(moment, pools.roomy()).await.is_ok());
    }
}
