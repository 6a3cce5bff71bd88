//! Step 3, pure: the children of a [`ValidatedWebApp`], one file per kind. Nothing here can fail, and nothing here knows
//! what is in the cluster.

mod assets;
mod awaited;
pub(crate) mod container;
pub(crate) mod deployment;
mod front;
mod ingress;
pub(crate) mod job;
pub(crate) mod metadata;
pub(crate) mod network_policy;
pub(crate) mod pod;
pub(crate) mod pod_disruption_budget;
pub(crate) mod probe;
mod pull_pod;
pub(crate) mod pvc;
mod service;
pub(crate) mod service_account;
pub(crate) mod settings;
mod volume;

use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::children::Children;
use super::pods::ValidatedClaim;
use super::validate::ValidatedWebApp;
use crate::render::Object;

pub use assets::{MakeAssets, assets_job};
pub use container::APP;
pub use front::{configuration_hash, selector_text as front_selector};
pub use job::{job, release_job};
pub use metadata::{bookkeeping, label_selector, own_selector, selector_text};
pub use pull_pod::{PullTarget, pull_pod, pull_pod_name};

/// Every child of `app`.
pub fn children(app: &ValidatedWebApp) -> Children<Vec<Object>> {
    let (owner, pods) = (&app.pods.app, || metadata::label_selector(app));
    let cron_jobs = app.pods.jobs.iter().filter_map(|job| job::cron_job(&app.pods, job, &pods()));
    let front = app.front.as_ref();
    let cron_jobs = cron_jobs.chain(front.and_then(|front| front::prune_logs(&app.pods, front)));
    let log_claim = front.and_then(|front| front.log_claim.as_ref());
    // Those that pods see are among theirs.
    let is_seen = |claim: &&ValidatedClaim| app.pods.claims().any(|seen| seen.name == claim.name);
    let assets = front.into_iter().flat_map(|front| &front.assets).map(|assets| &assets.claim);
    let assets = assets.filter(|claim| !is_seen(claim));
    let budget = pod_disruption_budget::pod_disruption_budget(owner, pods(), app.replicas);
    Children {
        service_account: vec![Object::built(&service_account::service_account(owner))],
        settings: app.pods.copies.iter().map(|copy| Object::built(&settings::config_map(owner, copy))).collect(),
        claims: app
            .pods
            .claims()
            .chain(assets)
            .chain(log_claim)
            .map(|claim| Object::built(&pvc::pvc(owner, claim)))
            .collect(),
        service: vec![Object::built(&service::service(app))],
        network_policy: vec![Object::built(&network_policy::network_policy(owner, pods(), &app.ports))],
        deployment: vec![Object::built(&deployment::deployment(app))],
        cron_jobs: cron_jobs.map(|cron_job| Object::built(&cron_job)).collect(),
        pod_disruption_budget: budget.iter().map(Object::built).collect(),
        front_settings: front.map(|front| Object::built(&front::config_map(owner, front))).into_iter().collect(),
        front_service: front.map(|_| Object::built(&front::service(owner))).into_iter().collect(),
        front_policy: front.map(|_| Object::built(&front::network_policy(owner))).into_iter().collect(),
        front: front.map(|front| Object::built(&front::deployment(app, front))).into_iter().collect(),
        ingress: ingress::ingress(app).iter().map(Object::built).collect(),
    }
}

/// What the pods of a job need of the children of `app`, before anything of it serves.
pub fn needed_by_jobs(app: &ValidatedWebApp) -> Vec<Object> {
    let Children {
        service_account,
        settings,
        claims,
        service: _,
        network_policy: _,
        deployment: _,
        cron_jobs: _,
        pod_disruption_budget: _,
        front_settings: _,
        front_service: _,
        front_policy: _,
        front: _,
        ingress: _,
    } = children(app);
    [service_account, settings, claims].concat()
}

/// Every child of `app`, in the order in which a reader expects them.
pub fn build(app: &ValidatedWebApp) -> Vec<Object> {
    children(app).in_order().into_iter().flatten().collect()
}

/// The pods of `app` as its Deployment describes them: two releases with the same template need no new pods.
pub fn pod_template(app: &ValidatedWebApp) -> PodTemplateSpec {
    deployment::template(app)
}
