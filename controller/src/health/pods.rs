//! What is wrong with pods.

use k8s_openapi::api::core::v1::Pod;

/// What is wrong with one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Kubernetes' word for it.
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: Option<String>,
    /// Waiting does not help.
    pub definite: bool,
}

/// The worst that is wrong with these pods.
pub fn diagnose(pods: &[Pod], _now_unix: i64) -> Option<Finding> {
    pods.iter().find_map(|pod| {
        let status = pod
            .status
            .as_ref()?
            .container_statuses
            .as_ref()?
            .iter()
            .find_map(|c| Some((c.name.clone(), c.state.as_ref()?.waiting.clone()?)))?;
        let reason = status.1.reason.filter(|r| r != "ContainerCreating")?;
        Some(Finding {
            definite: reason.ends_with("BackOff"),
            message: status.1.message.unwrap_or_else(|| reason.clone()),
            reason,
            pod: pod.metadata.name.clone().unwrap_or_default(),
            container: Some(status.0),
        })
    })
}
