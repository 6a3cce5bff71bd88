//! What the pod of a Job says of how far it is. Pure.

use drover_core::workload::build::APP;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

/// How far a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// It has not begun; why, where that is worth telling.
    Waits(Option<String>),
    /// Its program runs.
    Runs,
    /// Its program ended.
    Ended {
        /// With which code.
        code: i32,
        /// Kubernetes' word for it, where it says more than the code.
        reason: Option<String>,
    },
    /// It ended without its program having come to an end: the node was full, or went.
    Cut(String),
}

impl Seen {
    /// What `pod` says.
    pub fn of(pod: &Pod) -> Self {
        let status = pod.status.clone().unwrap_or_default();
        let statuses = status.container_statuses.unwrap_or_default();
        let state = statuses.into_iter().find(|one| one.name == APP).and_then(|one| one.state).unwrap_or_default();
        if pod.metadata.deletion_timestamp.is_some() {
            return Self::Cut("its pod was deleted".to_owned());
        }
        if let Some(ended) = state.terminated {
            let reason = ended.reason.filter(|reason| !matches!(reason.as_str(), "Completed" | "Error"));
            return Self::Ended { code: ended.exit_code, reason };
        }
        if status.phase.as_deref() == Some("Failed") {
            let why = [status.reason, status.message].into_iter().flatten().collect::<Vec<_>>().join(": ");
            return Self::Cut(if why.is_empty() { "its pod failed".to_owned() } else { why });
        }
        if state.running.is_some() {
            return Self::Runs;
        }
        let waiting = state.waiting.and_then(|waiting| {
            let reason =
                waiting.reason.filter(|reason| !matches!(reason.as_str(), "ContainerCreating" | "PodInitializing"))?;
            Some(waiting.message.map_or(reason.clone(), |message| format!("{reason}: {message}")))
        });
        let unscheduled = || {
            let conditions = status.conditions.into_iter().flatten();
            conditions.filter(|c| c.type_ == "PodScheduled" && c.status == "False").find_map(|c| c.message)
        };
        Self::Waits(waiting.or_else(unscheduled))
    }
}

/// Why the Job itself ended what it ran, if it did. That a program failed its pod says.
pub fn ended_by_job(job: &Job) -> Option<String> {
    let conditions = job.status.as_ref()?.conditions.as_ref()?;
    let failed = conditions.iter().find(|c| c.type_ == "Failed" && c.status == "True")?;
    let reason = failed.reason.as_deref().filter(|reason| *reason != "BackoffLimitExceeded")?;
    Some(failed.message.as_ref().map_or(reason.to_owned(), |message| format!("{reason}: {message}")))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn seen(status: &Value) -> Seen {
        Seen::of(&serde_json::from_value(json!({"metadata": {"name": "web-run-x"}, "status": status})).expect("a pod"))
    }

    fn app(state: &Value) -> Value {
        let status =
            json!({"name": "app", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
        json!({"phase": "Pending", "containerStatuses": [status]})
    }

    #[test]
    fn a_pod_says_how_far_it_is() {
        assert_eq!(seen(&json!({})), Seen::Waits(None));
        assert_eq!(seen(&app(&json!({"waiting": {"reason": "ContainerCreating"}}))), Seen::Waits(None));
        let pulling = app(&json!({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}));
        assert_eq!(seen(&pulling), Seen::Waits(Some("ImagePullBackOff: no such image".into())));
        let full =
            json!({"conditions": [{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available"}]});
        assert_eq!(seen(&full), Seen::Waits(Some("0/1 nodes are available".into())));
        assert_eq!(seen(&app(&json!({"running": {}}))), Seen::Runs);
        let ended = |code, reason: &str| seen(&app(&json!({"terminated": {"exitCode": code, "reason": reason}})));
        assert_eq!(ended(3, "Error"), Seen::Ended { code: 3, reason: None });
        assert_eq!(ended(137, "OOMKilled"), Seen::Ended { code: 137, reason: Some("OOMKilled".into()) });
        let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "the node was low on memory"});
        assert_eq!(seen(&evicted), Seen::Cut("Evicted: the node was low on memory".into()));
    }

    #[test]
    fn a_job_that_was_too_slow_says_so_and_one_that_failed_leaves_it_to_its_pod() {
        let job = |reason: &str| {
            let failed = json!([{"type": "Failed", "status": "True", "reason": reason, "message": "why"}]);
            ended_by_job(&serde_json::from_value(json!({"status": {"conditions": failed}})).expect("a Job"))
        };
        assert_eq!(job("DeadlineExceeded").as_deref(), Some("DeadlineExceeded: why"));
        assert_eq!(job("BackoffLimitExceeded"), None);
        assert_eq!(ended_by_job(&Job::default()), None);
    }
}
