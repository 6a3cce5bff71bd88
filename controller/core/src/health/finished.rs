//! Whether an object that runs once has run.

use serde_json::Value;

use super::fields::{condition, text};

/// How an object ended that runs once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finished {
    /// It did what it is for.
    Complete,
    /// It did not, and is to be removed all the same.
    Failed,
}

/// Whether a live object has run and does not begin again by itself, so that it is no loss when it is removed: by its
/// `ttlSecondsAfterFinished`, by Kubernetes' own tidying, by a person. A Job that failed and is kept waits for a person, who deletes
/// it to have it run again.
pub fn finished(object: &Value) -> Option<Finished> {
    let api_version = text(object, "/apiVersion");
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    let is_true = |kind| condition(object, kind).is_some_and(|condition| condition.is("True"));
    match (group, text(object, "/kind")) {
        ("batch", "Job") if is_true("Complete") => Some(Finished::Complete),
        ("batch", "Job") if is_true("Failed") => {
            object.pointer("/spec/ttlSecondsAfterFinished").is_some_and(Value::is_number).then_some(Finished::Failed)
        }
        ("", "Pod") if text(object, "/status/phase") == "Succeeded" => Some(Finished::Complete),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(kind: &str, ttl: &Value) -> Value {
        json!({"apiVersion": "batch/v1", "kind": "Job", "spec": {"ttlSecondsAfterFinished": ttl},
            "status": {"conditions": [{"type": kind, "status": "True"}]}})
    }

    #[test]
    fn a_job_that_completed_has_run_and_one_that_failed_where_it_is_removed() {
        assert_eq!(finished(&job("Complete", &Value::Null)), Some(Finished::Complete));
        assert_eq!(finished(&job("Complete", &json!(2))), Some(Finished::Complete));
        assert_eq!(finished(&job("Failed", &json!(0))), Some(Finished::Failed));
        assert_eq!(finished(&job("Failed", &Value::Null)), None);
        assert_eq!(finished(&job("Suspended", &json!(2))), None);
    }

    #[test]
    fn a_pod_that_ended_well_has_run_and_nothing_else_ever_has() {
        let pod = |phase: &str| json!({"apiVersion": "v1", "kind": "Pod", "status": {"phase": phase}});
        assert_eq!(finished(&pod("Succeeded")), Some(Finished::Complete));
        assert_eq!(finished(&pod("Failed")), None);
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "status": {"conditions": [{"type": "Complete", "status": "True"}]}});
        assert_eq!(finished(&deployment), None);
    }
}
