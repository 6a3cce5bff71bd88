//! The custom resources of drover, `drover.dev/v1alpha1`: types, schemas, validation rules and names.
//!
//! This crate describes; it does nothing. It knows no client, no clock and no I/O, so that any program may use it to read
//! or write drover's objects.

pub mod condition;
mod duration;
mod environment;
mod names;
mod reference;
mod web_app;

pub use duration::Duration;
pub use environment::*;
pub use names::{
    ANNOTATION_ADOPT, ANNOTATION_APPLIED, ANNOTATION_COMMIT, ANNOTATION_CONFIRM_PRUNE, ANNOTATION_DEFINITION,
    ANNOTATION_FORCE, ANNOTATION_PRUNE, ANNOTATION_RESTARTED_AT, DEFAULT_SERVICE_ACCOUNT, GROUP, LABEL_OWNER, Owner,
    OwnerKind, REPLICAS_MANAGER, bounded_name,
};
pub use reference::{LocalObjectReference, SecretKeyReference};
pub use web_app::*;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;

/// Every custom resource definition of drover, in the order in which they are documented.
pub fn all() -> Vec<CustomResourceDefinition> {
    vec![Environment::crd(), WebApp::crd()]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::all;

    /// What waits for objects by the kstatus rules (Helm, Flux, `kubectl` plugins) takes one without a status for finished.
    #[test]
    fn a_new_object_of_any_kind_says_that_nobody_has_looked_at_it() {
        for definition in all() {
            let json = serde_json::to_value(&definition).expect("a definition is JSON");
            for version in json["spec"]["versions"].as_array().expect("versions") {
                let status = &version["schema"]["openAPIV3Schema"]["properties"]["status"];
                assert_eq!(status["default"], json!({"observedGeneration": -1}), "{:?}", definition.metadata.name);
            }
        }
    }
}
