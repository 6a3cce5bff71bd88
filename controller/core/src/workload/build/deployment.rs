//! The Deployment: the pods, and how new ones take over.

use std::collections::BTreeMap;

use drover_crds as crds;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::core::v1::{
    Affinity, Container, ContainerPort, Lifecycle, LifecycleHandler, PodSpec, PodTemplateSpec, SleepAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{container, metadata, pod, probe};
use crate::workload::pods::Pods;
use crate::workload::takeover::BESIDE;
use crate::workload::validate::{Strategy, ValidatedWebApp};

/// Seconds for which a pod that is to stop goes on answering, until no proxy sends it requests any more: Traefik takes in changes every
/// 2 seconds, and on a busy node was seen to send requests for 6.
const LEAVE_SECONDS: i64 = 10;

/// Seconds beyond the start-up time within which a rollout has to get on: the scheduler, volumes and the image's pull.
const ROLLING_ALLOWANCE: i64 = 120;

/// The same where the image is on the node already.
const RECREATE_ALLOWANCE: i64 = 30;

/// Seconds beyond start-up and probation for which old pods go on beside new ones, should nobody lead the Service away from them.
const BESIDE_ALLOWANCE: i64 = 600;

pub fn deployment(app: &ValidatedWebApp) -> Deployment {
    let allowance = allowance(app.strategy, &app.pods);
    // Kubernetes counts the probation, pod by pod, and lets the old pods serve until it is over: also while no drover runs.
    let (min_ready, progress) = if app.kept.beside {
        let until_led = app.startup_seconds + app.probation_seconds + BESIDE_ALLOWANCE;
        (until_led, until_led + ROLLING_ALLOWANCE)
    } else {
        (app.probation_seconds, app.startup_seconds + app.probation_seconds + allowance)
    };
    Deployment {
        metadata: metadata::child(&app.pods.app, app.pods.app.object_name()),
        spec: Some(DeploymentSpec {
            replicas: Some(if app.asleep { 0 } else { app.replicas }),
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

/// Seconds beyond start-up and probation within which a rollout has to get on. Where the old pod stops first, the time it takes is part of
/// it.
pub fn allowance(strategy: Strategy, pods: &Pods) -> i64 {
    match strategy {
        Strategy::Recreate => pods.drain_seconds + RECREATE_ALLOWANCE,
        Strategy::Rolling | Strategy::RollingBeside => ROLLING_ALLOWANCE,
    }
}

/// `beside`: all new pods start before any old one stops.
pub fn strategy(strategy: Strategy, beside: bool) -> DeploymentStrategy {
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

/// The pods: what they say themselves, and what makes them take requests.
pub fn template(app: &ValidatedWebApp) -> PodTemplateSpec {
    let pods = &app.pods;
    let leave_seconds = leave_seconds(app);
    let container = Container {
        ports: Some(app.ports.iter().map(port).collect()),
        startup_probe: Some(probe::startup(&app.probes)),
        readiness_probe: Some(probe::readiness(&app.probes)),
        liveness_probe: Some(probe::liveness(&app.probes)),
        lifecycle: leave_seconds.map(|seconds| Lifecycle {
            pre_stop: Some(LifecycleHandler { sleep: Some(SleepAction { seconds }), ..Default::default() }),
            ..Default::default()
        }),
        ..container::container(pods)
    };
    let spec = PodSpec {
        security_context: Some(pod::security(&pods.identity, app.ports.iter().any(|p| p.port < 1024))),
        affinity: affinity(app),
        termination_grace_period_seconds: Some(leave_seconds.unwrap_or(0) + pod::grace_seconds(pods)),
        ..pod::spec(pods, container)
    };
    let mut found_by = metadata::own_selector(&pods.app);
    found_by.extend(app.kept.pod_labels.clone());
    pod::template(pods, found_by, scraped(app), spec)
}

/// New pods start on the node of the old where the volume that they read is attached there.
fn affinity(app: &ValidatedWebApp) -> Option<Affinity> {
    (app.strategy == Strategy::RollingBeside).then(|| pod::beside(metadata::label_selector(app)))
}

fn port(port: &crds::Port) -> ContainerPort {
    ContainerPort {
        name: Some(port.name.clone()),
        container_port: port.port,
        protocol: Some("TCP".to_owned()),
        ..Default::default()
    }
}

/// How long a pod lingers before it is told to stop. Where the old pod has to be gone before the new one starts, lingering
/// would only lengthen the gap.
fn leave_seconds(app: &ValidatedWebApp) -> Option<i64> {
    (app.strategy != Strategy::Recreate).then_some(LEAVE_SECONDS)
}

/// The annotations by which Prometheus finds the metrics.
fn scraped(app: &ValidatedWebApp) -> BTreeMap<String, String> {
    let annotation = |name: &str, value: String| (name.to_owned(), value);
    app.metrics_port.map_or_else(BTreeMap::new, |port| {
        [annotation("prometheus.io/scrape", "true".to_owned()), annotation("prometheus.io/port", port.to_string())]
            .into()
    })
}
