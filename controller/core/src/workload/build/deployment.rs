//! The Deployment: the pods, and how new ones take over.

use std::collections::BTreeMap;

use drover_crds as crds;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Affinity, LocalObjectReference, PodAffinity, PodAffinityTerm, PodSecurityContext, PodSpec, PodTemplateSpec,
    SeccompProfile, Sysctl,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{container, metadata, volume};
use crate::workload::takeover::BESIDE;
use crate::workload::validate::{Identity, Strategy, ValidatedWebApp};

/// Seconds beyond the start-up time within which a rollout has to get on: the scheduler, volumes and the image's pull.
const ROLLING_ALLOWANCE: i64 = 120;

/// The same where the image is on the node already.
const RECREATE_ALLOWANCE: i64 = 30;

/// Seconds beyond start-up and probation for which old pods go on beside new ones, should nobody lead the Service away from them.
const BESIDE_ALLOWANCE: i64 = 600;

pub fn deployment(app: &ValidatedWebApp) -> Deployment {
    // Where the old pod stops first, the time it takes is part of the rollout.
    let allowance = match app.strategy {
        Strategy::Recreate => app.drain_seconds + RECREATE_ALLOWANCE,
        Strategy::Rolling | Strategy::RollingBeside => ROLLING_ALLOWANCE,
    };
    // Kubernetes counts the probation, pod by pod, and lets the old pods serve until it is over: also while no drover runs.
    let (min_ready, progress) = if app.kept.beside {
        let until_led = app.startup_seconds + app.probation_seconds + BESIDE_ALLOWANCE;
        (until_led, until_led + ROLLING_ALLOWANCE)
    } else {
        (app.probation_seconds, app.startup_seconds + app.probation_seconds + allowance)
    };
    Deployment {
        metadata: metadata::child(&app.app, app.app.object_name()),
        spec: Some(DeploymentSpec {
            replicas: Some(app.replicas),
            selector: app.kept.selector.clone().unwrap_or_else(|| metadata::label_selector(app)),
            strategy: Some(strategy(app.strategy, app.kept.beside)),
            // drover keeps the releases itself; the last ReplicaSet is kept for a person with kubectl.
            revision_history_limit: Some(2),
            min_ready_seconds: i32::try_from(min_ready).ok().filter(|seconds| *seconds > 0),
            progress_deadline_seconds: i32::try_from(progress).ok(),
            template: template(app),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// `beside`: all new pods start before any old one stops.
fn strategy(strategy: Strategy, beside: bool) -> DeploymentStrategy {
    match strategy {
        Strategy::Recreate => DeploymentStrategy { type_: Some("Recreate".to_owned()), rolling_update: None },
        Strategy::Rolling | Strategy::RollingBeside => DeploymentStrategy {
            type_: Some("RollingUpdate".to_owned()),
            rolling_update: Some(RollingUpdateDeployment {
                max_surge: Some(if beside { IntOrString::String(BESIDE.to_owned()) } else { IntOrString::Int(1) }),
                max_unavailable: Some(IntOrString::Int(0)),
            }),
        },
    }
}

/// The pods.
pub fn template(app: &ValidatedWebApp) -> PodTemplateSpec {
    let mut labels = metadata::labels(&app.app);
    labels.extend(metadata::own_selector(&app.app));
    labels.extend(app.kept.pod_labels.clone());
    labels.insert(crds::LABEL_RELEASE.to_owned(), app.pods.number.to_string());
    let annotations = annotations(app);
    let secret = |name: &String| LocalObjectReference { name: name.clone() };
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations: (!annotations.is_empty()).then_some(annotations),
            ..Default::default()
        }),
        spec: Some(PodSpec {
            service_account_name: Some(app.app.object_name()),
            automount_service_account_token: Some(false),
            // The variables that Kubernetes sets for every Service of the namespace collide with those of programs:
            // a Service named gunicorn would configure gunicorn.
            enable_service_links: Some(false),
            image_pull_secrets: (!app.pull_secrets.is_empty()).then(|| app.pull_secrets.iter().map(secret).collect()),
            security_context: Some(pod_security(&app.identity, app.ports.iter().any(|p| p.port < 1024))),
            affinity: (app.strategy == Strategy::RollingBeside).then(|| beside(app)),
            termination_grace_period_seconds: Some(
                container::leave_seconds(app).unwrap_or(0) + app.drain_seconds + container::LEAVE_SECONDS,
            ),
            containers: vec![container::container(app)],
            volumes: Some(volume::volumes(app)),
            ..Default::default()
        }),
    }
}

fn annotations(app: &ValidatedWebApp) -> BTreeMap<String, String> {
    let mut annotations = BTreeMap::new();
    if let Some(port) = app.metrics_port {
        annotations.insert("prometheus.io/scrape".to_owned(), "true".to_owned());
        annotations.insert("prometheus.io/port".to_owned(), port.to_string());
    }
    if let Some(at) = &app.restarted_at {
        annotations.insert("kubectl.kubernetes.io/restartedAt".to_owned(), at.clone());
    }
    annotations
}

/// Who the pod runs as.
pub fn pod_security(identity: &Identity, low_port: bool) -> PodSecurityContext {
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

/// New pods start on the node of the old: the volume that they read is attached there.
fn beside(app: &ValidatedWebApp) -> Affinity {
    Affinity {
        pod_affinity: Some(PodAffinity {
            required_during_scheduling_ignored_during_execution: Some(vec![PodAffinityTerm {
                label_selector: Some(metadata::label_selector(app)),
                topology_key: "kubernetes.io/hostname".to_owned(),
                ..Default::default()
            }]),
            ..Default::default()
        }),
        ..Default::default()
    }
}
