//! The PodDisruptionBudget, only where more than one pod serves: with one it would stop every node from being drained.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata;
use crate::workload::validate::ValidatedWebApp;

pub fn pod_disruption_budget(app: &ValidatedWebApp) -> Option<PodDisruptionBudget> {
    (app.replicas > 1).then(|| PodDisruptionBudget {
        metadata: metadata::child(&app.app, app.app.object_name()),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(1)),
            selector: Some(metadata::label_selector(app)),
            // A pod that is broken anyway must not keep a node from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..Default::default()
        }),
        ..Default::default()
    })
}
