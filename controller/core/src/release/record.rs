//! A release as it is written down before anything of it is applied: a ControllerRevision, which Kubernetes never changes.

use drover_crds::{ANNOTATION_JOBS, AppSpec, Uptime};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::planned::{JobEnds, LastRun, PlannedJob};
use super::reference;
use crate::workload::pods::{Image, ImageUser, Origin, PodRelease, Settings};
use crate::workload::{App, build};

/// Everything that a release is made of; `S` is the spec of the app's kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseData<S> {
    /// The spec.
    pub spec: S,
    /// The image, with its digest where the registry told it.
    pub image: String,
    /// The user that the image is made for.
    pub user: ImageUser,
    /// What the image says that it was built from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Origin>,
    /// What its pods read of ConfigMaps and Secrets; `None` where that was not written down, by an older version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settings: Option<Settings>,
    /// The commit that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The release that last changed the pods: this one, or an earlier one.
    pub pods: PodRelease,
    /// The value of `drover.dev/reconcile-at` when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// What makes its assets, and the jobs that it runs at its moments, in the order of the spec; none of these where it goes back to an
    /// earlier image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jobs: Vec<PlannedJob>,
    /// Whose `BeforeDeploy` jobs ran last before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_run: Option<LastRun>,
}

impl<S> ReleaseData<S> {
    /// Its image.
    pub fn image(&self) -> Image {
        Image { reference: self.image.clone(), user: self.user.clone(), origin: self.origin.clone() }
    }
}

/// A release and its number.
#[derive(Clone, Debug, PartialEq)]
pub struct Release<S> {
    /// Its number.
    pub number: i64,
    /// What it is made of.
    pub data: ReleaseData<S>,
    /// How its jobs ended.
    pub ends: JobEnds,
}

/// What the app asks for now.
#[derive(Debug)]
pub struct Wanted<'a, S> {
    /// The spec.
    pub spec: &'a S,
    /// The commit that last changed the app.
    pub commit: Option<&'a str>,
    /// The value of `drover.dev/reconcile-at`.
    pub asked: Option<&'a str>,
    /// The digest of the image, where a tag is followed and it is known: the one that the tag points to, or that is held.
    pub digest: Option<&'a str>,
    /// What its pods read of ConfigMaps and Secrets, as it is now, where all of it is there.
    pub settings: Option<&'a Settings>,
}

impl<S> Clone for Wanted<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Wanted<'_, S> {}

/// What a release was last seen to stand for. It begins with what the record says; a commit that only asks for another number of
/// pods, or for pods at other times, begins no release, and moves it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    /// The newest commit that asks for this release.
    pub commit: Option<&'a str>,
    /// How many pods that commit asks for.
    pub replicas: i32,
    /// When they run by that commit.
    pub uptime: Option<&'a Uptime>,
}

/// The name of the ControllerRevision of a release.
pub fn record_name(app: &App, number: i64) -> String {
    app.child_name(&format!("r{number}"))
}

/// A reference to the record of a release, for what goes with it.
pub fn record_reference(app: &App, number: i64, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: "apps/v1".to_owned(),
        kind: "ControllerRevision".to_owned(),
        name: record_name(app, number),
        uid: uid.to_owned(),
        controller: None,
        block_owner_deletion: None,
    }
}

impl<S: AppSpec> Release<S> {
    /// What it stood for when it was written down.
    pub fn standing(&self) -> Standing<'_> {
        let (spec, commit) = (&self.data.spec, self.data.commit.as_deref());
        Standing { commit, replicas: spec.replicas(), uptime: spec.pod().uptime.as_ref() }
    }

    /// Whether `wanted` needs another release than this one, which stands for `at` by now: the spec, the commit, the digest of a
    /// followed tag or what its pods read is another one, or this one failed and a person asks to try again. How many pods run, and when, is no
    /// part of a release.
    pub fn is_superseded_by(&self, wanted: &Wanted<'_, S>, at: Standing<'_>, failed: bool) -> bool {
        let is_scaled = at.replicas != wanted.spec.replicas()
            || at.uptime != wanted.spec.pod().uptime.as_ref()
            || !self.data.spec.is_scaled_as(wanted.spec);
        !is_same_but_for_replicas(&self.data.spec, wanted.spec)
            || (at.commit != wanted.commit && !is_scaled)
            || wanted.digest.is_some_and(|digest| reference::digest(&self.data.image) != Some(digest))
            || self.reads_other_settings(wanted.settings)
            || (failed && self.data.asked.as_deref() != wanted.asked)
    }

    /// Whether `settings` are known, and are not those that its pods read.
    pub fn reads_other_settings(&self, settings: Option<&Settings>) -> bool {
        matches!((settings, &self.data.settings), (Some(now), Some(own)) if now != own)
    }

    /// Whether `wanted` asks for its spec, its commit and nothing new of a person: then its image is that of `wanted`.
    pub fn asks_for_the_same_image(&self, wanted: &Wanted<'_, S>) -> bool {
        is_same_but_for_replicas(&self.data.spec, wanted.spec)
            && self.data.commit.as_deref() == wanted.commit
            && self.data.asked.as_deref() == wanted.asked
    }
}

impl<S: Serialize + DeserializeOwned> Release<S> {
    /// The ControllerRevision.
    ///
    /// # Panics
    /// Never: release data serialises to JSON.
    pub fn to_record(&self, app: &App) -> ControllerRevision {
        let data = serde_json::to_value(&self.data).expect("release data serialises to JSON");
        let mut metadata = build::bookkeeping(app, record_name(app, self.number));
        metadata.annotations = self.ends.annotation().map(|ends| [(ANNOTATION_JOBS.to_owned(), ends)].into());
        ControllerRevision { metadata, revision: self.number, data: Some(RawExtension(data)) }
    }

    /// Reads a ControllerRevision; `None` when it is not a release of `app`, whatever its name says.
    pub fn from_record(app: &App, record: &ControllerRevision) -> Option<Self> {
        let owners = record.metadata.owner_references.as_deref().unwrap_or_default();
        if !owners.iter().any(|o| o.controller == Some(true) && Some(&o.uid) == app.uid.as_ref()) {
            return None;
        }
        let data = serde_json::from_value(record.data.as_ref()?.0.clone()).ok()?;
        let ends = record.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ANNOTATION_JOBS));
        let ends = ends.map(|text| JobEnds::parse(text)).unwrap_or_default();
        Some(Self { number: record.revision, data, ends })
    }
}

fn is_same_but_for_replicas<S: AppSpec>(one: &S, other: &S) -> bool {
    one == other || one.with_replicas_of(other) == *other
}

/// Which release the pods of a new release belong to: that of the previous one where the pods would otherwise be the same,
/// so that a changed route restarts nothing. `template` says what the pods of these data would be if they belonged to that release.
pub fn carried_pods<S, E>(
    number: i64,
    new: &ReleaseData<S>,
    previous: Option<&Release<S>>,
    template: impl Fn(&ReleaseData<S>, &PodRelease) -> Result<PodTemplateSpec, E>,
) -> Result<PodRelease, E> {
    let own = PodRelease { number, commit: new.commit.clone() };
    let Some(previous) = previous else { return Ok(own) };
    let pods = &previous.data.pods;
    // A previous release that cannot be built any more has no pods to carry over.
    match (template(new, pods)?, template(&previous.data, pods)) {
        (new, Ok(old)) if new == old => Ok(pods.clone()),
        _ => Ok(own),
    }
}
