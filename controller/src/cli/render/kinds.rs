//! Which of Kubernetes' own kinds, and drover's, live in a namespace: what a cluster would tell.

/// `None` for a kind that neither Kubernetes nor drover brings.
pub fn namespaced(group: &str, kind: &str) -> Option<bool> {
    let (inside, outside): (&[&str], &[&str]) = match group {
        "" => (
            &[
                "Binding",
                "ConfigMap",
                "Endpoints",
                "Event",
                "LimitRange",
                "PersistentVolumeClaim",
                "Pod",
                "PodTemplate",
                "ReplicationController",
                "ResourceQuota",
                "Secret",
                "Service",
                "ServiceAccount",
            ],
            &["Namespace", "Node", "PersistentVolume"],
        ),
        "apps" => (&["ControllerRevision", "DaemonSet", "Deployment", "ReplicaSet", "StatefulSet"], &[]),
        "batch" => (&["CronJob", "Job"], &[]),
        "autoscaling" => (&["HorizontalPodAutoscaler"], &[]),
        "policy" => (&["PodDisruptionBudget"], &[]),
        "networking.k8s.io" => (&["Ingress", "NetworkPolicy"], &["IngressClass", "IPAddress", "ServiceCIDR"]),
        "rbac.authorization.k8s.io" => (&["Role", "RoleBinding"], &["ClusterRole", "ClusterRoleBinding"]),
        "discovery.k8s.io" => (&["EndpointSlice"], &[]),
        "coordination.k8s.io" => (&["Lease"], &[]),
        "events.k8s.io" => (&["Event"], &[]),
        "storage.k8s.io" => (
            &["CSIStorageCapacity"],
            &["CSIDriver", "CSINode", "StorageClass", "VolumeAttachment", "VolumeAttributesClass"],
        ),
        "scheduling.k8s.io" => (&[], &["PriorityClass"]),
        "node.k8s.io" => (&[], &["RuntimeClass"]),
        "resource.k8s.io" => (&["ResourceClaim", "ResourceClaimTemplate"], &["DeviceClass", "ResourceSlice"]),
        "certificates.k8s.io" => (&[], &["CertificateSigningRequest", "ClusterTrustBundle"]),
        "apiextensions.k8s.io" => (&[], &["CustomResourceDefinition"]),
        "apiregistration.k8s.io" => (&[], &["APIService"]),
        "flowcontrol.apiserver.k8s.io" => (&[], &["FlowSchema", "PriorityLevelConfiguration"]),
        "admissionregistration.k8s.io" => (
            &[],
            &[
                "MutatingAdmissionPolicy",
                "MutatingAdmissionPolicyBinding",
                "MutatingWebhookConfiguration",
                "ValidatingAdmissionPolicy",
                "ValidatingAdmissionPolicyBinding",
                "ValidatingWebhookConfiguration",
            ],
        ),
        drover_crds::GROUP => return drover(kind),
        _ => return None,
    };
    match (inside.contains(&kind), outside.contains(&kind)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

fn drover(kind: &str) -> Option<bool> {
    let definitions = drover_crds::all();
    definitions.iter().find(|crd| crd.spec.names.kind == kind).map(|crd| crd.spec.scope == "Namespaced")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_kubernetes_kinds_and_drover_s_and_no_others() {
        assert_eq!(namespaced("", "ConfigMap"), Some(true));
        assert_eq!(namespaced("", "Namespace"), Some(false));
        assert_eq!(namespaced("apps", "Deployment"), Some(true));
        assert_eq!(namespaced("rbac.authorization.k8s.io", "ClusterRole"), Some(false));
        for definition in drover_crds::all() {
            assert_eq!(namespaced("drover.dev", &definition.spec.names.kind), Some(true));
        }
        assert_eq!(namespaced("drover.dev", "Nonsense"), None);
        assert_eq!(namespaced("apps", "Namespace"), None);
        assert_eq!(namespaced("example.org", "ConfigMap"), None);
    }
}
