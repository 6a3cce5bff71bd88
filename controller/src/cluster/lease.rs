//! Leader election on a `Lease`: of several replicas one writes.
//!
//! The holder renews within [`RENEW_WITHIN`] and believes in its own leadership for [`DURATION`] after the *start* of its last
//! successful renewal, on a monotonic clock: a process that was frozen or starved finds on waking that it no longer holds.
//! A replica takes a lease over only after it has itself seen it unchanged for [`DURATION`] (clocks of different machines are
//! never compared), and then waits one write timeout, in which its predecessor's last write may still arrive.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;

use super::client::WRITE_TIMEOUT;

/// How long a lease is valid after its renewal.
pub const DURATION: Duration = Duration::from_secs(15);
/// How long the holder tries to renew before it gives up.
pub const RENEW_WITHIN: Duration = Duration::from_secs(10);
/// Pause between two renewals, and between two looks of a standby.
const PAUSE: Duration = Duration::from_secs(2);
/// The lease's name.
const NAME: &str = "drover-controller";
/// Annotation on the Lease: where the holder takes webhooks.
const FORWARD_TO: &str = "drover.dev/forward-to";

/// What a process knows of its own leadership. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leadership {
    until: watch::Receiver<Option<Instant>>,
    // Keeps the channel of a leadership that never changes open.
    _fixed: Option<Arc<watch::Sender<Option<Instant>>>>,
    always: bool,
}

impl Leadership {
    /// The leadership of a process that runs without election.
    pub fn sole() -> Self {
        Self { always: true, ..Self::lost() }
    }

    /// A leadership that was lost and does not come back.
    pub fn lost() -> Self {
        let (sender, until) = watch::channel(None);
        Self { until, _fixed: Some(Arc::new(sender)), always: false }
    }

    /// Whether this process is the leader and stays it for at least `margin`: long enough for a write to end.
    pub fn holds(&self, margin: Duration) -> bool {
        self.always || self.until.borrow().is_some_and(|until| Instant::now() + margin < until)
    }
}

/// What becomes of the election, for the rest of the program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Role {
    /// The lease was not seen yet.
    Unknown,
    /// This process writes.
    Leader,
    /// Another one does, and takes webhooks there.
    Standby {
        /// Address of the leader's webhook receiver, as the leader gave it.
        forward_to: Option<String>,
    },
}

/// Takes part in the election until `stop` is done, then gives the lease up if it holds it.
pub struct Election {
    client: Client,
    namespace: String,
    identity: String,
    advertise: Option<String>,
    until: watch::Sender<Option<Instant>>,
    role: watch::Sender<Role>,
}

impl Election {
    /// An election in `namespace`. `client` must not be one that checks leadership itself.
    pub fn new(
        client: Client,
        namespace: &str,
        identity: &str,
        advertise: Option<&str>,
    ) -> (Self, Leadership, watch::Receiver<Role>) {
        let (until, until_seen) = watch::channel(None);
        let (role, role_seen) = watch::channel(Role::Unknown);
        let election = Self {
            client,
            namespace: namespace.to_owned(),
            identity: identity.to_owned(),
            advertise: advertise.map(str::to_owned),
            until,
            role,
        };
        (election, Leadership { until: until_seen, _fixed: None, always: false }, role_seen)
    }

    /// Runs the election. Returns when `stop` changed to true (having released the lease), or when a held lease was lost: the
    /// process must then end, because work begun as leader may still be under way.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let leases: Api<Lease> = Api::namespaced(self.client.clone(), &self.namespace);
        let mut seen: Option<(String, Instant)> = None;
        let mut held = false;
        let mut last_renewal = Instant::now();
        loop {
            let started = Instant::now();
            let result = tokio::time::timeout(WRITE_TIMEOUT, self.step(&leases, &mut seen)).await;
            match result {
                Ok(Ok(Held::Ours { taken_over })) => {
                    last_renewal = started;
                    if !held {
                        if taken_over {
                            // The predecessor's last write may still be on the way.
                            tokio::time::sleep(WRITE_TIMEOUT).await;
                        }
                        held = true;
                        tracing::info!(identity = %self.identity, taken_over, "leading");
                    }
                    self.until.send_replace(Some(started + DURATION));
                    self.role.send_if_modified(|role| std::mem::replace(role, Role::Leader) != Role::Leader);
                }
                Ok(Ok(Held::ByAnother)) if held => return self.lose("another replica holds the lease"),
                Ok(Ok(Held::ByAnother)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "cannot renew the lease"),
                Err(_) => tracing::warn!("the API server did not answer the lease's renewal in time"),
            }
            if held && last_renewal.elapsed() > RENEW_WITHIN {
                return self.lose("the lease could not be renewed in time");
            }
            let stopping = async { stop.wait_for(|stop| *stop).await.is_ok() };
            if tokio::time::timeout(PAUSE, stopping).await.is_ok() {
                if held {
                    self.until.send_replace(None);
                    self.release(&leases).await;
                }
                return;
            }
        }
    }

    fn lose(&self, why: &str) {
        tracing::error!(why, "leadership lost");
        self.until.send_replace(None);
        self.role.send_replace(Role::Unknown);
    }

    /// Reads the lease and, where it is ours, free or expired, writes it.
    async fn step(&self, leases: &Api<Lease>, seen: &mut Option<(String, Instant)>) -> Result<Held, kube::Error> {
        let Some(lease) = leases.get_opt(NAME).await? else {
            return settle(leases.create(&PostParams::default(), &self.lease(None)).await, false);
        };
        let holder = lease.spec.as_ref().and_then(|s| s.holder_identity.as_deref()).unwrap_or_default();
        let version = lease.metadata.resource_version.clone().unwrap_or_default();
        let taken_over = !holder.is_empty() && holder != self.identity;
        if taken_over {
            let forward_to = lease.metadata.annotations.as_ref().and_then(|a| a.get(FORWARD_TO)).cloned();
            let role = Role::Standby { forward_to };
            self.role.send_if_modified(|old| std::mem::replace(old, role.clone()) != role);
            match seen {
                Some((known, since)) if *known == version && since.elapsed() > DURATION => {}
                Some((known, _)) if *known == version => return Ok(Held::ByAnother),
                _ => {
                    *seen = Some((version, Instant::now()));
                    return Ok(Held::ByAnother);
                }
            }
        }
        settle(leases.replace(NAME, &PostParams::default(), &self.lease(Some(&lease))).await, taken_over)
    }

    fn lease(&self, old: Option<&Lease>) -> Lease {
        let now = MicroTime(jiff::Timestamp::now());
        let spec = old.and_then(|l| l.spec.clone()).unwrap_or_default();
        let ours = spec.holder_identity.as_deref() == Some(&self.identity);
        Lease {
            metadata: ObjectMeta {
                name: Some(NAME.to_owned()),
                namespace: Some(self.namespace.clone()),
                // Replacing under the version that was read: of two that try, one fails.
                resource_version: old.and_then(|l| l.metadata.resource_version.clone()),
                annotations: self.advertise.clone().map(|a| [(FORWARD_TO.to_owned(), a)].into()),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.identity.clone()),
                lease_duration_seconds: i32::try_from(DURATION.as_secs()).ok(),
                acquire_time: if ours { spec.acquire_time } else { Some(now.clone()) },
                renew_time: Some(now),
                lease_transitions: Some(spec.lease_transitions.unwrap_or(0) + i32::from(!ours)),
                ..LeaseSpec::default()
            }),
        }
    }

    async fn release(&self, leases: &Api<Lease>) {
        let release = async {
            let Some(mut lease) = leases.get_opt(NAME).await? else { return Ok(()) };
            if let Some(spec) = lease.spec.as_mut().filter(|s| s.holder_identity.as_deref() == Some(&self.identity)) {
                spec.holder_identity = None;
                leases.replace(NAME, &PostParams::default(), &lease).await?;
            }
            Ok::<_, kube::Error>(())
        };
        match tokio::time::timeout(WRITE_TIMEOUT, release).await {
            Ok(Ok(())) => tracing::info!("lease released"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot release the lease; it expires by itself"),
            Err(_) => tracing::warn!("the lease's release got no answer; it expires by itself"),
        }
    }
}

/// Whose the lease is after a step.
enum Held {
    Ours {
        /// It was another's until it expired: not released, so a write of that one may still be on the way.
        taken_over: bool,
    },
    ByAnother,
}

/// A write that lost a race means that the lease is another's.
fn settle(written: Result<Lease, kube::Error>, taken_over: bool) -> Result<Held, kube::Error> {
    match written {
        Ok(_) => Ok(Held::Ours { taken_over }),
        Err(kube::Error::Api(status)) if status.code == 409 => Ok(Held::ByAnother),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn leadership_ends_by_the_clock_alone() {
        let (sender, until) = watch::channel(Some(Instant::now() + DURATION));
        let leadership = Leadership { until, _fixed: None, always: false };
        assert!(leadership.holds(WRITE_TIMEOUT));
        tokio::time::advance(DURATION.saturating_sub(WRITE_TIMEOUT)).await;
        assert!(!leadership.holds(WRITE_TIMEOUT), "a write begun now could end after the lease");
        assert!(leadership.holds(Duration::ZERO));
        tokio::time::advance(WRITE_TIMEOUT).await;
        assert!(!leadership.holds(Duration::ZERO));
        drop(sender);
    }
}
