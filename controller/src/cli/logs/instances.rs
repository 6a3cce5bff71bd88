//! Which logs a pod has to show: pure.

use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;

/// One run of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// Identifies the run: a restart gives another.
    pub id: String,
    /// Whether it is the run before the present one.
    pub previous: bool,
    /// Whether the pod has no other container.
    pub alone: bool,
    /// What a person should know before the log.
    pub note: Option<String>,
}

impl Instance {
    /// `POD`, or `POD/CONTAINER`.
    pub fn label(&self) -> String {
        if self.alone { self.pod.clone() } else { format!("{}/{}", self.pod, self.container) }
    }
}

/// What there is to show for a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Log {
    /// A log.
    Of(Instance),
    /// None, and why.
    Silent {
        /// One sentence.
        sentence: String,
    },
}

/// The logs of a pod's containers, the present runs, or with `previous` those before them. A container that crashed and waits
/// to start again shows the run that crashed.
pub fn logs(pod: &Pod, previous: bool) -> Vec<Log> {
    let name = pod.name_any();
    let status = pod.status.clone().unwrap_or_default();
    let init = status.init_container_statuses.unwrap_or_default();
    let containers = status.container_statuses.unwrap_or_default();
    if init.is_empty() && containers.is_empty() {
        return vec![Log::Silent { sentence: format!("pod {name} has not started: {}", not_started(pod)) }];
    }
    let alone = init.len() + containers.len() == 1;
    // An init container that succeeded has nothing to say about the app.
    let done = |status: &&ContainerStatus| {
        let state = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        state.is_some_and(|ended| ended.exit_code == 0)
    };
    init.iter()
        .filter(|status| !done(status))
        .chain(&containers)
        .map(|status| log(&name, status, alone, previous))
        .collect()
}

fn log(pod: &str, status: &ContainerStatus, alone: bool, previous: bool) -> Log {
    let instance = |id: &str, previous, note| {
        Log::Of(Instance {
            pod: pod.to_owned(),
            container: status.name.clone(),
            id: id.to_owned(),
            previous,
            alone,
            note,
        })
    };
    let container = &status.name;
    let last = status.last_state.as_ref().and_then(|state| state.terminated.as_ref());
    let last_id = last.and_then(|ended| ended.container_id.as_deref());
    if previous {
        return match last_id {
            Some(id) => instance(id, true, None),
            None => Log::Silent {
                sentence: format!("container {container} of pod {pod} has not run before its present run"),
            },
        };
    }
    let state = status.state.clone().unwrap_or_default();
    if let (Some(waiting), Some(ended), Some(id)) = (&state.waiting, last, last_id) {
        let why =
            ended.reason.as_deref().filter(|reason| *reason != "Error").map(|r| format!(", {r}")).unwrap_or_default();
        let note = format!(
            "pod {pod}: container {container} ended with exit code {}{why}, and waits to start again ({}); its log:",
            ended.exit_code,
            waiting.reason.as_deref().unwrap_or("no reason is given"),
        );
        return instance(id, true, Some(note));
    }
    if let Some(waiting) = &state.waiting {
        let reason = waiting.reason.as_deref().unwrap_or("no reason is given");
        let message = waiting.message.as_deref().map(|message| format!(": {message}")).unwrap_or_default();
        return Log::Silent {
            sentence: format!("container {container} of pod {pod} has not started ({reason}{message})"),
        };
    }
    let ended = state.terminated.as_ref().and_then(|ended| ended.container_id.as_deref());
    match ended.or(status.container_id.as_deref()) {
        Some(id) => instance(id, false, None),
        None => Log::Silent { sentence: format!("container {container} of pod {pod} has not started") },
    }
}

/// Why a pod without containers has none.
fn not_started(pod: &Pod) -> String {
    let status = pod.status.as_ref();
    let conditions = status.and_then(|status| status.conditions.as_ref()).into_iter().flatten();
    let unscheduled =
        conditions.filter(|c| c.type_ == "PodScheduled" && c.status == "False").find_map(|c| c.message.clone());
    unscheduled
        .or_else(|| status.and_then(|status| status.message.clone()))
        .unwrap_or_else(|| "it is on its way".to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(json!({"metadata": {"name": "hello-1"}, "status": status})).expect("a pod")
    }

    fn container(state: &Value, last: &Value) -> Value {
        json!({"name": "app", "image": "", "imageID": "", "ready": false, "restartCount": 1, "containerID": "c://2", "state": state, "lastState": last})
    }

    fn only(status: &Value, previous: bool) -> Log {
        let mut logs = logs(&pod(status), previous);
        assert_eq!(logs.len(), 1);
        logs.remove(0)
    }

    #[test]
    fn a_crashed_container_that_waits_shows_the_run_that_crashed() {
        let waiting = json!({"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}});
        let last = json!({"terminated": {"exitCode": 137, "reason": "OOMKilled", "containerID": "c://1"}});
        let Log::Of(instance) = only(&json!({"containerStatuses": [container(&waiting, &last)]}), false) else {
            panic!("a log")
        };
        assert!(instance.previous && instance.id == "c://1" && instance.alone);
        insta::assert_snapshot!(instance.note.expect("a note"), @"pod hello-1: container app ended with exit code 137, OOMKilled, and waits to start again (CrashLoopBackOff); its log:");
    }

    #[test]
    fn a_running_container_shows_its_present_run_and_on_request_the_one_before() {
        let running = json!({"running": {"startedAt": "2026-01-01T00:00:00Z"}});
        let last = json!({"terminated": {"exitCode": 1, "containerID": "c://1"}});
        let status = json!({"containerStatuses": [container(&running, &last)]});
        assert!(
            matches!(only(&status, false), Log::Of(Instance { previous: false, id, note: None, .. }) if id == "c://2")
        );
        assert!(matches!(only(&status, true), Log::Of(Instance { previous: true, id, .. }) if id == "c://1"));
        let first = json!({"containerStatuses": [container(&running, &json!({}))]});
        assert!(matches!(only(&first, true), Log::Silent { sentence } if sentence.contains("not run before")));
    }

    #[test]
    fn what_never_started_says_why() {
        let waiting = json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}});
        let never = only(&json!({"containerStatuses": [container(&waiting, &json!({}))]}), false);
        assert!(matches!(never, Log::Silent { sentence } if sentence.contains("ImagePullBackOff: no such image")));
        let unscheduled =
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]});
        assert!(
            matches!(only(&unscheduled, false), Log::Silent { sentence } if sentence.ends_with("0/1 nodes are available"))
        );
    }
}
