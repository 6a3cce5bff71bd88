//! The release machine with hands, for any kind that runs pods.
//!
//! What comes next [`drover_core::release`] says; [`Rolling`] does it: it writes the release down, has its image brought to the node,
//! lets the kind send what it is made of, and looks at the pods. What only the kind knows is its [`Workload`].

mod begin;
mod data;
mod databases;
pub mod dereference;
mod image;
mod jobs;
mod machine;
mod moments;
mod once;
mod pull;
mod records;
mod settings;
mod sleep;
mod tag;

use std::fmt::Debug;
use std::time::Duration;

use drover_core::render::ObjectKey;
use drover_core::trouble::Trouble;
use drover_core::workload::App;
use drover_core::workload::build::MakeAssets;
use drover_core::workload::pods::settings::{Missing, SettingKind};
use drover_core::workload::pods::{Facts, Pods, ValidatedJob};
use drover_crds::condition::{self, SETTINGS_MISSING};
use drover_crds::{AppSpec, ObjectFailure};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, OwnerReference, Time};
use kube::api::DeleteParams;
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use machine::{Ended, Rolling};
pub use settings::Since;

use crate::cluster::{Acting, ApiError, is_not_found};
use crate::owned::Carried;

/// What a kind does itself in one turn of one of its apps.
pub trait Workload: Send + Sync {
    /// The kind's type.
    type Object: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + DeserializeOwned + Debug;
    /// Its spec.
    type Spec: AppSpec + Serialize + DeserializeOwned + Send + Sync;
    /// An app in which nothing is missing.
    type Valid: Send + Sync;

    /// Looks at what there is of the app. Done once, before anything else.
    fn look(&mut self) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Looks again at the Deployment, which was sent.
    fn look_again(&mut self) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// The Deployment as it was seen last.
    fn deployment(&self) -> Option<&Deployment>;

    /// Checks a spec and fills in every default.
    ///
    /// # Errors
    /// A spec that cannot be built is a trouble that another spec mends: what was sent last then stays in force.
    fn validate(&self, spec: &Self::Spec, facts: &Facts<'_>) -> Result<Self::Valid, Trouble>;

    /// What people are told who ask for it, while it is asleep or wakes, and when it is worth coming again; `since` when it is so.
    fn away(&mut self, told: Option<(String, Option<Timestamp>)>, since: Option<&Time>);

    /// A valid app, as it is without pods, while it is asleep.
    fn asleep(valid: Self::Valid) -> Self::Valid;

    /// The pods of a valid app.
    fn pods(valid: &Self::Valid) -> &Pods;

    /// The template that the pods of this spec would have beside those of `new`.
    fn template(&self, spec: &Self::Spec, facts: &Facts<'_>, new: &Self::Valid) -> Result<PodTemplateSpec, Trouble>;

    /// Seconds for which new pods must serve before they have proven themselves.
    fn probation_seconds(valid: &Self::Valid) -> i64;

    /// What selects the pods of an app with that spec.
    fn selector(&self, spec: &Self::Spec) -> Result<String, Trouble>;

    /// What selects the pods of a valid app.
    fn selector_of(&self, valid: &Self::Valid) -> String;

    /// Refuses, before its release begins, what is known to fail for what others have.
    fn refuse(&self, valid: &Self::Valid) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// The Job of that name that runs a job of a valid app, goes with `record`, and learns of a `day` that ends.
    fn job(valid: &Self::Valid, job: &ValidatedJob, name: &str, record: OwnerReference, day: Option<&str>) -> Job;

    /// The Job that makes a set of files of a valid app's image and goes with `record`; `None` where the app has no such assets.
    fn assets_job(valid: &Self::Valid, run: &MakeAssets<'_>, record: OwnerReference) -> Option<Job>;

    /// Whether what stands before the app serves as it was told last, or there is no such thing.
    fn is_told(&self) -> impl Future<Output = Result<bool, Trouble>> + Send;

    /// Sends what the pods of jobs of `new` need, beside all that `serving` is made of; without that nothing else is touched.
    fn prepare(
        &mut self,
        new: &Self::Valid,
        serving: Option<&Self::Valid>,
    ) -> impl Future<Output = Result<Carried, Trouble>> + Send;

    /// Sends what the app is made of; what runs beside its pods only where these have `proven` themselves.
    fn send(&mut self, valid: &Self::Valid, proven: bool) -> impl Future<Output = Result<Carried, Trouble>> + Send;

    /// After the pods of what was sent were looked at: lets requests come to them, and sends what runs beside them, once they have proven
    /// themselves. Whether nothing of that is left to do.
    fn settle(
        &mut self,
        valid: &Self::Valid,
        have_proven_themselves: bool,
    ) -> impl Future<Output = Result<bool, Trouble>> + Send;

    /// Why no pod runs where none does, of an app that is scaled by what there is to do: for what a person reads.
    fn scaled(&self) -> Option<String> {
        None
    }

    /// Each object that others change again and again, and in how long one of them may be put back.
    fn wars(&self) -> (Vec<ObjectFailure>, Option<Duration>);
}

/// Writes down what the spec reads and is not there; nothing where that was not looked at.
pub fn note_missing(
    conditions: &mut Vec<Condition>,
    missing: Option<&Option<Missing>>,
    generation: Option<i64>,
    now: &Time,
) {
    match missing {
        None => {}
        Some(None) => condition::clear(conditions, SETTINGS_MISSING),
        Some(Some(missing)) => {
            let until = match missing.kind() {
                SettingKind::ConfigMap => "what runs has what it was started with",
                SettingKind::Secret => "what runs goes on, and does not start again once it ends",
            };
            let sentence = format!("{missing}; {until}");
            condition::set(conditions, SETTINGS_MISSING, "True", SETTINGS_MISSING, &sentence, generation, now);
        }
    }
}

/// The key of an object in that namespace.
pub fn key(group: &str, kind: &str, namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::namespaced(group, kind, namespace, name)
}

async fn delete<K>(acting: &Acting, app: &App, name: &str, key: ObjectKey) -> Result<(), ApiError>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + DeserializeOwned + Clone + Debug,
{
    let api: Api<K> = Api::namespaced(acting.client(), &app.namespace);
    match api.delete(name, &DeleteParams::background()).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(acting.error(error, "delete", &key)),
    }
}
