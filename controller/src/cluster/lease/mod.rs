//! Leader election on a `Lease`: of several replicas one writes.
//!
//! The holder believes in its leadership for [`DURATION`] after the *start* of its last successful renewal, on a monotonic clock: a
//! process that was frozen or starved finds on waking that it no longer holds. A replica takes a lease over only after it has
//! itself seen it unchanged for [`DURATION`]: clocks of different machines are never compared.
//!
//! A write leaves the process only while the lease holds for [`WRITE_TIMEOUT`] more, which is also the limit that the API server is
//! given for it: when the lease ends, the holder's last write has come to its end. A successor waits [`HAND_OVER`] on top.
//!
//! A holder that cannot renew stops writing at once, and goes on where it was once the API server answers again: the renewal names the
//! version of its own last one, so that it can only succeed if nobody held the lease meanwhile.

mod election;
mod record;

use std::time::Duration;

use drover_crds::LEASE;
use tokio::sync::watch;
use tokio::time::Instant;

use super::writes::WRITE_TIMEOUT;
pub use election::Election;

/// How long a lease is valid after its renewal.
pub const DURATION: Duration = Duration::from_secs(15);
/// How long a new leader waits after a lease that ended by itself, for what clocks and networks do.
pub const HAND_OVER: Duration = Duration::from_secs(2);

/// What a process knows of its own leadership. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leadership {
    /// Until when the lease holds; `None` for a process that runs without election.
    until: Option<watch::Receiver<Option<Instant>>>,
}

impl Leadership {
    /// The leadership of a process that runs without election.
    pub fn sole() -> Self {
        Self { until: None }
    }

    /// A leadership that was lost and does not come back.
    pub fn lost() -> Self {
        Self { until: Some(watch::channel(None).1) }
    }

    /// The leadership of who holds a lease for `long`, and how the lease is changed.
    #[cfg(test)]
    pub(crate) fn of_a_lease(long: Duration) -> (watch::Sender<Option<Instant>>, Self) {
        let (lease, until) = watch::channel(Some(Instant::now() + long));
        (lease, Self { until: Some(until) })
    }

    /// Whether it comes and goes with the lease.
    pub fn is_elected(&self) -> bool {
        self.until.is_some()
    }

    /// Whether this process may begin a write: the lease holds for as long as the write may take.
    pub fn may_write(&self) -> bool {
        self.until.as_ref().is_none_or(|until| long_enough(*until.borrow()))
    }

    /// Waits until this process may write. Never returns once that cannot be any more.
    pub async fn until_it_may_write(&self) {
        let Some(until) = &self.until else { return };
        let mut until = until.clone();
        if until.wait_for(|until| long_enough(*until)).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

fn long_enough(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() + WRITE_TIMEOUT < until)
}

/// What becomes of the election, for the rest of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The lease could not be read or written for a while. Who led goes on when that ends, unless another leads by then.
    OutOfTouch {
        /// Since when.
        since: jiff::Timestamp,
        /// Why, as far as known.
        why: String,
    },
    /// This process writes.
    Leader,
    /// Another one does, and takes webhooks there.
    Standby {
        /// Address of the leader's webhook receiver, as the leader gave it.
        forward_to: Option<String>,
    },
}

/// How an election ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As asked; the lease was given up.
    Stopped,
    /// The lease this process held is not its own any more.
    Lost(Loss),
}

/// Why a held lease is gone. The process must end then: work begun as leader may still be under way, and what it remembers may not
/// be so any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Loss {
    /// Somebody else wrote it.
    #[error("the Lease {LEASE} is no longer this replica's, so this process ends and its successor starts clean")]
    TakenOver,
    /// It does not exist, or is another one of that name.
    #[error(
        "the Lease {LEASE} was deleted while this replica held it, so this process ends and its successor reads everything anew"
    )]
    Deleted,
    /// It is as it was before this process last wrote it.
    #[error(
        "the cluster's store was put back to an older state (the Lease {LEASE} is older than this replica's last renewal), so what this process remembers is worth nothing: it ends, and its successor reads everything anew"
    )]
    Restored,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn leadership_ends_by_the_clock_alone_and_comes_back_with_a_renewal() {
        let (sender, leadership) = Leadership::of_a_lease(DURATION);
        assert!(leadership.may_write());
        tokio::time::advance(DURATION.saturating_sub(WRITE_TIMEOUT)).await;
        assert!(!leadership.may_write(), "a write begun now could end after the lease");
        let waiting = tokio::spawn({
            let leadership = leadership.clone();
            async move { leadership.until_it_may_write().await }
        });
        tokio::time::advance(DURATION).await;
        assert!(!waiting.is_finished());
        sender.send_replace(Some(Instant::now() + DURATION));
        waiting.await.expect("no panic");
        assert!(leadership.may_write());
    }

    #[tokio::test(start_paused = true)]
    async fn who_lost_it_for_good_waits_for_ever() {
        let long = Duration::from_secs(1_000_000);
        assert!(tokio::time::timeout(long, Leadership::lost().until_it_may_write()).await.is_err());
        assert!(tokio::time::timeout(long, Leadership::sole().until_it_may_write()).await.is_ok());
    }
}
