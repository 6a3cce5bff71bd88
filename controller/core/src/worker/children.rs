//! What stands around a QueueProcessor, each with something: its objects, its kind. [`WorkerChildren::in_order`] and
//! [`WorkerChildren::leaving`] name them all, so a child that was forgotten there does not compile.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::render::ObjectKey;
use crate::workload::children::ChildKind;

/// How many there are.
const COUNT: usize = 7;

/// One thing for each child.
#[derive(Clone, Debug)]
pub struct WorkerChildren<T> {
    /// Who the pods are.
    pub service_account: T,
    /// What they read of ConfigMaps.
    pub settings: T,
    /// Their data.
    pub claims: T,
    /// Who reaches them.
    pub network_policy: T,
    /// The workers.
    pub deployment: T,
    /// What runs beside them by a schedule.
    pub cron_jobs: T,
    /// How many of them may be away.
    pub pod_disruption_budget: T,
}

impl<T> WorkerChildren<T> {
    /// In the order in which a reader expects them.
    pub fn in_order(self) -> [T; COUNT] {
        let Self { service_account, settings, claims, network_policy, deployment, cron_jobs, pod_disruption_budget } =
            self;
        [service_account, settings, claims, network_policy, deployment, cron_jobs, pod_disruption_budget]
    }

    /// In the order in which they go with their QueueProcessor: what works goes first, and the data last.
    pub fn leaving(self) -> [T; COUNT] {
        let Self { service_account, settings, claims, network_policy, deployment, cron_jobs, pod_disruption_budget } =
            self;
        [deployment, cron_jobs, pod_disruption_budget, network_policy, service_account, settings, claims]
    }
}

impl WorkerChildren<ChildKind> {
    /// The kind of each.
    pub const KINDS: Self = Self {
        service_account: ChildKind::of::<ServiceAccount>(),
        settings: ChildKind::of::<ConfigMap>(),
        claims: ChildKind::of::<PersistentVolumeClaim>(),
        network_policy: ChildKind::of::<NetworkPolicy>(),
        deployment: ChildKind::of::<Deployment>(),
        cron_jobs: ChildKind::of::<CronJob>(),
        pod_disruption_budget: ChildKind::of::<PodDisruptionBudget>(),
    };

    /// When the child of that key goes with its QueueProcessor: the lower, the earlier.
    pub fn rank(key: &ObjectKey) -> usize {
        ChildKind::position(&Self::KINDS.leaving(), key)
    }
}
