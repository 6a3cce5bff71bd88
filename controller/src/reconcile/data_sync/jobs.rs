//! The Jobs that sync, read and made as the namespace's account. A Job's name is its request's, so it is made once, whoever dies meanwhile.

use drover_core::render::ObjectKey;
use drover_core::sync::{self, Run};
use drover_core::workload::App;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use crate::cluster::{Acting, ApiError};

/// What the Jobs of `app` say of its syncs; `now` is in seconds since 1970.
pub(super) async fn runs(acting: &Acting, app: &App, now: i64) -> Result<Vec<Run>, ApiError> {
    let params = ListParams::default().labels(&sync::selector(&app.object_name()));
    let jobs: Api<Job> = Api::namespaced(acting.client(), &app.namespace);
    let jobs = jobs.list(&params).await.map_err(|error| acting.error(error, "list", &key("batch", "Job", app)))?;
    if jobs.items.is_empty() {
        return Ok(Vec::new());
    }
    let pods: Api<Pod> = Api::namespaced(acting.client(), &app.namespace);
    let pods = pods.list(&params).await.map_err(|error| acting.error(error, "list", &key("", "Pod", app)))?;
    Ok(jobs.items.iter().map(|job| sync::run(job, &pods.items, now)).collect())
}

/// The sets on the claim that pods of the namespace mount.
pub(super) async fn sets_in_use(acting: &Acting, app: &App, claim: &str) -> Result<Vec<String>, ApiError> {
    let pods: Api<Pod> = Api::namespaced(acting.client(), &app.namespace);
    let pods = pods.list(&ListParams::default()).await;
    let pods = pods.map_err(|error| acting.error(error, "list", &key("", "Pod", app)))?;
    Ok(sync::sets_in_use(&pods.items, claim))
}

fn key(group: &str, kind: &str, app: &App) -> ObjectKey {
    let (namespace, name) = (Some(app.namespace.clone()), app.object_name());
    ObjectKey { group: group.into(), kind: kind.into(), namespace, name }
}
