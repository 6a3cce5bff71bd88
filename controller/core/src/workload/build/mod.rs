//! Step 3, pure: the children of a [`ValidatedWebApp`], one file per kind. Nothing here can fail, and nothing here knows
//! what is in the cluster.

mod container;
mod deployment;
mod ingress;
mod metadata;
mod network_policy;
mod pod;
mod pod_disruption_budget;
mod probe;
mod pull_pod;
mod pvc;
mod service;
mod service_account;
mod volume;

use k8s_openapi::api::core::v1::PodTemplateSpec;

use super::validate::ValidatedWebApp;
use crate::render::Object;

pub use metadata::{bookkeeping, own_selector, selector_text};
pub use pull_pod::{PullTarget, pull_pod, pull_pod_name};

/// Every child of `app`, in the order in which a reader expects them.
pub fn build(app: &ValidatedWebApp) -> Vec<Object> {
    let (owner, pods) = (&app.pods.app, || metadata::label_selector(app));
    let mut objects = vec![Object::built(&service_account::service_account(owner))];
    objects.extend(app.pods.claims().map(|claim| Object::built(&pvc::pvc(owner, claim))));
    objects.push(Object::built(&service::service(app)));
    objects.push(Object::built(&network_policy::network_policy(owner, pods(), &app.ports)));
    objects.push(Object::built(&deployment::deployment(app)));
    let budget = pod_disruption_budget::pod_disruption_budget(owner, pods(), app.replicas);
    objects.extend(budget.map(|o| Object::built(&o)));
    objects.extend(ingress::ingress(app).map(|o| Object::built(&o)));
    objects
}

/// The pods of `app` as its Deployment describes them: two releases with the same template need no new pods.
pub fn pod_template(app: &ValidatedWebApp) -> PodTemplateSpec {
    deployment::template(app)
}
