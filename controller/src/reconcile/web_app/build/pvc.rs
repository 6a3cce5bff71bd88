//! A claim. One that is retained has no owner, so that nothing deletes it with the WebApp.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::metadata;
use crate::reconcile::web_app::validate::{ValidatedClaim, ValidatedWebApp};

pub fn pvc(app: &ValidatedWebApp, claim: &ValidatedClaim) -> PersistentVolumeClaim {
    let meta = if claim.retain { metadata::unowned } else { metadata::owned };
    PersistentVolumeClaim {
        metadata: meta(&app.app, claim.name.clone()),
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
