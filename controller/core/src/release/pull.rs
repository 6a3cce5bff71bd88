//! Whether an image came to the node that it was brought to.

use drover_crds::Problem;
use k8s_openapi::api::core::v1::Pod;

/// Bringing the new image to the node before the old pod stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pull {
    /// Nothing is to be brought: new pods start beside the old, or no old pod serves, or the image is the same.
    NotNeeded,
    /// It is to be brought to this node.
    Needed {
        /// The node of the old pod.
        node: String,
    },
    /// It is on its way.
    Running,
    /// It is there.
    Done,
    /// It cannot be had.
    Failed(Problem),
}

/// Seconds after which an image that is not on the node has failed to come.
const PULL_DEADLINE: i64 = 600;

/// Seconds for which a failed pull is tried again, when it does not say that trying again is useless.
const PULL_PATIENCE: i64 = 60;

/// Words of registries and nodes after which another try changes nothing.
const FINAL_WORDS: [&str; 6] =
    ["not found", "manifest unknown", "unauthorized", "denied", "authorization failed", "invalid reference"];

/// Whether the pod that pulls has brought the image: it has as soon as the kubelet tried to start the container, whatever
/// came of that.
pub fn pull_state(pod: &Pod, image: &str, now: i64) -> Pull {
    let name = pod.metadata.name.clone().unwrap_or_default();
    let status = pod.status.clone().unwrap_or_default();
    let fail = |reason: &str, why: &str| {
        Pull::Failed(Problem {
            reason: reason.to_owned(),
            message: format!(
                "the image {image} cannot be pulled, so the running pods were left alone: {}; push the image, or correct spec.image or spec.imagePullSecrets",
                why.trim_end_matches('.')
            ),
            pod: Some(name.clone()),
            ..Default::default()
        })
    };
    let created = pod.metadata.creation_timestamp.as_ref().map_or(now, |t| t.0.as_second());
    let container = status.container_statuses.iter().flatten().next().and_then(|c| c.state.clone());
    if let Some(state) = container {
        if state.running.is_some() || state.terminated.is_some() {
            return Pull::Done;
        }
        let waiting = state.waiting.unwrap_or_default();
        let why = waiting.message.unwrap_or_default();
        match waiting.reason.as_deref().unwrap_or_default() {
            reason @ ("InvalidImageName" | "ErrImageNeverPull") => {
                return fail(reason, if why.is_empty() { reason } else { &why });
            }
            reason @ ("ErrImagePull" | "ImagePullBackOff" | "ImageInspectError") => {
                let told = why.to_lowercase();
                if now - created > PULL_PATIENCE || FINAL_WORDS.iter().any(|word| told.contains(word)) {
                    return fail(reason, if why.is_empty() { reason } else { &why });
                }
            }
            "RunContainerError" | "CreateContainerError" | "StartError" | "CrashLoopBackOff" => return Pull::Done,
            _ => {}
        }
    }
    // The kubelet refused the pod, or it ended without a container: nothing was learnt about the image.
    if status.phase.as_deref() == Some("Failed") {
        let reason = status.reason.unwrap_or_else(|| "PodFailed".to_owned());
        let why = status.message.unwrap_or_else(|| format!("the pod {name} was refused by its node ({reason})"));
        return fail(&reason, &why);
    }
    if now - created > PULL_DEADLINE {
        return fail("ImagePullTimeout", "it did not come within 10 minutes");
    }
    Pull::Running
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    #[rstest]
    #[case(json!({"phase": "Pending"}), 0, Pull::Running)]
    #[case(json!({"phase": "Pending", "containerStatuses": [status(&json!({"waiting": {"reason": "ContainerCreating"}}))]}), 0, Pull::Running)]
    #[case(json!({"phase": "Pending", "containerStatuses": [status(&json!({"waiting": {"reason": "ErrImagePull", "message": "i/o timeout"}}))]}), 5, Pull::Running)]
    #[case(json!({"phase": "Succeeded", "containerStatuses": [status(&json!({"terminated": {"exitCode": 0}}))]}), 0, Pull::Done)]
    #[case(json!({"phase": "Failed", "containerStatuses": [status(&json!({"terminated": {"exitCode": 128, "reason": "StartError"}}))]}), 0, Pull::Done)]
    #[case(json!({"phase": "Pending", "containerStatuses": [status(&json!({"waiting": {"reason": "RunContainerError"}}))]}), 0, Pull::Done)]
    fn the_image_is_there_once_the_kubelet_tried_to_start_it(
        #[case] status: Value,
        #[case] now: i64,
        #[case] expected: Pull,
    ) {
        assert_eq!(pull_state(&pod(&status), "web:2", now), expected);
    }

    fn status(state: &Value) -> Value {
        json!({"name": "app", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state})
    }

    fn pod(status: &Value) -> Pod {
        serde_json::from_value(
            json!({"metadata": {"name": "web-pull-2", "creationTimestamp": "1970-01-01T00:00:00Z"}, "status": status}),
        )
        .expect("a pod")
    }

    #[rstest]
    #[case(json!({"phase": "Pending", "containerStatuses": [status(&json!({"waiting": {"reason": "ErrImagePull", "message": "not found"}}))]}), 0, "not found")]
    #[case(json!({"phase": "Pending", "containerStatuses": [status(&json!({"waiting": {"reason": "ImagePullBackOff", "message": "i/o timeout"}}))]}), 61, "i/o timeout")]
    #[case(json!({"phase": "Failed", "reason": "NodeAffinity"}), 0, "NodeAffinity")]
    #[case(json!({"phase": "Pending"}), 601, "10 minutes")]
    fn an_image_that_does_not_come_is_a_failure(#[case] status: Value, #[case] now: i64, #[case] word: &str) {
        match pull_state(&pod(&status), "web:2", now) {
            Pull::Failed(problem) => {
                assert!(problem.message.contains(word) && problem.message.contains("web:2"), "{problem:?}");
            }
            other => panic!("{other:?}"),
        }
    }
}
