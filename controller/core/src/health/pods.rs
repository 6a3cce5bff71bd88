//! The most telling trouble among the pods of a rollout.

use k8s_openapi::api::core::v1::Pod;
use serde_json::Value;

use super::container;
use super::fields::condition;

/// What is wrong, as a person should read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// One CamelCase word, Kubernetes' own where it has one: `ImagePullBackOff`, `CrashLoopBackOff`, `OOMKilled`, …
    pub reason: String,
    /// One sentence: what, which, why, what to do. Never text that a container wrote.
    pub message: String,
    /// The pod; `None` when there is not even one.
    pub pod: Option<String>,
    /// The container, where one is to blame.
    pub container: Option<String>,
    /// It will not come up by itself: waiting longer is of no use.
    pub definite: bool,
}

/// For how long trouble may be a passing one, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// An image that cannot be pulled, or a Secret or ConfigMap that is not there, counts as definite after this.
    pub pull: i64,
    /// A pod that waits for its volumes is worth a word after this.
    pub creating: i64,
    /// A container that runs and is not ready is worth a word after this.
    pub probe: i64,
    /// Restarts after which a container that ends is not expected to come up.
    pub restarts: i32,
    /// The pods are on probation: a container that ends after its pod has served has failed it.
    pub on_probation: bool,
}

impl Default for Patience {
    fn default() -> Self {
        Self { pull: 60, creating: 60, probe: 30, restarts: 2, on_probation: false }
    }
}

impl Patience {
    /// None is left: what could still pass is told as it is.
    pub fn over() -> Self {
        Self { creating: -1, probe: -1, ..Self::default() }
    }
}

/// How telling a finding is: the cause before its consequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Weight {
    Waiting,
    NotReady,
    Unschedulable,
    Evicted,
    Ended,
    Blocked,
}

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

/// Whether the pod was ready at some time: it is now, or ceased to be after its node had first looked at it.
pub fn has_served(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let Some(ready) = status.conditions.iter().flatten().find(|c| c.type_ == "Ready") else { return false };
    let since = ready.last_transition_time.as_ref().zip(status.start_time.as_ref());
    // Both are set when the node takes the pod; a second may end in between.
    ready.status == "True" || since.is_some_and(|(ceased, start)| ceased.0.as_second() - start.0.as_second() > 1)
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

/// Somebody else's words inside a sentence: one line, bounded, in quotes.
pub(super) fn quote(said: &str) -> String {
    const LONGEST: usize = 300;
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = line.trim_end_matches('.');
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("“{}…”", &line[..end]),
        None => format!("“{line}”"),
    }
}
