//! The pod that brings the new image to the node before the old pod stops.

use drover_crds as crds;
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec, ResourceRequirements};

use super::{container, metadata, pod};
use crate::workload::App;
use crate::workload::pods::Pods;

/// Where an image is brought, for which release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PullTarget {
    /// The number of the release.
    pub release: i64,
    /// The node that the old pod runs on, and that its volume is held by.
    pub node: String,
}

/// The name of the pod that pulls for a release.
pub fn pull_pod_name(app: &App, release: i64) -> String {
    app.child_name(&format!("pull-{release}"))
}

/// A pod that runs `true` from the image and mounts nothing. Whether the image has such a program does not matter: the
/// kubelet pulls before it looks.
pub fn pull_pod(pods: &Pods, target: &PullTarget) -> Pod {
    let mut meta = metadata::bookkeeping(&pods.app, pull_pod_name(&pods.app, target.release));
    if let Some(labels) = &mut meta.labels {
        labels.insert(crds::LABEL_COMPONENT.to_owned(), "pull".to_owned());
        labels.insert(crds::LABEL_RELEASE.to_owned(), target.release.to_string());
    }
    Pod {
        metadata: meta,
        spec: Some(PodSpec {
            node_name: Some(target.node.clone()),
            restart_policy: Some("Never".to_owned()),
            active_deadline_seconds: Some(600),
            termination_grace_period_seconds: Some(0),
            automount_service_account_token: Some(false),
            enable_service_links: Some(false),
            image_pull_secrets: pod::pull_secrets(&pods.pull_secrets),
            security_context: Some(pod::security(&pods.identity, false)),
            containers: vec![Container {
                name: container::APP.to_owned(),
                image: Some(pods.image.clone()),
                image_pull_policy: pods.pull_policy.map(|p| p.as_str().to_owned()),
                command: Some(vec!["true".to_owned()]),
                // Little, but said, so that a namespace's quota takes it.
                resources: Some(ResourceRequirements {
                    requests: Some(container::amounts("10m", "16Mi")),
                    limits: Some(container::amounts("100m", "64Mi")),
                    claims: None,
                }),
                security_context: Some(container::security(pods.identity.root)),
                ..Default::default()
            }],
            ..Default::default()
        }),
        ..Default::default()
    }
}
