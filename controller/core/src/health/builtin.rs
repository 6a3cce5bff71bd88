//! The rules of the built-in kinds.

use serde_json::Value;

use super::fields::{condition, number, text};
use super::verdict::Health;

/// What the rule of this kind says; `None` where there is no rule.
pub(super) fn assess(group: &str, kind: &str, object: &Value) -> Option<Health> {
    Some(match (group, kind) {
        ("apps", "Deployment") => deployment(object),
        ("apps", "StatefulSet") => stateful_set(object),
        ("apps", "DaemonSet") => daemon_set(object),
        ("apps", "ReplicaSet") => replica_set(object),
        ("batch", "Job") => job(object),
        ("", "Pod") => pod(object),
        ("", "PersistentVolumeClaim") => claim(object),
        ("", "Service") => service(object),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => definition(object),
        ("apiregistration.k8s.io", "APIService") => must_be_true(object, "Available"),
        ("autoscaling", "HorizontalPodAutoscaler") => must_be_true(object, "AbleToScale"),
        // Their pods are judged where they run; an Ingress's address is often never written.
        ("policy", "PodDisruptionBudget") | ("networking.k8s.io", "Ingress") => Health::Current,
        _ => return None,
    })
}

/// The first count that falls short of what is wanted, as a sentence.
fn short_of(wanted: i64, counts: &[(&str, i64)]) -> Option<Health> {
    let (what, count) = counts.iter().find(|(_, count)| *count < wanted)?;
    Some(Health::in_progress(format!("{count} of {wanted} {what}")))
}

fn status(object: &Value, field: &str) -> i64 {
    number(object, &format!("/status/{field}")).unwrap_or(0)
}

fn wanted_replicas(object: &Value) -> i64 {
    number(object, "/spec/replicas").unwrap_or(1)
}

fn too_many(object: &Value, wanted: i64) -> Option<Health> {
    let surplus = status(object, "replicas") - wanted;
    (surplus > 0).then(|| Health::in_progress(format!("{surplus} old replicas still to stop")))
}

fn deployment(object: &Value) -> Health {
    if let Some(progressing) = condition(object, "Progressing")
        && progressing.reason() == "ProgressDeadlineExceeded"
    {
        return Health::failed("ProgressDeadlineExceeded", progressing.message());
    }
    if let Some(failure) = condition(object, "ReplicaFailure").filter(|failure| failure.is("True")) {
        return Health::in_progress(failure.message());
    }
    let wanted = wanted_replicas(object);
    short_of(
        wanted,
        &[("replicas created", status(object, "replicas")), ("replicas updated", status(object, "updatedReplicas"))],
    )
    .or_else(|| too_many(object, wanted))
    .or_else(|| {
        short_of(
            wanted,
            &[
                ("replicas available", status(object, "availableReplicas")),
                ("replicas ready", status(object, "readyReplicas")),
            ],
        )
    })
    .unwrap_or_else(|| must_be_true(object, "Available"))
}

fn stateful_set(object: &Value) -> Health {
    // Somebody replaces the pods by hand, so there is nothing to wait for.
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return Health::Current;
    }
    let wanted = wanted_replicas(object);
    let counts =
        [("replicas created", status(object, "replicas")), ("replicas ready", status(object, "readyReplicas"))];
    if let Some(health) = short_of(wanted, &counts).or_else(|| too_many(object, wanted)) {
        return health;
    }
    let partition = number(object, "/spec/updateStrategy/rollingUpdate/partition").unwrap_or(0);
    if let Some(health) =
        short_of((wanted - partition).max(0), &[("replicas updated", status(object, "updatedReplicas"))])
    {
        return health;
    }
    let revision = |which: &str| text(object, &format!("/status/{which}Revision")).to_owned();
    if partition == 0 && wanted > 0 && revision("update") != revision("current") {
        return Health::in_progress("the new revision is not complete");
    }
    Health::Current
}

fn daemon_set(object: &Value) -> Health {
    let Some(wanted) = number(object, "/status/desiredNumberScheduled") else {
        return Health::in_progress("its controller has not counted the nodes yet");
    };
    // With OnDelete somebody replaces the pods by hand.
    let updated = match text(object, "/spec/updateStrategy/type") {
        "OnDelete" => wanted,
        _ => status(object, "updatedNumberScheduled"),
    };
    let counts = [
        ("pods created", status(object, "currentNumberScheduled")),
        ("pods updated", updated),
        ("pods available", status(object, "numberAvailable")),
        ("pods ready", status(object, "numberReady")),
    ];
    short_of(wanted, &counts).unwrap_or(Health::Current)
}

fn replica_set(object: &Value) -> Health {
    if let Some(failure) = condition(object, "ReplicaFailure").filter(|failure| failure.is("True")) {
        return Health::in_progress(failure.message());
    }
    let wanted = wanted_replicas(object);
    let counts = [
        ("replicas created", status(object, "fullyLabeledReplicas")),
        ("replicas available", status(object, "availableReplicas")),
        ("replicas ready", status(object, "readyReplicas")),
    ];
    short_of(wanted, &counts).or_else(|| too_many(object, wanted)).unwrap_or(Health::Current)
}

fn job(object: &Value) -> Health {
    for (kind, is_failure) in [("Failed", true), ("FailureTarget", true), ("Complete", false), ("Suspended", false)] {
        match condition(object, kind).filter(|condition| condition.is("True")) {
            Some(failed) if is_failure => return Health::failed("JobFailed", failed.message()),
            Some(_) => return Health::Current,
            None => {}
        }
    }
    if text(object, "/status/startTime").is_empty() {
        return Health::in_progress("not started");
    }
    let (active, failed) = (status(object, "active"), status(object, "failed"));
    Health::in_progress(format!("running: {active} pods active, {failed} failed so far"))
}

fn pod(object: &Value) -> Health {
    match text(object, "/status/phase") {
        "Succeeded" => return Health::Current,
        "Failed" => {
            let reason =
                Some(text(object, "/status/reason")).filter(|reason| !reason.is_empty()).unwrap_or("PodFailed");
            return Health::failed(reason, format!("its containers ended: {}", text(object, "/status/message")));
        }
        _ => {}
    }
    if condition(object, "Ready").is_some_and(|ready| ready.is("True")) {
        return Health::Current;
    }
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let containers = statuses.iter().filter_map(|list| object.pointer(list)?.as_array()).flatten();
    for container in containers {
        if text(container, "/state/waiting/reason") == "CrashLoopBackOff" {
            let name = text(container, "/name");
            return Health::failed("CrashLoopBackOff", format!("container {name} ends again and again"));
        }
    }
    match condition(object, "PodScheduled").filter(|scheduled| scheduled.is("False")) {
        Some(scheduled) => Health::in_progress(format!("no node takes it: {}", scheduled.message())),
        None => Health::in_progress("not ready"),
    }
}

/// A pending claim that nothing provisions waits for the first pod that uses it, perhaps for ever: there is nothing to wait
/// for here. If a pod does use it, the wait shows there.
fn claim(object: &Value) -> Health {
    let provisioned = ["volume.kubernetes.io/storage-provisioner", "volume.beta.kubernetes.io/storage-provisioner"]
        .iter()
        .any(|annotation| object.pointer("/metadata/annotations").is_some_and(|all| all.get(*annotation).is_some()));
    match text(object, "/status/phase") {
        "Lost" => Health::failed("ClaimLost", "the volume that it was bound to no longer exists"),
        "Bound" => Health::Current,
        _ if provisioned => Health::in_progress("its volume is being made"),
        _ => Health::Current,
    }
}

fn service(object: &Value) -> Health {
    let addresses = object.pointer("/status/loadBalancer/ingress").and_then(Value::as_array);
    if text(object, "/spec/type") == "LoadBalancer" && addresses.is_none_or(Vec::is_empty) {
        return Health::in_progress("no load balancer has given it an address");
    }
    Health::Current
}

fn definition(object: &Value) -> Health {
    if let Some(names) = condition(object, "NamesAccepted").filter(|names| names.is("False")) {
        return Health::failed(names.reason(), names.message());
    }
    match condition(object, "Established") {
        Some(established) if established.is("True") => Health::Current,
        Some(established) if established.is("False") && established.reason() != "Installing" => {
            Health::failed(established.reason(), established.message())
        }
        _ => Health::in_progress("not served yet"),
    }
}

/// For kinds that are current unless a condition says otherwise.
fn must_be_true(object: &Value, kind: &str) -> Health {
    match condition(object, kind) {
        Some(condition) if !condition.is("True") => Health::in_progress(condition.message()),
        _ => Health::Current,
    }
}
