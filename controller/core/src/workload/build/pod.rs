//! What pods say themselves, in the template of whatever makes them.

use std::collections::BTreeMap;

use drover_crds as crds;
use k8s_openapi::api::core::v1::{
    Affinity, Container, LocalObjectReference, PodAffinity, PodAffinityTerm, PodSecurityContext, PodSpec,
    PodTemplateSpec, SeccompProfile, Sysctl,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::metadata::{self, Labels};
use super::volume;
use crate::workload::pods::{Identity, Pods};

/// Seconds beyond the time for work under way after which a pod that is to stop is killed.
const GRACE_ALLOWANCE: i64 = 5;

/// The template of `pods`, which are found by the labels `found_by` and have these annotations beside those of all pods.
pub fn template(
    pods: &Pods,
    found_by: Labels,
    mut annotations: BTreeMap<String, String>,
    spec: PodSpec,
) -> PodTemplateSpec {
    let mut labels = metadata::labels(&pods.app);
    labels.extend(found_by);
    labels.insert(crds::LABEL_RELEASE.to_owned(), pods.release.number.to_string());
    if let Some(at) = &pods.restarted_at {
        annotations.insert("kubectl.kubernetes.io/restartedAt".to_owned(), at.clone());
    }
    annotations.extend(pods.settings.of_uncopied().map(|hash| (crds::ANNOTATION_SETTINGS.to_owned(), hash)));
    completed(pods.share_one_node(), labels, annotations, spec)
}

/// A template whose pods are on the node of others, where they share claims that only one node holds.
pub fn completed(
    is_of_one_node: bool,
    mut labels: Labels,
    annotations: BTreeMap<String, String>,
    mut spec: PodSpec,
) -> PodTemplateSpec {
    if is_of_one_node {
        labels.insert(crds::LABEL_ONE_NODE.to_owned(), crds::SHARED_CLAIMS.to_owned());
        spec.affinity = Some(on_one_node());
    }
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: (!annotations.is_empty()).then_some(annotations),
            ..Default::default()
        }),
        spec: Some(spec),
    }
}

/// What the template says of each pod that runs `container`.
pub fn spec(pods: &Pods, container: Container) -> PodSpec {
    PodSpec {
        service_account_name: Some(pods.app.object_name()),
        automount_service_account_token: Some(false),
        // The variables that Kubernetes sets for every Service of the namespace collide with those of programs:
        // a Service named gunicorn would configure gunicorn.
        enable_service_links: Some(false),
        image_pull_secrets: pull_secrets(&pods.pull_secrets),
        security_context: Some(security(&pods.identity, false)),
        termination_grace_period_seconds: Some(grace_seconds(pods)),
        containers: vec![container],
        volumes: Some(volume::volumes(pods)),
        ..Default::default()
    }
}

/// Seconds after which a pod that was told to stop is killed.
pub fn grace_seconds(pods: &Pods) -> i64 {
    pods.drain_seconds + GRACE_ALLOWANCE
}

/// All pods of the namespace that share claims which one node holds are on one node: that of the first of them.
fn on_one_node() -> Affinity {
    let label = (crds::LABEL_ONE_NODE.to_owned(), crds::SHARED_CLAIMS.to_owned());
    beside(LabelSelector { match_labels: Some([label].into()), ..Default::default() })
}

/// Pods are on a node where such pods are; the first of them goes anywhere.
pub fn beside(pods: LabelSelector) -> Affinity {
    Affinity {
        pod_affinity: Some(PodAffinity {
            // One term only: with several the scheduler lets the first pods of each land apart.
            required_during_scheduling_ignored_during_execution: Some(vec![PodAffinityTerm {
                label_selector: Some(pods),
                topology_key: "kubernetes.io/hostname".to_owned(),
                ..Default::default()
            }]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The Secrets that the image is pulled with.
pub fn pull_secrets(names: &[String]) -> Option<Vec<LocalObjectReference>> {
    let secret = |name: &String| LocalObjectReference { name: name.clone() };
    (!names.is_empty()).then(|| names.iter().map(secret).collect())
}

/// Has the pod pull another image beside the app's, with these Secrets.
pub fn pull_with(spec: &mut PodSpec, pods: &Pods, secrets: &[String]) {
    for name in secrets.iter().filter(|name| !pods.pull_secrets.contains(name)) {
        spec.image_pull_secrets.get_or_insert_default().push(LocalObjectReference { name: name.clone() });
    }
}

/// Who the pod runs as.
pub fn security(identity: &Identity, low_port: bool) -> PodSecurityContext {
    // A safe sysctl, allowed by every Pod Security level: without it only root could listen on ports below 1024.
    let unprivileged = || Sysctl { name: "net.ipv4.ip_unprivileged_port_start".to_owned(), value: "0".to_owned() };
    PodSecurityContext {
        run_as_user: identity.user,
        run_as_group: identity.group,
        run_as_non_root: (!identity.root).then_some(true),
        fs_group: identity.fs_group,
        fs_group_change_policy: identity.fs_group.map(|_| "OnRootMismatch".to_owned()),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        sysctls: (low_port && !identity.root).then(|| vec![unprivileged()]),
        ..Default::default()
    }
}
