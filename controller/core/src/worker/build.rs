//! The children of [`ValidatedWorkers`]. Nothing here can fail, and nothing here knows what is in the cluster.

use std::collections::BTreeMap;

use drover_crds as crds;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Container, ExecAction, Lifecycle, LifecycleHandler, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, OwnerReference};

use super::children::WorkerChildren;
use super::validate::{Count, ValidatedWorkers};
use crate::render::Object;
use crate::workload::App;
use crate::workload::build::{
    container, deployment, job, metadata, network_policy, pod, pod_disruption_budget, probe, pvc, service_account,
    settings,
};
use crate::workload::pods::ValidatedJob;
use crate::workload::validate::Strategy;

/// The labels that select the workers of an app. A Deployment's selector cannot change, so these never may.
fn own_labels(app: &App) -> metadata::Labels {
    let mut labels = metadata::labels_of(app, crds::COMPONENT_WORKER);
    labels.remove(crds::LABEL_MANAGED_BY);
    labels
}

/// What selects the workers of an app.
pub fn label_selector(app: &App) -> LabelSelector {
    LabelSelector { match_labels: Some(own_labels(app)), ..Default::default() }
}

/// The same as text, for list requests.
pub fn selector(app: &App) -> String {
    own_labels(app).iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join(",")
}

/// Every child of `workers`. A Deployment that `exists` and is scaled keeps its number of pods.
fn children(workers: &ValidatedWorkers, exists: bool) -> WorkerChildren<Vec<Object>> {
    let (pods, app) = (&workers.pods, &workers.pods.app);
    let selector = || label_selector(app);
    let cron_jobs = pods.jobs.iter().filter_map(|job| job::cron_job(pods, job, &selector()));
    let budget = pod_disruption_budget::pod_disruption_budget(app, selector(), workers.most);
    WorkerChildren {
        service_account: vec![Object::built(&service_account::service_account(app))],
        settings: pods.copies.iter().map(|copy| Object::built(&settings::config_map(app, copy))).collect(),
        claims: pods.claims().map(|claim| Object::built(&pvc::pvc(app, claim))).collect(),
        // Nobody has to reach them.
        network_policy: vec![Object::built(&network_policy::network_policy(app, selector(), &[]))],
        deployment: vec![Object::built(&the_deployment(workers, exists))],
        cron_jobs: cron_jobs.map(|cron_job| Object::built(&cron_job)).collect(),
        pod_disruption_budget: budget.iter().map(Object::built).collect(),
    }
}

/// Every child of `workers`, in the order in which a reader expects them. A Deployment that `exists` and is scaled keeps its number of pods.
pub fn build(workers: &ValidatedWorkers, exists: bool) -> Vec<Object> {
    children(workers, exists).in_order().into_iter().flatten().collect()
}

/// What the pods of a job need of the children of `workers`, before anything of them runs.
pub fn needed_by_jobs(workers: &ValidatedWorkers) -> Vec<Object> {
    let WorkerChildren {
        service_account,
        settings,
        claims,
        network_policy: _,
        deployment: _,
        cron_jobs: _,
        pod_disruption_budget: _,
    } = children(workers, false);
    [service_account, settings, claims].concat()
}

/// The Job of that name, which runs a job of these workers for a release, goes with its `record` and learns of a `day` that ends.
pub fn release_job(
    workers: &ValidatedWorkers,
    job: &ValidatedJob,
    name: &str,
    record: OwnerReference,
    day: Option<&str>,
) -> Job {
    job::of_release(&workers.pods, &label_selector(&workers.pods.app), job, name, record, day)
}

fn the_deployment(workers: &ValidatedWorkers, exists: bool) -> Deployment {
    let app = &workers.pods.app;
    let allowance = deployment::allowance(workers.strategy, &workers.pods);
    let progress = workers.startup_seconds + workers.probation_seconds + allowance;
    let is_left = workers.count == Count::Scaled && exists;
    Deployment {
        metadata: metadata::child(app, app.object_name()),
        spec: Some(DeploymentSpec {
            replicas: (!is_left).then_some(workers.wanted),
            selector: label_selector(app),
            strategy: Some(deployment::strategy(workers.strategy, false)),
            revision_history_limit: Some(2),
            min_ready_seconds: i32::try_from(workers.probation_seconds).ok().filter(|seconds| *seconds > 0),
            progress_deadline_seconds: i32::try_from(progress).ok(),
            template: pod_template(workers),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The workers as their Deployment describes them.
pub fn pod_template(workers: &ValidatedWorkers) -> PodTemplateSpec {
    let pods = &workers.pods;
    let pre_stop = |command: &Vec<String>| Lifecycle {
        pre_stop: Some(LifecycleHandler {
            exec: Some(ExecAction { command: Some(command.clone()) }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let container = Container {
        startup_probe: workers.probes.as_ref().map(probe::startup),
        readiness_probe: workers.probes.as_ref().map(probe::readiness),
        liveness_probe: workers.probes.as_ref().map(probe::liveness),
        lifecycle: workers.pre_stop.as_ref().map(pre_stop),
        ..container::container(pods)
    };
    let beside = (workers.strategy == Strategy::RollingBeside).then(|| pod::beside(label_selector(&pods.app)));
    let spec = PodSpec { affinity: beside, ..pod::spec(pods, container) };
    pod::template(pods, own_labels(&pods.app), BTreeMap::new(), spec)
}
