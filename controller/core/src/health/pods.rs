//! The most telling trouble among the pods of a rollout.

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::container;
use super::fields::condition;
use super::finding::{Finding, Patience, Weight, quote};

/// Finds what to tell about the pods of one rollout; `None` when nothing is wrong yet. Pods that are being deleted do not
/// count. `now` is in seconds since 1970.
pub fn diagnose(pods: &[Pod], now: i64, patience: Patience) -> Option<Finding> {
    let mut best: Option<(Weight, Finding)> = None;
    for (weight, finding) in pods.iter().filter_map(|pod| of_pod(pod, now, patience)) {
        let more_telling =
            best.as_ref().is_none_or(|(other, so_far)| (finding.definite, weight) > (so_far.definite, *other));
        if more_telling {
            best = Some((weight, finding));
        }
    }
    best.map(|(_, finding)| finding)
}

/// What keeps a Deployment (or ReplicaSet) from creating pods at all: a quota, a policy, an admission webhook.
pub fn replica_failure(object: &Value) -> Option<Finding> {
    let failure = condition(object, "ReplicaFailure").filter(|failure| failure.is("True"))?;
    let said = failure.message();
    let advice = if said.contains("exceeded quota") {
        "ask for less in spec.resources, or raise the ResourceQuota"
    } else if said.contains("violates PodSecurity") {
        "change the fields it names, or the namespace's Pod Security level"
    } else {
        "correct what it names"
    };
    Some(Finding {
        reason: if said.contains("exceeded quota") { "QuotaExceeded" } else { "FailedCreate" }.into(),
        message: format!("the API server refused to create a pod, saying {}: {advice}", quote(&said)),
        pod: None,
        container: None,
        definite: false,
    })
}

fn of_pod(pod: &Pod, now: i64, patience: Patience) -> Option<(Weight, Finding)> {
    if pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    let name = pod.metadata.name.clone().unwrap_or_default();
    let status = pod.status.as_ref()?;
    let whole_pod = |reason: &str, message: String, definite: bool| Finding {
        reason: reason.to_owned(),
        message,
        pod: Some(name.clone()),
        container: None,
        definite,
    };
    if status.phase.as_deref() == Some("Failed")
        && let Some(reason) = status.reason.as_deref()
    {
        let said = quote(status.message.as_deref().unwrap_or(reason));
        let advice =
            if reason == "Evicted" { "set spec.resources to what it needs" } else { "a new pod takes its place" };
        return Some((
            Weight::Evicted,
            whole_pod(reason, format!("pod {name} was ended by its node, saying {said}: {advice}"), false),
        ));
    }
    let conditions = status.conditions.iter().flatten();
    if let Some(scheduled) = conditions.clone().find(|c| c.type_ == "PodScheduled" && c.status == "False")
        && scheduled.reason.as_deref() == Some("Unschedulable")
    {
        let said = quote(scheduled.message.as_deref().unwrap_or("nothing more"));
        let message = format!(
            "no node takes pod {name}, saying {said}: ask for less in spec.resources, free or add a node, or check its volumes"
        );
        return Some((Weight::Unschedulable, whole_pod("Unschedulable", message, false)));
    }
    container::trouble(pod, &name, now, patience)
}
