//! What drover reports about a `WebApp`.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::HasHead;
use crate::{AppStatus, RolloutStatus};

/// What drover last saw and did for a WebApp.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct WebAppStatus {
    /// The generation of the spec that this status speaks of; -1 until drover has looked at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling` and `Stalled`; `ExposeLimited` where the ingress controller cuts requests that `expose` lets through;
    /// `RoutesUnavailable` where routes lead to Services that are not there; `AddressesHidden` where a front with `allowFrom` sees nobody's
    /// address but its proxies'; `CertificateExpiring` from 30 days before the end of a certificate that `spec.tls` names, or of one that
    /// signs it; `CertificateInvalid` where such a certificate cannot serve its hosts; `ClockChange` from the day before a clock change that takes runs
    /// of a job's schedule away, or adds some.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// Its releases and pods.
    #[serde(flatten)]
    pub rollout: RolloutStatus,
    /// Address of the first route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The end of its certificates, where all that `spec.tls` names can be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<TlsStatus>,
}

/// Until when the certificates of a WebApp hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TlsStatus {
    /// When the first of them ends, or of those that sign them.
    pub not_after: Time,
    /// The Secret that has it.
    pub secret_name: String,
}

impl HasHead for WebAppStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn head(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }
}

impl AppStatus for WebAppStatus {
    fn rollout(&self) -> &RolloutStatus {
        &self.rollout
    }
}
