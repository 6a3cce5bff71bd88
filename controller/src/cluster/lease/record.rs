//! What a Lease says, and what it means for this replica. Pure: time comes in as a value.

use drover_crds::{ANNOTATION_FORWARD_TO, LEASE};
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::ObjectMeta;

use super::{DURATION, Loss};

/// Who this replica is.
#[derive(Clone, Debug)]
pub(super) struct Replica {
    /// Its name in the election.
    pub identity: String,
    /// `HOST:PORT` under which the others reach its webhook receiver.
    pub advertise: Option<String>,
}

impl Replica {
    /// The Lease with which this replica becomes the holder, or stays it: what was `found`, under its version, so that of two that
    /// try only one succeeds.
    pub fn taking(&self, found: Option<&Lease>, now: jiff::Timestamp) -> Lease {
        let spec = found.and_then(|lease| lease.spec.clone()).unwrap_or_default();
        let ours = spec.holder_identity.as_deref() == Some(&self.identity);
        let now = MicroTime(stored(now));
        let mut metadata = found.map_or_else(
            || ObjectMeta { name: Some(LEASE.to_owned()), ..ObjectMeta::default() },
            |lease| lease.metadata.clone(),
        );
        metadata.managed_fields = None;
        let annotations = metadata.annotations.get_or_insert_default();
        match &self.advertise {
            Some(address) => annotations.insert(ANNOTATION_FORWARD_TO.to_owned(), address.clone()),
            None => annotations.remove(ANNOTATION_FORWARD_TO),
        };
        Lease {
            metadata,
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

    /// What a Lease that stood in the way of a renewal means. `held` is the last that was surely written, `sent` one whose answer
    /// may have been lost.
    pub fn judge(&self, held: &Lease, sent: &Lease, found: Option<&Lease>) -> Result<(), Loss> {
        let Some(found) = found else { return Err(Loss::Deleted) };
        // An older state of the store also has older versions: the API server promises since Kubernetes 1.35 that these compare
        // as integers. A store that was restored with its versions raised shows by an older renewal of our own.
        let ours = holder(found) == Some(&self.identity);
        if version(found) < version(held) || (ours && renewed(found) < renewed(held)) {
            return Err(Loss::Restored);
        }
        if found.metadata.uid != held.metadata.uid {
            return Err(Loss::Deleted);
        }
        // With our name, but not from this process: another one uses the name.
        if ours && (renewed(found) == renewed(sent) || renewed(found) == renewed(held)) {
            return Ok(());
        }
        Err(Loss::TakenOver)
    }
}

/// The Lease with which its holder gives up what it holds.
pub(super) fn given_up(held: &Lease) -> Lease {
    let mut lease = held.clone();
    lease.metadata.managed_fields = None;
    if let Some(spec) = lease.spec.as_mut() {
        spec.holder_identity = None;
    }
    lease
}

/// Who holds it; `None` for one that was given up.
pub(super) fn holder(lease: &Lease) -> Option<&str> {
    lease.spec.as_ref()?.holder_identity.as_deref().filter(|holder| !holder.is_empty())
}

/// Where its holder takes webhooks.
pub(super) fn forward_to(lease: &Lease) -> Option<String> {
    lease.metadata.annotations.as_ref()?.get(ANNOTATION_FORWARD_TO).cloned()
}

pub(super) fn version(lease: &Lease) -> Option<u64> {
    lease.metadata.resource_version.as_ref()?.parse().ok()
}

fn renewed(lease: &Lease) -> Option<jiff::Timestamp> {
    lease.spec.as_ref()?.renew_time.as_ref().map(|time| stored(time.0))
}

/// A time as the API server gives it back: in whole microseconds.
fn stored(time: jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(time.as_microsecond()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replica(identity: &str) -> Replica {
        Replica { identity: identity.into(), advertise: Some(format!("{identity}.test:9292")) }
    }

    fn at(seconds: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(1_700_000_000 + seconds).expect("a time")
    }

    /// As the API server would store it.
    fn written(mut lease: Lease, version: u64) -> Lease {
        lease.metadata.resource_version = Some(version.to_string());
        lease.metadata.uid.get_or_insert_with(|| "uid".into());
        lease
    }

    #[test]
    fn a_lease_changes_hands_and_says_where_webhooks_go() {
        let first = written(replica("a").taking(None, at(0)), 10);
        let renewal = replica("a").taking(Some(&first), at(2));
        assert_eq!(renewal.metadata.resource_version.as_deref(), Some("10"), "under the version that was written");
        let spec = renewal.spec.as_ref().expect("a spec");
        assert_eq!(spec.acquire_time, Some(MicroTime(at(0))));
        assert_eq!(spec.lease_transitions, Some(1));
        let second = replica("b").taking(Some(&written(renewal, 11)), at(30));
        assert_eq!(holder(&second), Some("b"));
        assert_eq!(forward_to(&second).as_deref(), Some("b.test:9292"));
        assert_eq!(second.spec.as_ref().expect("a spec").lease_transitions, Some(2));
        assert_eq!(holder(&given_up(&second)), None);
    }

    #[test]
    fn a_renewal_whose_answer_was_lost_is_recognised() {
        let a = replica("a");
        let held = written(a.taking(None, at(0)), 10);
        let precise = at(2) + jiff::SignedDuration::from_nanos(1_234_567);
        let sent = a.taking(Some(&held), precise);
        assert_eq!(a.judge(&held, &sent, Some(&written(sent.clone(), 11))), Ok(()));
        let mut labelled = written(held.clone(), 12);
        labelled.metadata.labels = Some([("by".to_owned(), "hand".to_owned())].into());
        assert_eq!(a.judge(&held, &sent, Some(&labelled)), Ok(()), "somebody added a label");
    }

    #[test]
    fn a_lease_that_another_wrote_is_lost() {
        let a = replica("a");
        let held = written(a.taking(None, at(0)), 10);
        let sent = a.taking(Some(&held), at(2));
        let others = written(replica("b").taking(Some(&held), at(20)), 15);
        assert_eq!(a.judge(&held, &sent, Some(&others)), Err(Loss::TakenOver));
        let namesake = written(a.taking(Some(&held), at(3)), 11);
        assert_eq!(a.judge(&held, &sent, Some(&namesake)), Err(Loss::TakenOver), "another process of the same name");
        assert_eq!(a.judge(&held, &sent, Some(&written(given_up(&held), 12))), Err(Loss::TakenOver));
        let mut anew = written(replica("b").taking(None, at(20)), 15);
        anew.metadata.uid = Some("another".into());
        assert_eq!(a.judge(&held, &sent, Some(&anew)), Err(Loss::Deleted));
        assert_eq!(a.judge(&held, &sent, None), Err(Loss::Deleted));
    }

    #[test]
    fn a_restored_store_is_recognised_whoever_held_the_lease_then() {
        let a = replica("a");
        let old = written(a.taking(None, at(0)), 10);
        let held = written(a.taking(Some(&old), at(60)), 90);
        let sent = a.taking(Some(&held), at(62));
        assert_eq!(a.judge(&held, &sent, Some(&old)), Err(Loss::Restored));
        let raised = written(old.clone(), 1_000_000_010);
        assert_eq!(a.judge(&held, &sent, Some(&raised)), Err(Loss::Restored), "restored with raised versions");
        let others = written(replica("b").taking(None, at(0)), 10);
        assert_eq!(a.judge(&held, &sent, Some(&others)), Err(Loss::Restored));
    }
}
