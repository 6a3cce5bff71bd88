//! A replica's part in the election: one request every two seconds, a renewal of the holder or a look of a standby.

use std::time::Duration;

use drover_crds::LEASE;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;

use super::record::{Replica, forward_to, given_up, holder, version};
use super::{DURATION, Ended, HAND_OVER, Leadership, Loss, Role};
use crate::clock;
use crate::cluster::error::root_cause;
use crate::cluster::refusal::{is_conflict, is_not_found};
use crate::cluster::writes::WRITE_TIMEOUT;

/// Pause between two renewals, and between two looks of a standby.
const PAUSE: Duration = Duration::from_secs(2);
/// How long nothing may be heard of the lease before this replica says so. A holder may begin no write then.
const PATIENCE: Duration = DURATION.saturating_sub(WRITE_TIMEOUT);

/// Takes part in the election until it is asked to stop, then gives the lease up if it holds it.
pub struct Election {
    leases: Api<Lease>,
    replica: Replica,
    until: watch::Sender<Option<Instant>>,
    role: watch::Sender<Role>,
}

/// Where a replica stands.
enum Stand {
    /// It does not hold the lease.
    Waits(Seen),
    /// It does.
    Holds {
        /// The Lease as the API server last answered it.
        held: Box<Lease>,
        /// A renewal that was sent and not answered. It is repeated as it is, so that only one can ever have been taken.
        sent: Option<Box<Lease>>,
    },
}

/// What a replica has seen of a lease that it does not hold.
#[derive(Default)]
struct Seen {
    /// A version, and since when it has not changed.
    unchanged: Option<(Option<u64>, Instant)>,
    /// Whether another held it last: one that did not give it up may have a write on the way.
    of_another: bool,
}

/// What a turn came to.
enum Turn {
    Gained { of_another: bool },
    Renewed,
    Waits,
    Lost(Loss),
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
        let since = clock::now();
        let (role, role_seen) = watch::channel(Role::OutOfTouch { since, why: "it has not answered yet".to_owned() });
        let replica = Replica { identity: identity.to_owned(), advertise: advertise.map(str::to_owned) };
        let election = Self { leases: Api::namespaced(client, namespace), replica, until, role };
        (election, Leadership { until: Some(until_seen) }, role_seen)
    }

    /// Runs the election until `stop` changes to true, or a lease that was held is lost.
    pub async fn run(self, mut stop: watch::Receiver<bool>) -> Ended {
        let mut stand = Stand::Waits(Seen::default());
        // The start of the last turn that was answered.
        let (mut touched, mut touched_at) = (Instant::now(), clock::now());
        let mut failing = false;
        loop {
            let (began, began_at) = (Instant::now(), clock::now());
            // Cut short where patience ends, so that what is said of this replica changes when it stops writing, not later.
            let patience = (touched + PATIENCE).duration_since(began);
            let limit = if patience.is_zero() { WRITE_TIMEOUT } else { patience.min(WRITE_TIMEOUT) };
            let failure = match tokio::time::timeout(limit, self.turn(&mut stand)).await {
                Ok(Ok(turn)) => {
                    (touched, touched_at, failing) = (began, began_at, false);
                    match turn {
                        Turn::Lost(loss) => return self.lose(loss),
                        Turn::Waits => {}
                        Turn::Gained { of_another } => self.gain(began, of_another).await,
                        Turn::Renewed => self.lead(began),
                    }
                    None
                }
                Ok(Err(error)) => Some(root_cause(&error)),
                Err(_) => Some(format!("no answer within {limit:.0?}")),
            };
            if let Some(why) = failure {
                // Whatever was away may come back as it was an hour ago. The next renewal finds out, and until then nothing is
                // written out of what this process remembers.
                self.until.send_replace(None);
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(error = %why, "cannot read or renew the lease; trying again");
                }
                if touched.elapsed() >= PATIENCE {
                    self.out_of_touch(touched_at, why);
                }
            }
            let stopping = async { stop.wait_for(|stop| *stop).await.is_ok() };
            if tokio::time::timeout_at(next_turn(&stand, touched), stopping).await.is_ok() {
                if let Stand::Holds { held, .. } = &stand {
                    self.until.send_replace(None);
                    self.release(held).await;
                }
                return Ended::Stopped;
            }
        }
    }

    /// One request, or a few where something came in between.
    async fn turn(&self, stand: &mut Stand) -> Result<Turn, kube::Error> {
        match stand {
            Stand::Waits(seen) => {
                let Some((held, of_another)) = self.look(seen).await? else { return Ok(Turn::Waits) };
                *stand = Stand::Holds { held: Box::new(held), sent: None };
                Ok(Turn::Gained { of_another })
            }
            Stand::Holds { held, sent } => self.renew(held, sent).await,
        }
    }

    /// Reads the lease and takes it where it is free, expired or our own from before a restart.
    async fn look(&self, seen: &mut Seen) -> Result<Option<(Lease, bool)>, kube::Error> {
        let found = self.leases.get_opt(LEASE).await?;
        let other = found.as_ref().and_then(holder).filter(|holder| *holder != self.replica.identity);
        match (&found, other) {
            (Some(lease), Some(_)) => {
                seen.of_another = true;
                self.set_role(Role::Standby { forward_to: forward_to(lease) });
                match &seen.unchanged {
                    Some((known, since)) if *known == version(lease) => {
                        if since.elapsed() < DURATION {
                            return Ok(None);
                        }
                    }
                    _ => {
                        seen.unchanged = Some((version(lease), Instant::now()));
                        return Ok(None);
                    }
                }
            }
            // Given up. Where it is our own, an earlier try may have taken it from another without our hearing so.
            (Some(lease), None) if holder(lease).is_none() => seen.of_another = false,
            _ => {}
        }
        let wanted = self.replica.taking(found.as_ref(), clock::now());
        let written = match found {
            Some(_) => self.leases.replace(LEASE, &PostParams::default(), &wanted).await,
            None => self.leases.create(&PostParams::default(), &wanted).await,
        };
        match written {
            Ok(lease) => Ok(Some((lease, seen.of_another))),
            // Of two that tried, the other one was first.
            Err(error) if is_conflict(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the lease under the version of this replica's own last write.
    async fn renew(&self, held: &mut Box<Lease>, sent: &mut Option<Box<Lease>>) -> Result<Turn, kube::Error> {
        loop {
            let renewal = sent.get_or_insert_with(|| Box::new(self.replica.taking(Some(held), clock::now())));
            match self.leases.replace(LEASE, &PostParams::default(), renewal).await {
                Ok(lease) => {
                    // The API server makes a Lease anew that it does not have.
                    if lease.metadata.uid != held.metadata.uid {
                        return Ok(Turn::Lost(Loss::Deleted));
                    }
                    (**held, *sent) = (lease, None);
                    return Ok(Turn::Renewed);
                }
                Err(error) if is_not_found(&error) || is_conflict(&error) => {
                    let found = self.leases.get_opt(LEASE).await?;
                    match (self.replica.judge(held, renewal, found.as_ref()), found) {
                        // Our own write, whose answer was lost, or somebody's label: once more, under the version there is.
                        (Ok(()), Some(found)) => (**held, *sent) = (found, None),
                        (Ok(()), None) => return Ok(Turn::Lost(Loss::Deleted)),
                        (Err(loss), _) => return Ok(Turn::Lost(loss)),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn gain(&self, began: Instant, of_another: bool) {
        if of_another {
            tokio::time::sleep(HAND_OVER).await;
        }
        tracing::info!(identity = %self.replica.identity, taken_over = of_another, "leading");
        self.lead(began);
    }

    fn lead(&self, renewed: Instant) {
        self.until.send_replace(Some(renewed + DURATION));
        if let Role::OutOfTouch { since, .. } = &*self.role.borrow() {
            tracing::info!(%since, "the API server answers again");
        }
        self.set_role(Role::Leader);
    }

    fn out_of_touch(&self, since: jiff::Timestamp, why: String) {
        if !matches!(&*self.role.borrow(), Role::OutOfTouch { .. }) {
            tracing::error!(%since, error = %why, "out of touch with the API server, so nothing is written");
        }
        self.set_role(Role::OutOfTouch { since, why });
    }

    fn set_role(&self, role: Role) {
        self.role.send_if_modified(|old| {
            let differs = *old != role;
            *old = role;
            differs
        });
    }

    fn lose(&self, loss: Loss) -> Ended {
        self.until.send_replace(None);
        Ended::Lost(loss)
    }

    async fn release(&self, held: &Lease) {
        let (params, free) = (PostParams::default(), given_up(held));
        match tokio::time::timeout(WRITE_TIMEOUT, self.leases.replace(LEASE, &params, &free)).await {
            Ok(Ok(_)) => tracing::info!("lease released"),
            Ok(Err(error)) => tracing::warn!(%error, "cannot release the lease; it expires by itself"),
            Err(_) => tracing::warn!("the lease's release got no answer; it expires by itself"),
        }
    }
}

/// When the next turn is due: after a pause, but not later than a lease that is watched may expire, or patience ends.
fn next_turn(stand: &Stand, touched: Instant) -> Instant {
    let now = Instant::now();
    let expires = match stand {
        Stand::Waits(Seen { unchanged: Some((_, since)), .. }) => Some(*since + DURATION),
        _ => None,
    };
    let sooner = [expires, Some(touched + PATIENCE)].into_iter().flatten().filter(|at| *at > now);
    sooner.fold(now + PAUSE, Instant::min)
}

#[cfg(test)]
mod tests;
