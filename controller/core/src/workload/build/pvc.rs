//! A claim. One that is retained says so in an annotation, which outlives the owner and its spec.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::metadata;
use crate::workload::App;
use crate::workload::pods::ValidatedClaim;

pub fn pvc(app: &App, claim: &ValidatedClaim) -> PersistentVolumeClaim {
    PersistentVolumeClaim {
        metadata: metadata::retained(app, claim.name.clone(), claim.retain),
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(claim.access_modes.iter().map(|m| m.as_str().to_owned()).collect()),
            storage_class_name: claim.storage_class.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), Quantity(claim.storage.clone()))])),
                limits: None,
            }),
            ..Default::default()
        }),
        ..Default::default()
    }
}
