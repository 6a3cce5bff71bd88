//! What is remembered of jobs that run once for an app's data: on the claims of its Databases, or else on its own, so that it goes with the
//! data.

use std::collections::BTreeMap;

use drover_core::workload::App;
use drover_core::workload::pods::{LiveClaim, RanOnce};
use drover_crds::{self as crds, ANNOTATION_RAN_ONCE, Owner};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::dereference::claim_key;
use crate::cluster::{Acting, ApiError, is_not_found};

/// The names of the claims that remember: those of the Databases that an app connects to, where it does; files beside them are no reason to
/// fill a database again.
fn memories(app: &App, spec: &crds::PodSpec) -> Vec<String> {
    let databases: Vec<String> = databases(spec).collect();
    if !databases.is_empty() {
        return databases;
    }
    let own = spec.volumes.iter().filter(|volume| volume.claim.is_some());
    own.map(|volume| app.child_name(&volume.name)).collect()
}

/// The names of the claims of the Databases that an app connects to.
pub fn databases(spec: &crds::PodSpec) -> impl Iterator<Item = String> {
    spec.database_refs.iter().map(|database| crds::connection_secret(&database.name))
}

/// What has run once for the data of an app, as any of its claims remembers it.
pub fn ran(app: &App, spec: &crds::PodSpec, claims: &BTreeMap<String, LiveClaim>) -> RanOnce {
    let remembered = memories(app, spec).into_iter().filter_map(|name| Some(&claims.get(&name)?.ran_once));
    remembered.fold(RanOnce::default(), RanOnce::and)
}

/// Writes down on each claim that a job has succeeded. One that is gone has nothing to remember.
///
/// # Errors
/// [`ApiError::Changed`] where somebody changed a claim at the same moment.
pub async fn remember(
    acting: &Acting,
    app: &App,
    owner: &Owner,
    spec: &crds::PodSpec,
    job: &str,
    at: Option<Timestamp>,
) -> Result<(), ApiError> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(acting.client(), &app.namespace);
    for name in memories(app, spec) {
        let key = claim_key(app, &name);
        let Some(found) = api.get_opt(&name).await.map_err(|e| acting.error(e, "get", &key))? else { continue };
        let written = found.metadata.annotations.as_ref().and_then(|all| all.get(ANNOTATION_RAN_ONCE));
        let known = written.map(|text| RanOnce::parse(text)).unwrap_or_default();
        if known.of(job).is_some() {
            continue;
        }
        let metadata = json!({
            "uid": found.metadata.uid, "resourceVersion": found.metadata.resource_version,
            "annotations": {ANNOTATION_RAN_ONCE: known.with(job, at).annotation()},
        });
        let params = PatchParams { field_manager: Some(owner.field_manager()), ..PatchParams::default() };
        match api.patch(&name, &params, &Patch::Merge(json!({"metadata": metadata}))).await {
            Ok(_) => {}
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(acting.error(error, "patch", &key)),
        }
    }
    Ok(())
}
