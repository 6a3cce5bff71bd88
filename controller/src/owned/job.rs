//! Jobs that do the work of a kind, and are no children: nobody applies them anew.

use drover_core::render::ObjectKey;
use drover_crds::Owner;
use k8s_openapi::api::batch::v1::Job;
use kube::Api;
use kube::api::PostParams;

use crate::cluster::{Acting, ApiError, is_conflict};

/// Makes a Job, if it is not there.
pub async fn make_job(acting: &Acting, owner: &Owner, job: &Job) -> Result<(), ApiError> {
    let namespace = job.metadata.namespace.clone().unwrap_or_default();
    let api: Api<Job> = Api::namespaced(acting.client(), &namespace);
    let params = PostParams { field_manager: Some(owner.field_manager()), ..PostParams::default() };
    match api.create(&params, job).await {
        Ok(_) => Ok(()),
        Err(error) if is_conflict(&error) => Ok(()),
        Err(error) => {
            let name = job.metadata.name.as_deref().unwrap_or_default();
            Err(acting.error(error, "create", &ObjectKey::namespaced("batch", "Job", &namespace, name)))
        }
    }
}
