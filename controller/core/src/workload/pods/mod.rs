//! Pods in which nothing can be missing, whatever makes them: a Deployment, a StatefulSet, a Job.

mod identity;
mod jobs;
mod once;
mod origin;
pub mod settings;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};

use drover_crds as crds;

use super::{App, Invalid};

pub use identity::{Identity, ImageUser};
pub use jobs::{ValidatedJob, clock_change};
pub use once::RanOnce;
pub use origin::{Applied, Origin};
pub use settings::{Copies, Settings};
pub use volumes::{Access, LiveClaim, Shrinking, SyncedFiles, ValidatedClaim, ValidatedVolume, VolumeSource};

/// The image of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// As pods name it: with its digest where that is known.
    pub reference: String,
    /// The user that it runs as.
    pub user: ImageUser,
    /// What its labels say that it was built from.
    pub origin: Option<Origin>,
}

/// The release that last changed the pods: a release that changes only a route leaves them alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PodRelease {
    /// Its number.
    pub number: i64,
    /// Its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// The sets of files that were made of an app's images, by the names of its assets, in the order in which they are looked at.
pub type AssetSets = BTreeMap<String, Vec<String>>;

/// What a spec of pods is validated with.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The image of the release.
    pub image: &'a Image,
    /// The release that last changed the pods.
    pub pods: &'a PodRelease,
    /// The value of `drover.dev/restarted-at`.
    pub restarted_at: Option<&'a str>,
    /// The claims of the namespace that the app mounts, as they are.
    pub claims: &'a BTreeMap<String, LiveClaim>,
    /// What to do about a claim that is larger than the spec asks.
    pub shrinking: Shrinking,
    /// What the DataSyncs that the app mounts have published, by their names; those that have nothing yet are left out.
    pub data_sets: &'a BTreeMap<String, DataSet>,
    /// The sets of its assets.
    pub asset_sets: &'a AssetSets,
    /// The one that the release itself makes or has made, by the name of its assets.
    pub own_sets: &'a BTreeMap<String, String>,
    /// What the pods of the release read of ConfigMaps and Secrets.
    pub settings: &'a Settings,
    /// The copies of ConfigMaps that the app's releases need.
    pub copies: &'a Copies,
}

/// What a DataSync has published.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DataSet {
    /// The folder of the set on the DataSync's claim; `None` where pods see what is published at any time.
    pub folder: Option<String>,
}

/// Pods in which nothing is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct Pods {
    /// Whose.
    pub app: App,
    /// The image as pods name it.
    pub image: String,
    /// The revision that it was built from.
    pub image_revision: Option<String>,
    /// When the node pulls it.
    pub pull_policy: Option<crds::ImagePullPolicy>,
    /// Names of the Secrets it is pulled with.
    pub pull_secrets: Vec<String>,
    /// Who they run as.
    pub identity: Identity,
    /// The program.
    pub command: Option<Vec<String>>,
    /// Its arguments.
    pub args: Option<Vec<String>>,
    /// Environment variables of the spec.
    pub env: Vec<crds::EnvVar>,
    /// Sources of further ones.
    pub env_from: Vec<crds::EnvFrom>,
    /// The databases that they connect to.
    pub databases: Vec<crds::DatabaseRef>,
    /// What has the pods of jobs wait for these, where it is known.
    pub errands: Option<Errands>,
    /// CPU and memory.
    pub resources: crds::Resources,
    /// Seconds that work under way may take when a pod stops.
    pub drain_seconds: i64,
    /// Their volumes.
    pub volumes: Vec<ValidatedVolume>,
    /// What runs beside them and ends.
    pub jobs: Vec<ValidatedJob>,
    /// Whether a front shares claims with them that one node holds.
    pub joined: bool,
    /// The log that their jobs see.
    pub log: Option<JobLog>,
    /// What they read of ConfigMaps and Secrets.
    pub settings: Settings,
    /// The copies of these that are made where they are missing.
    pub copies: Vec<settings::Copy>,
    /// The names of copies that are there, and are left alone.
    pub left_alone: BTreeSet<String>,
    /// The release that last changed them.
    pub release: PodRelease,
    /// When a person last asked for new ones.
    pub restarted_at: Option<String>,
}

impl Pods {
    /// Checks what `spec` says of pods and fills in every default.
    pub fn validated(app: &App, spec: &crds::PodSpec, facts: &Facts<'_>) -> Result<Self, Invalid> {
        let identity = identity::identity(spec, facts.image)?;
        let volumes = volumes::volumes(app, spec, facts)?;
        let of_databases = spec.database_refs.iter().flat_map(|database| database.env.named());
        let variables = spec.env.iter().map(|e| e.name.as_str());
        unique("env and databaseRefs", variables.chain(of_databases.map(|(_, variable)| variable.as_str())))?;
        unique("databaseRefs", spec.database_refs.iter().map(|database| database.name.as_str()))?;
        let (copies, left_alone) = facts.copies.of(facts.settings);
        Ok(Self {
            app: app.clone(),
            image: facts.image.reference.clone(),
            image_revision: facts.image.origin.as_ref().map(|origin| origin.revision.clone()),
            pull_policy: spec.image_pull_policy,
            pull_secrets: spec.image_pull_secrets.iter().map(|s| s.name.clone()).collect(),
            identity,
            command: spec.command.clone(),
            args: spec.args.clone(),
            env: spec.env.clone(),
            env_from: spec.env_from.clone(),
            databases: spec.database_refs.clone(),
            errands: None,
            resources: spec.resources.clone().unwrap_or_default(),
            drain_seconds: DRAIN_SECONDS,
            jobs: jobs::jobs(spec, &volumes)?,
            volumes,
            settings: facts.settings.clone(),
            copies,
            left_alone,
            joined: false,
            log: None,
            release: facts.pods.clone(),
            restarted_at: facts.restarted_at.map(str::to_owned),
        })
    }

    /// Whether they share a claim with the pods of others that only one node holds.
    pub fn share_one_node(&self) -> bool {
        self.joined
            || self.volumes.iter().any(|v| matches!(v.source, VolumeSource::Synced(_)) && v.access != Access::AnyPods)
    }

    /// The claims that drover makes.
    pub fn claims(&self) -> impl Iterator<Item = &ValidatedClaim> {
        self.volumes.iter().filter_map(|v| match &v.source {
            VolumeSource::Claim(claim) => Some(claim),
            _ => None,
        })
    }
}

/// The image with the program drover-errands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Errands {
    /// As pods name it.
    pub image: String,
    /// The Secrets of the namespace that it is pulled with.
    pub pull_secrets: Vec<String>,
}

impl Errands {
    /// That image; `None` where it is not known, since there is no cluster.
    pub fn of(image: &str, pull_secrets: &[String]) -> Option<Self> {
        (!image.is_empty()).then(|| Self { image: image.to_owned(), pull_secrets: pull_secrets.to_owned() })
    }
}

/// The log of the front, as jobs see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobLog {
    /// The claim that it is on.
    pub claim: String,
    /// Where it is mounted.
    pub mount_path: String,
    /// Whether the pods of one node hold that claim at a time.
    pub is_of_one_node: bool,
}

/// Whether an old pod has to stop before a new one starts, from the spec alone: a claim that exists already counts as held by one node.
pub fn needs_recreate(spec: &crds::PodSpec, claims: &BTreeMap<String, LiveClaim>) -> bool {
    spec.is_singleton() || spec.volumes.iter().any(|v| volumes::access(v, claims) == Access::OnePod)
}

/// Seconds that work under way may take when a pod stops, where nothing else is said.
pub const DRAIN_SECONDS: i64 = 30;

pub(crate) fn seconds(duration: Option<crds::Duration>, default: i64) -> i64 {
    duration.map_or(default, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX).min(86_400))
}

pub(crate) fn unique<'a>(list: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), Invalid> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Invalid::Twice { list, name: name.to_owned() });
        }
    }
    Ok(())
}
