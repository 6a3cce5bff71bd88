//! The pod that brings the image of a release to a node.

use drover_core::workload::App;
use drover_core::workload::build::{self, PullTarget};
use drover_core::workload::pods::Pods;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::PostParams;

use super::{delete, key};
use crate::cluster::{Acting, ApiError, is_conflict};

/// The pod that pulls the image of a release, where there is one.
pub async fn found(acting: &Acting, app: &App, release: i64) -> Result<Option<Pod>, ApiError> {
    let api: Api<Pod> = Api::namespaced(acting.client(), &app.namespace);
    let name = build::pull_pod_name(app, release);
    api.get_opt(&name).await.map_err(|e| acting.error(e, "get", &key("", "Pod", &app.namespace, &name)))
}

/// Creates the pod that pulls the image of a release.
pub async fn start(acting: &Acting, pods: &Pods, target: &PullTarget) -> Result<(), ApiError> {
    let api: Api<Pod> = Api::namespaced(acting.client(), &pods.app.namespace);
    let pod = build::pull_pod(pods, target);
    match api.create(&PostParams::default(), &pod).await {
        Ok(_) => Ok(()),
        Err(error) if is_conflict(&error) => Ok(()),
        Err(error) => {
            let name = build::pull_pod_name(&pods.app, target.release);
            Err(acting.error(error, "create", &key("", "Pod", &pods.app.namespace, &name)))
        }
    }
}

/// Deletes the pod that pulled the image of a release.
pub async fn end(acting: &Acting, app: &App, release: i64) -> Result<(), ApiError> {
    let name = build::pull_pod_name(app, release);
    delete::<Pod>(acting, app, &name, key("", "Pod", &app.namespace, &name)).await
}
