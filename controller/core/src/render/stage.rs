//! In which order objects are applied, and in reverse pruned.

use super::{Object, ObjectKey};

/// When an object is applied. All objects of a stage are sent in parallel; a stage begins when the one before was accepted.
///
/// The order follows what others found out the hard way: Flux applies definitions (namespaces, custom resource definitions,
/// classes) before all else; Helm's install order puts quotas, policies, accounts, Secrets, ConfigMaps, volumes, RBAC and
/// Services before what runs; kustomize puts webhooks last, because a webhook whose server does not run yet refuses the very
/// pods that would run it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// What other objects need in order to exist: namespaces, custom resource definitions, classes.
    Definitions,
    /// What pods need when they start: quotas, policies, accounts and their rights, configuration, claims, Services.
    Config,
    /// What runs, and everything that no other stage names: Deployments, Jobs, Ingresses, drover's own and all custom kinds.
    Workloads,
    /// What judges later requests: webhooks, admission policies, aggregated APIs.
    Admission,
}

impl Stage {
    /// All stages in the order of applying.
    pub const ALL: [Self; 4] = [Self::Definitions, Self::Config, Self::Workloads, Self::Admission];

    /// The stage of an object.
    pub fn of(object: &Object) -> Self {
        Self::of_kind(object.group(), object.kind())
    }

    /// The stage of the object with this key.
    pub fn of_key(key: &ObjectKey) -> Self {
        Self::of_kind(&key.group, &key.kind)
    }

    /// The stage of a kind.
    pub fn of_kind(group: &str, kind: &str) -> Self {
        match (group, kind) {
            ("", "Namespace")
            | ("apiextensions.k8s.io", "CustomResourceDefinition")
            | ("storage.k8s.io", "StorageClass" | "VolumeAttributesClass" | "CSIDriver")
            | ("scheduling.k8s.io", "PriorityClass")
            | ("networking.k8s.io", "IngressClass")
            | ("node.k8s.io", "RuntimeClass")
            | ("gateway.networking.k8s.io", "GatewayClass")
            | ("snapshot.storage.k8s.io", "VolumeSnapshotClass")
            | ("resource.k8s.io", "DeviceClass") => Self::Definitions,
            (
                "",
                "ConfigMap"
                | "Secret"
                | "ServiceAccount"
                | "Service"
                | "Endpoints"
                | "PersistentVolume"
                | "PersistentVolumeClaim"
                | "ResourceQuota"
                | "LimitRange",
            )
            | ("rbac.authorization.k8s.io", _)
            | ("networking.k8s.io", "NetworkPolicy")
            | ("policy", "PodDisruptionBudget")
            | ("discovery.k8s.io", "EndpointSlice") => Self::Config,
            ("admissionregistration.k8s.io", _) | ("apiregistration.k8s.io", "APIService") => Self::Admission,
            _ => Self::Workloads,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_need_goes_first_and_webhooks_last() {
        let order = [
            ("", "Namespace", Stage::Definitions),
            ("apiextensions.k8s.io", "CustomResourceDefinition", Stage::Definitions),
            ("", "ConfigMap", Stage::Config),
            ("rbac.authorization.k8s.io", "ClusterRoleBinding", Stage::Config),
            ("", "Service", Stage::Config),
            ("apps", "Deployment", Stage::Workloads),
            ("networking.k8s.io", "Ingress", Stage::Workloads),
            ("drover.dev", "WebApp", Stage::Workloads),
            ("example.org", "ConfigMap", Stage::Workloads),
            ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration", Stage::Admission),
        ];
        for (group, kind, stage) in order {
            assert_eq!(Stage::of_kind(group, kind), stage, "{group}/{kind}");
        }
        assert!(Stage::ALL.is_sorted());
    }
}
