//! The children of an app, each with something: its objects, its kind. Whatever there is to do about every child goes through
//! [`Children::in_order`] or [`Children::leaving`], which name them all, so a child that was forgotten there does not compile.

use k8s_openapi::Resource;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::CronJob;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::render::ObjectKey;

/// How many there are.
const COUNT: usize = 13;

/// One thing for each child.
#[derive(Clone, Debug)]
pub struct Children<T> {
    /// Who the pods are.
    pub service_account: T,
    /// What they read of ConfigMaps.
    pub settings: T,
    /// Their data.
    pub claims: T,
    /// Their address.
    pub service: T,
    /// Who reaches them.
    pub network_policy: T,
    /// The pods.
    pub deployment: T,
    /// What runs beside them by a schedule.
    pub cron_jobs: T,
    /// How many of them may be away.
    pub pod_disruption_budget: T,
    /// What the front is told.
    pub front_settings: T,
    /// The front's address.
    pub front_service: T,
    /// Who reaches the front.
    pub front_policy: T,
    /// What stands between them and what leads to them.
    pub front: T,
    /// What leads to them from outside.
    pub ingress: T,
}

impl<T> Children<T> {
    /// In the order in which a reader expects them.
    pub fn in_order(self) -> [T; COUNT] {
        let Self {
            service_account,
            settings,
            claims,
            service,
            network_policy,
            deployment,
            cron_jobs,
            pod_disruption_budget,
            front_settings,
            front_service,
            front_policy,
            front,
            ingress,
        } = self;
        [
            service_account,
            settings,
            claims,
            service,
            network_policy,
            deployment,
            cron_jobs,
            pod_disruption_budget,
            front_settings,
            front_service,
            front_policy,
            front,
            ingress,
        ]
    }

    /// In the order in which they go with their app: what serves goes first.
    pub fn leaving(self) -> [T; COUNT] {
        let [
            service_account,
            settings,
            claims,
            service,
            network_policy,
            deployment,
            cron_jobs,
            pod_disruption_budget,
            front_settings,
            front_service,
            front_policy,
            front,
            ingress,
        ] = self.in_order();
        [
            ingress,
            front,
            deployment,
            cron_jobs,
            front_service,
            service,
            pod_disruption_budget,
            front_policy,
            network_policy,
            service_account,
            front_settings,
            settings,
            claims,
        ]
    }
}

/// What a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChildKind {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// Kind.
    pub kind: &'static str,
    /// The kind as it is written in the API's paths and in rules of roles.
    pub plural: &'static str,
}

impl ChildKind {
    pub(crate) const fn of<K: Resource>() -> Self {
        Self { group: K::GROUP, kind: K::KIND, plural: K::URL_PATH_SEGMENT }
    }

    /// Where in the list the kind of that key is; behind all others where it is not.
    pub(crate) fn position(kinds: &[Self], key: &ObjectKey) -> usize {
        let is_it = |child: &Self| (child.group, child.kind) == (key.group.as_str(), key.kind.as_str());
        kinds.iter().position(is_it).unwrap_or(kinds.len())
    }
}

impl Children<ChildKind> {
    /// The kind of each.
    pub const KINDS: Self = Self {
        service_account: ChildKind::of::<ServiceAccount>(),
        settings: ChildKind::of::<ConfigMap>(),
        claims: ChildKind::of::<PersistentVolumeClaim>(),
        service: ChildKind::of::<Service>(),
        network_policy: ChildKind::of::<NetworkPolicy>(),
        deployment: ChildKind::of::<Deployment>(),
        cron_jobs: ChildKind::of::<CronJob>(),
        pod_disruption_budget: ChildKind::of::<PodDisruptionBudget>(),
        front_settings: ChildKind::of::<ConfigMap>(),
        front_service: ChildKind::of::<Service>(),
        front_policy: ChildKind::of::<NetworkPolicy>(),
        front: ChildKind::of::<Deployment>(),
        ingress: ChildKind::of::<Ingress>(),
    };

    /// When the child of that key goes with its app: the lower, the earlier.
    pub fn rank(key: &ObjectKey) -> usize {
        ChildKind::position(&Self::KINDS.leaving(), key)
    }
}
