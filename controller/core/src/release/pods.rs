//! What the pods of an app tell of a release.

use drover_crds::LABEL_RELEASE;
use k8s_openapi::api::core::v1::{Pod, PodCondition};

/// The pods that this release brought.
pub fn of_release(mut pods: Vec<Pod>, number: i64) -> Vec<Pod> {
    let number = number.to_string();
    pods.retain(|pod| pod.metadata.labels.as_ref().and_then(|l| l.get(LABEL_RELEASE)).is_some_and(|n| *n == number));
    pods
}

/// The condition by which a pod says that it serves, where it does.
fn ready(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_deref()?;
    conditions.iter().find(|c| c.type_ == "Ready" && c.status == "True")
}

/// Whether a pod serves.
pub(super) fn is_ready(pod: &Pod) -> bool {
    ready(pod).is_some()
}

/// Since when one of the pods serves, in seconds since 1970.
pub fn served_since(pods: &[Pod]) -> Option<i64> {
    pods.iter().filter_map(ready).filter_map(|c| c.last_transition_time.as_ref()).map(|t| t.0.as_second()).min()
}

/// How many of the pods have served for that many seconds without a break.
pub fn proven(pods: &[Pod], probation: i64, now: i64) -> usize {
    let since = pods.iter().filter_map(|pod| ready(pod)?.last_transition_time.as_ref());
    since.filter(|since| now - since.0.as_second() >= probation).count()
}

/// The node on which a ready pod runs another image than `image`.
pub fn node_to_pull_to(pods: &[Pod], image: &str) -> Option<String> {
    let other = |pod: &&Pod| {
        let containers = pod.spec.as_ref().map(|s| s.containers.as_slice()).unwrap_or_default();
        containers.iter().all(|c| c.image.as_deref() != Some(image))
    };
    let pod = pods.iter().filter(|pod| ready(pod).is_some()).find(other)?;
    pod.spec.as_ref()?.node_name.clone()
}
