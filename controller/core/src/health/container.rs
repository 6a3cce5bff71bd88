//! What is wrong with the containers of one pod.

use k8s_openapi::api::core::v1::{Container, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus, Pod};

use super::finding::{Finding, Patience, Weight, has_served, quote};
use super::probe;

/// The exit code by which the runtime says that the process could not be started at all.
const NOT_STARTED: i32 = 128;

/// A container of a pod with all that is needed to judge it.
struct Subject<'a> {
    pod: &'a str,
    spec: Option<&'a Container>,
    status: &'a ContainerStatus,
    /// Seconds since the pod was accepted by its node.
    age: i64,
    never_restarts: bool,
    /// It has done its work once, and is still on probation: it must not end, whatever its exit code.
    on_probation: bool,
    patience: Patience,
}

/// The most telling trouble among the containers of a pod; init containers come first, because the others wait for them.
pub(super) fn trouble(pod: &Pod, name: &str, now: i64, patience: Patience) -> Option<(Weight, Finding)> {
    let status = pod.status.as_ref()?;
    let since = status.start_time.as_ref().or(pod.metadata.creation_timestamp.as_ref());
    let age = since.map_or(0, |time| now - time.0.as_second());
    let never_restarts = pod.spec.as_ref().is_some_and(|spec| spec.restart_policy.as_deref() == Some("Never"));
    let spec_of = |container: &str| {
        let spec = pod.spec.as_ref()?;
        spec.init_containers.iter().flatten().chain(&spec.containers).find(|c| c.name == container)
    };
    let on_probation = patience.on_probation && has_served(pod);
    let init = status.init_container_statuses.iter().flatten().map(|status| (status, false));
    let others = status.container_statuses.iter().flatten().map(|status| (status, on_probation));
    let mut best: Option<(Weight, Finding)> = None;
    for (status, on_probation) in init.chain(others) {
        let spec = spec_of(&status.name);
        let subject = Subject { pod: name, spec, status, age, never_restarts, on_probation, patience };
        if let Some((weight, finding)) = subject.judge(now)
            && best.as_ref().is_none_or(|(other, _)| weight > *other)
        {
            best = Some((weight, finding));
        }
    }
    best
}

impl Subject<'_> {
    fn judge(&self, now: i64) -> Option<(Weight, Finding)> {
        let state = self.status.state.as_ref()?;
        let last = self.status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
        if let Some(waiting) = &state.waiting {
            return self.waiting(waiting, last);
        }
        if let Some(ended) = &state.terminated {
            return self.is_wrong(ended).then(|| (Weight::Ended, self.ended(ended)));
        }
        let started = state.running.as_ref()?.started_at.as_ref().map_or(now, |time| time.0.as_second());
        if self.status.ready {
            return None;
        }
        if let Some(last) = last.filter(|last| self.is_wrong(last)) {
            return Some((Weight::Ended, self.ended(last)));
        }
        let spec = self.spec?;
        let probe = probe::pending(spec, self.status)?;
        let waited = now - started;
        (waited > self.patience.probe).then(|| {
            let message = format!(
                "{self} has run for {waited} s and does not answer its {}: {}",
                probe.describe(),
                probe.advice()
            );
            (Weight::NotReady, self.finding("ProbeFailing", message, false))
        })
    }

    fn waiting(
        &self,
        waiting: &ContainerStateWaiting,
        last: Option<&ContainerStateTerminated>,
    ) -> Option<(Weight, Finding)> {
        let said = waiting.message.as_deref().unwrap_or_default();
        let patient = self.age > self.patience.pull;
        let blocked = |finding| Some((Weight::Blocked, finding));
        match waiting.reason.as_deref().unwrap_or_default() {
            reason @ ("ImagePullBackOff" | "ErrImagePull" | "RegistryUnavailable" | "ImageInspectError") => {
                blocked(self.image(reason, said, patient))
            }
            reason @ ("InvalidImageName" | "ErrImageNeverPull") => blocked(self.image(reason, said, true)),
            reason @ "CreateContainerConfigError" => {
                let (advice, certain) = config_advice(said);
                let message = format!("{self} cannot be created, the node says {}: {advice}", quote(said));
                blocked(self.finding(reason, message, certain || patient))
            }
            reason @ ("CreateContainerError"
            | "RunContainerError"
            | "StartError"
            | "PreStartHookError"
            | "PostStartHookError") => blocked(self.not_started(reason, said)),
            "CrashLoopBackOff" => {
                let finding = last.map_or_else(|| self.ends_again(), |last| self.ended(last));
                Some((Weight::Ended, finding))
            }
            reason @ "ContainerCreating" if self.age > self.patience.creating => {
                let message = format!(
                    "{self} has not been created for {} s, most often because a volume cannot be attached or mounted, or a \
                     Secret or ConfigMap that is mounted does not exist: look at the events of the pod",
                    self.age
                );
                Some((Weight::Waiting, self.finding(reason, message, false)))
            }
            _ => None,
        }
    }

    /// Whether it should not have ended so.
    fn is_wrong(&self, ended: &ContainerStateTerminated) -> bool {
        ended.exit_code != 0 || self.on_probation
    }

    fn gave_up(&self) -> bool {
        self.never_restarts || self.on_probation || self.status.restart_count >= self.patience.restarts
    }

    fn image(&self, reason: &str, said: &str, definite: bool) -> Finding {
        let image = self.spec.and_then(|spec| spec.image.as_deref()).unwrap_or(&self.status.image);
        let lower = said.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
        let advice = if reason == "InvalidImageName" {
            "correct the image's name"
        } else if has(&["unauthorized", "denied", "authentication required", "forbidden", "no basic auth"]) {
            "check its name, and that imagePullSecrets names a Secret that may read it"
        } else if has(&["not found", "manifest unknown", "does not exist"]) {
            "push that tag, or correct the image's name"
        } else if has(&["toomanyrequests", "rate limit"]) {
            "the registry limits anonymous pulls: give imagePullSecrets"
        } else if has(&["no such host", "timeout", "connection refused", "i/o timeout", "x509"]) {
            "check that the node reaches the registry and trusts its certificate"
        } else {
            "check the image's name and its registry"
        };
        let why = if said.is_empty() { String::new() } else { format!(", the node says {}", quote(said)) };
        self.finding(reason, format!("image {image} of {self} cannot be pulled{why}: {advice}"), definite)
    }

    fn not_started(&self, reason: &str, said: &str) -> Finding {
        let lower = said.to_ascii_lowercase();
        let missing =
            ["executable file not found", "no such file or directory"].iter().any(|text| lower.contains(text));
        let advice = if missing {
            "the image does not contain that program: correct command, or the image"
        } else if lower.contains("permission denied") {
            "the file may not be executed by that user: make it executable in the image, or set runAs"
        } else {
            "correct what it names"
        };
        let message = format!("{self} cannot be started, the node says {}: {advice}", quote(said));
        self.finding(reason, message, missing || self.gave_up())
    }

    /// A container that ended, and nobody knows how.
    fn ends_again(&self) -> Finding {
        let restarts = self.status.restart_count;
        let message = format!("{self} ends again and again, {restarts} restarts so far: its log says why");
        self.finding("CrashLoopBackOff", message, self.gave_up())
    }

    /// A container that ran and ended.
    fn ended(&self, ended: &ContainerStateTerminated) -> Finding {
        let restarts = match self.status.restart_count {
            0 => String::new(),
            1 => ", 1 restart".into(),
            count => format!(", {count} restarts"),
        };
        let why = ended.reason.as_deref().unwrap_or_default();
        if why == "OOMKilled" {
            let limit = self.spec.and_then(|spec| spec.resources.as_ref()?.limits.as_ref()?.get("memory"));
            let limit = limit
                .map_or_else(|| "the node's memory".to_owned(), |limit| format!("its memory limit of {}", limit.0));
            let message =
                format!("{self} used more than {limit} and was killed{restarts}: raise resources.limits.memory");
            return self.finding("OOMKilled", message, self.gave_up());
        }
        if matches!(why, "StartError" | "ContainerCannotRun")
            || (ended.exit_code == NOT_STARTED && ended.message.is_some())
        {
            return self.not_started("StartError", ended.message.as_deref().unwrap_or_default());
        }
        if !self.on_probation
            && let Some(finding) = self.ended_by_probe(ended, &restarts)
        {
            return finding;
        }
        let meaning = match ended.exit_code {
            126 => " (a program that may not be executed)",
            127 => " (a program that does not exist)",
            137 => " (killed, as a failing liveness probe does)",
            139 => " (a segmentation fault)",
            143 => " (asked to stop)",
            _ => "",
        };
        let served = if self.on_probation { "served and then " } else { "" };
        let message =
            format!("{self} {served}exited with code {}{meaning}{restarts}: its log says why", ended.exit_code);
        let reason = if self.status.restart_count > 0 { "CrashLoopBackOff" } else { "Error" };
        self.finding(reason, message, self.gave_up())
    }

    /// A container that was ended, because it did not answer its startup probe for as long as that may take.
    fn ended_by_probe(&self, ended: &ContainerStateTerminated, restarts: &str) -> Option<Finding> {
        let spec = self.spec?;
        let probe = probe::pending(spec, self.status)?;
        let ran = ended.finished_at.as_ref()?.0.as_second() - ended.started_at.as_ref()?.0.as_second();
        if !matches!(ended.exit_code, 0 | 137 | 143) || !probe.ends_after(ran) {
            return None;
        }
        // Such a one has next to nothing of a processor that is wanted by any other: it is slow, and nothing is wrong with it.
        let has_share = spec.resources.iter().flat_map(|r| &r.requests).any(|requests| requests.contains_key("cpu"));
        let share = if has_share {
            ""
        } else {
            "; or it only is slow: it asks for no CPU (resources.requests.cpu), so on a busy node it has what other pods leave"
        };
        let message = format!(
            "{self} ran for {ran} s, did not answer its {} and was ended{restarts}: {}{share}",
            probe.describe(),
            probe.advice()
        );
        // It has had the time that it may take.
        Some(self.finding("ProbeFailing", message, true))
    }

    fn finding(&self, reason: &str, message: String, definite: bool) -> Finding {
        Finding {
            reason: reason.to_owned(),
            message,
            pod: Some(self.pod.to_owned()),
            container: Some(self.status.name.clone()),
            definite,
        }
    }
}

impl std::fmt::Display for Subject<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "container {} of pod {}", self.status.name, self.pod)
    }
}

/// What to do about a container that cannot be configured, and whether only a change of the spec helps.
fn config_advice(said: &str) -> (&'static str, bool) {
    if said.contains("runAsNonRoot") || said.contains("non-numeric user") {
        return (
            "the image runs as root or as a user given by name: set runAs.user to a number, or allowRoot with the reason",
            true,
        );
    }
    if said.contains("couldn't find key") || said.contains("references non-existent") {
        return ("add that key, or correct the name of the key in env", false);
    }
    if said.contains("not found") {
        return ("create it in this namespace, or correct its name in env or envFrom", false);
    }
    ("correct what it names", false)
}
