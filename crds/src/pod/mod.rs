//! What is said of pods, the same in every kind that runs some.

mod assets;
mod container;
mod database;
mod job;
mod uptime;
mod volume;

pub use assets::*;
pub use container::*;
pub use database::*;
pub use job::*;
pub use uptime::*;
pub use volume::*;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::LocalObjectReference;

/// A rule of the API server in CEL, and what a person reads who breaks it. Rules over several fields of [`PodSpec`] stand here, and each
/// kind lists those that hold for it: of a struct that stands among the fields of another only the fields are taken, not its rules.
type Rule = (&'static str, &'static str);

/// Root is run for a reason.
pub(crate) const ROOT_WITH_A_REASON: Rule = (
    "!has(self.runAs) || !has(self.runAs.user) || self.runAs.user != 0 || has(self.allowRoot)",
    "runAs.user 0 is root: write another user, or say in allowRoot why the app needs root",
);

/// A claim that one pod holds has one pod; for kinds with `replicas`.
pub(crate) const ONE_WRITER: Rule = (
    "!has(self.replicas) || self.replicas < 2 || !has(self.volumes) || !self.volumes.exists(v, has(v.claim) && !(has(v.claim.accessModes) && 'ReadWriteMany' in v.claim.accessModes) && v.mounts.exists(m, !has(m.readOnly) || !m.readOnly))",
    "only one pod may write to a claim that is not ReadWriteMany: set replicas to 1, mount the claim readOnly, or ask for accessModes [ReadWriteMany]",
);

/// One pod at a time is one pod at most; for kinds with `replicas`.
pub(crate) const ONE_AT_A_TIME: Rule = (
    "!has(self.singleton) || !self.singleton || !has(self.replicas) || self.replicas < 2",
    "singleton is never more than one pod: set replicas to 1, or remove singleton",
);

/// Only a tag can be followed.
pub(crate) const A_TAG_TO_FOLLOW: Rule = (
    "!has(self.imagePolicy) || !self.image.contains('@')",
    "imagePolicy follows a tag, and the image is named by digest, which never moves: write image without @sha256:…, or remove imagePolicy",
);

/// Where a tag points only its registry knows.
pub(crate) const A_REGISTRY_TO_ASK: Rule = (
    "!has(self.imagePolicy) || !has(self.imagePullPolicy) || self.imagePullPolicy != 'Never'",
    "imagePolicy follows the tag at its registry, and with imagePullPolicy Never no registry is asked: remove one of them",
);

/// Who never sleeps has no last moment.
pub(crate) const A_SLEEP_TO_COME: Rule = (
    "!has(self.jobs) || has(self.uptime) || self.jobs.all(j, !has(j.at) || j.at != 'BeforeSleep')",
    "a job at BeforeSleep runs when the app falls asleep, and without uptime it never does: write uptime, or another moment",
);

/// What ran once is remembered where its data are.
pub(crate) const A_MEMORY_OF_ITS_OWN: Rule = (
    "!has(self.jobs) || self.jobs.all(j, !has(j.run)) || (has(self.databaseRefs) && self.databaseRefs.size() > 0) || (has(self.volumes) && self.volumes.exists(v, has(v.claim)))",
    "what ran once is remembered on the claim of a Database or of the app, and this app has neither: add databaseRefs or a volume with claim, or remove run: Once",
);

/// What is said of pods. It stands among the kind's own fields.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodSpec {
    /// The image that is run. A tag is resolved to a digest once per release, so that all pods of a release run the same.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new(r"self.matches('^[^\\s]+$')").message("image must not contain spaces: write it as registry/repository:tag"))]
    pub image: String,

    /// Whether a release begins when the image's tag moves. Without it the tag is only asked for with another spec or commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_policy: Option<ImagePolicy>,

    /// When the node pulls the image. With `Never` the image must be on the node, and no registry is asked. Default: what
    /// Kubernetes does for the image's tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,

    /// Secrets of type `kubernetes.io/dockerconfigjson` with which the image is resolved and pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub image_pull_secrets: Vec<LocalObjectReference>,

    /// The user and group that the app runs as. Default: the image's user when it is a number other than 0; an image of root
    /// runs as user 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,

    /// Why the app has to run as root. With it the pod runs as the image says, and the namespace has to allow that (Pod
    /// Security level `baseline`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 500))]
    pub allow_root: Option<String>,

    /// The program that is run in place of the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(max = 32768)))]
    pub command: Option<Vec<String>>,

    /// Arguments of the program; with gunicorn, further flags of gunicorn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(max = 32768)))]
    pub args: Option<Vec<String>>,

    /// Environment variables. `DROVER_COMMIT` and `DROVER_RELEASE` are set besides: the commit and number of the release that
    /// last changed the pods; and `DROVER_IMAGE_REVISION`: what the image's label `org.opencontainers.image.revision` says that it was
    /// built from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,

    /// ConfigMaps and Secrets all of whose keys become environment variables. Like those that `env` and `volumes` name they are a part of
    /// the release: another content begins one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub env_from: Vec<EnvFrom>,

    /// Databases that the app connects to. Its first pods wait until these answer, and each job until it can connect to them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub database_refs: Vec<DatabaseRef>,

    /// The processor time and memory that each pod is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// Files that outlive a pod, or come from elsewhere. `/tmp`, `/var/tmp` and `$HOME` are writable without asking.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub volumes: Vec<Volume>,

    /// Whether there may never be two pods: in a rollout the old one stops before the new one starts, after the new image was pulled.
    /// Kubernetes itself replaces a pod that was deleted or evicted as soon as it begins to stop. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub singleton: Option<bool>,

    /// Programs that run beside the app and end: at a moment of a release, by a schedule, or by hand with `drover run`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub jobs: Vec<Job>,

    /// When the pods run. Default: always.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<Uptime>,
}

impl PodSpec {
    /// Whether there may never be two pods.
    pub fn is_singleton(&self) -> bool {
        self.singleton.unwrap_or(false)
    }

    /// The names of the `DataSync`s whose files its volumes hold; one may come twice.
    pub fn data_syncs(&self) -> impl Iterator<Item = &String> {
        self.volumes.iter().filter_map(|volume| volume.data_sync.as_ref()).map(|synced| &synced.name)
    }
}

/// The spec of a kind that runs pods and brings them out in releases. How many pods run, and when, is no part of a release.
pub trait AppSpec: Clone + PartialEq {
    /// What it says of its pods.
    fn pod(&self) -> &PodSpec;

    /// The names of claims beside those of its volumes, without the app's own before them.
    fn further_claims(&self) -> Vec<String>;

    /// The files of its image that are served beside it.
    fn assets(&self) -> &[Assets];

    /// The DataSyncs beside those of its volumes.
    fn further_data_syncs(&self) -> Vec<&String>;

    /// How many pods it asks for, while the app is awake.
    fn replicas(&self) -> i32;

    /// The same spec, which asks for as many pods as `other`, at the same times.
    #[must_use]
    fn with_replicas_of(&self, other: &Self) -> Self;

    /// Whether both let the same thing decide how many pods run. That is no part of a release either.
    fn is_scaled_as(&self, _other: &Self) -> bool {
        true
    }

    /// The same spec, which asks for one pod where it asks for more.
    #[must_use]
    fn with_one_pod_at_most(&self) -> Self;
}

/// Whether a release begins when the image's tag moves. Without it the tag is only asked for with another spec or commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ImagePolicy {
    /// With `Tag` the registry is asked once a minute where the image's tag points, and each time that it moves a release begins.
    pub follow: Follow,
}

/// With `Tag` the registry is asked once a minute where the image's tag points, and each time that it moves a release begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Follow {
    /// The image's tag.
    Tag,
}

/// When the node pulls the image. With `Never` the image must be on the node, and no registry is asked. Default: what
/// Kubernetes does for the image's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// Each time a pod starts.
    Always,
    /// When it is not on the node yet.
    IfNotPresent,
    /// Never: it must be on the node.
    Never,
}

impl ImagePullPolicy {
    /// The word as a pod has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}
