//! The custom resources of drover, `drover.dev/v1alpha1`: types, schemas, validation rules and names.
//!
//! This crate describes; it does nothing. It knows no client, no clock and no I/O, so that any program may use it to read
//! or write drover's objects.

mod backup;
pub mod condition;
mod data_sync;
mod database;
mod duration;
mod environment;
mod git;
mod job_status;
mod names;
mod pod;
mod quantity;
mod queue_processor;
mod reference;
mod restore;
mod status;
mod web_app;

pub use backup::*;
pub use data_sync::*;
pub use database::*;
pub use duration::Duration;
pub use environment::*;
pub use git::{Reference, Webhook};
pub use job_status::{JobFailure, RunningJob};
pub use names::*;
pub use pod::*;
pub use quantity::{InvalidSize, Size, milli_units};
pub use queue_processor::*;
pub use reference::{LocalObjectReference, SecretKeyReference};
pub use restore::*;
pub use status::*;
pub use web_app::*;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use kube::core::ApiResource;

/// Every custom resource definition of drover, in the order in which they are documented.
pub fn all() -> Vec<CustomResourceDefinition> {
    OwnerKind::ALL.map(OwnerKind::crd).into()
}

impl OwnerKind {
    /// The custom resource definition of the kind.
    pub fn crd(self) -> CustomResourceDefinition {
        match self {
            Self::Environment => Environment::crd(),
            Self::WebApp => WebApp::crd(),
            Self::QueueProcessor => QueueProcessor::crd(),
            Self::DataSync => DataSync::crd(),
            Self::Database => Database::crd(),
        }
    }

    /// Where objects of the kind are in the API, for a client that reads them without a type.
    pub fn api_resource(self) -> ApiResource {
        match self {
            Self::Environment => ApiResource::erase::<Environment>(&()),
            Self::WebApp => ApiResource::erase::<WebApp>(&()),
            Self::QueueProcessor => ApiResource::erase::<QueueProcessor>(&()),
            Self::DataSync => ApiResource::erase::<DataSync>(&()),
            Self::Database => ApiResource::erase::<Database>(&()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{GROUP, OwnerKind, VERSION, all};

    /// What is derived from a kind's type cannot be taken from the names.
    #[test]
    fn the_names_of_a_kind_are_those_of_its_definition() {
        for kind in OwnerKind::ALL {
            let crd = kind.crd();
            assert_eq!(crd.metadata.name, Some(kind.definition()));
            assert_eq!((crd.spec.group.as_str(), crd.spec.names.kind.as_str()), (GROUP, kind.as_str()));
            assert_eq!(crd.spec.names.plural, kind.plural());
            assert_eq!(crd.spec.versions.iter().map(|version| version.name.as_str()).collect::<Vec<_>>(), [VERSION]);
            assert_eq!(kind.api_resource().plural, kind.plural());
            assert_eq!(OwnerKind::of(GROUP, kind.as_str()), Some(kind));
        }
        assert_eq!(OwnerKind::of("apps", "WebApp"), None);
    }

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
