//! What may be found among pods, and what is weighed and quoted to find it.

use k8s_openapi::api::core::v1::Pod;

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

/// Whether the pod was ready at some time: it is now, or ceased to be after its node had first looked at it.
pub fn has_served(pod: &Pod) -> bool {
    let Some(status) = &pod.status else { return false };
    let Some(ready) = status.conditions.iter().flatten().find(|c| c.type_ == "Ready") else { return false };
    let since = ready.last_transition_time.as_ref().zip(status.start_time.as_ref());
    // Both are set when the node takes the pod; a second may end in between.
    ready.status == "True" || since.is_some_and(|(ceased, start)| ceased.0.as_second() - start.0.as_second() > 1)
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
