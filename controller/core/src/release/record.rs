//! A release as it is written down before anything of it is applied: a ControllerRevision, which Kubernetes never changes.

use drover_crds as crds;
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde::{Deserialize, Serialize};

use crate::workload::pods::{Facts, Image, ImageUser, PodRelease};
use crate::workload::takeover::Kept;
use crate::workload::validate::validate;
use crate::workload::{App, Invalid, build};

/// Everything that a release is made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseData {
    /// The spec.
    pub spec: crds::WebAppSpec,
    /// The image, with its digest where the registry told it.
    pub image: String,
    /// The user that the image is made for.
    pub user: ImageUser,
    /// The commit that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The release that last changed the pods: this one, or an earlier one.
    pub pods: PodRelease,
    /// The value of `drover.dev/reconcile-at` when it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
}

impl ReleaseData {
    /// Its image.
    pub fn image(&self) -> Image {
        Image { reference: self.image.clone(), user: self.user.clone() }
    }
}

/// A release and its number.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    /// Its number.
    pub number: i64,
    /// What it is made of.
    pub data: ReleaseData,
}

/// What the WebApp asks for now.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The spec.
    pub spec: &'a crds::WebAppSpec,
    /// The commit that last changed the WebApp.
    pub commit: Option<&'a str>,
    /// The value of `drover.dev/reconcile-at`.
    pub asked: Option<&'a str>,
}

impl Wanted<'_> {
    /// How many pods it asks for.
    pub fn replicas(&self) -> i32 {
        replicas(self.spec)
    }
}

/// What a release was last seen to stand for. It begins with what the record says; a commit that only asks for another number of
/// pods begins no release, and moves it on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing<'a> {
    /// The newest commit that asks for this release.
    pub commit: Option<&'a str>,
    /// How many pods that commit asks for.
    pub replicas: i32,
}

impl Release {
    /// The name of the ControllerRevision.
    pub fn record_name(app: &App, number: i64) -> String {
        app.child_name(&format!("r{number}"))
    }

    /// What it stood for when it was written down.
    pub fn standing(&self) -> Standing<'_> {
        Standing { commit: self.data.commit.as_deref(), replicas: replicas(&self.data.spec) }
    }

    /// Whether `wanted` needs another release than this one, which stands for `at` by now: the spec or the commit is another one, or
    /// this one failed and a person asks to try again. How many pods run is no part of a release.
    pub fn is_superseded_by(&self, wanted: &Wanted<'_>, at: Standing<'_>, failed: bool) -> bool {
        let is_scaled = at.replicas != wanted.replicas();
        !is_same_but_for_replicas(&self.data.spec, wanted.spec)
            || (at.commit != wanted.commit && !is_scaled)
            || (failed && self.data.asked.as_deref() != wanted.asked)
    }

    /// The ControllerRevision.
    ///
    /// # Panics
    /// Never: release data serialises to JSON.
    pub fn to_record(&self, app: &App) -> ControllerRevision {
        let data = serde_json::to_value(&self.data).expect("release data serialises to JSON");
        ControllerRevision {
            metadata: build::bookkeeping(app, Self::record_name(app, self.number)),
            revision: self.number,
            data: Some(RawExtension(data)),
        }
    }

    /// Reads a ControllerRevision; `None` when it is not a release of `app`, whatever its name says.
    pub fn from_record(app: &App, record: &ControllerRevision) -> Option<Self> {
        let owners = record.metadata.owner_references.as_deref().unwrap_or_default();
        if !owners.iter().any(|o| o.controller == Some(true) && Some(&o.uid) == app.uid.as_ref()) {
            return None;
        }
        let data = serde_json::from_value(record.data.as_ref()?.0.clone()).ok()?;
        Some(Self { number: record.revision, data })
    }
}

fn replicas(spec: &crds::WebAppSpec) -> i32 {
    spec.replicas.unwrap_or(1)
}

fn is_same_but_for_replicas(one: &crds::WebAppSpec, other: &crds::WebAppSpec) -> bool {
    one == other || crds::WebAppSpec { replicas: other.replicas, ..one.clone() } == *other
}

/// Which release the pods of a new release belong to: that of the previous one where the pods would otherwise be the same,
/// so that a changed route restarts nothing.
pub fn carried_pods(
    app: &App,
    number: i64,
    new: &ReleaseData,
    previous: Option<&Release>,
    facts: &Facts<'_>,
    kept: &Kept,
) -> Result<PodRelease, Invalid> {
    let own = PodRelease { number, commit: new.commit.clone() };
    let Some(previous) = previous else { return Ok(own) };
    let template = |data: &ReleaseData| {
        let image = data.image();
        let facts = Facts { image: &image, pods: &previous.data.pods, ..facts.clone() };
        validate(app, &data.spec, &facts, kept).map(|v| build::pod_template(&v))
    };
    // A previous release that cannot be built any more has no pods to carry over.
    match (template(new)?, template(&previous.data)) {
        (new, Ok(old)) if new == old => Ok(previous.data.pods.clone()),
        _ => Ok(own),
    }
}
