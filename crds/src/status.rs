//! What the status of each kind has whose pods are brought out in releases.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::HasHead;
use crate::{JobMoment, Uptime};

/// The releases of an object, and its pods. It stands among the other fields of the status.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RolloutStatus {
    /// The newest release: the one that is live, or on its way, or that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseStatus>,
    /// The release that serves now, when it is not the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<i64>,
    /// Pods of the app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<ReplicasStatus>,
    /// Until when the app is asleep, while it is and that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asleep_until: Option<Time>,
    /// Whether the app is awake, where it has `uptime`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<UptimeStatus>,
    /// Where the image's tag points, when that is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageStatus>,
    /// The last releases, newest first, at most 10: of those of one image that served, older ones go first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub history: Vec<ReleaseRecord>,
    /// The sets of files that its pods were last seen to serve with.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub data_sets: Vec<ServedSet>,
}

/// A set of files that pods serve with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ServedSet {
    /// The `DataSync`.
    pub data_sync: String,
    /// The set.
    pub set: String,
}

/// Whether an app with `uptime` is awake.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UptimeStatus {
    /// In one word.
    pub state: UptimeState,
    /// In one sentence: until when, in the app's own time zone, and the day before a clock change what that does to its windows.
    pub message: String,
    /// When it was seen to fall asleep, or to wake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When it was last seen to wake, or was first seen awake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub woke_at: Option<Time>,
    /// The jobs of when it last fell asleep.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub jobs: Vec<JobStatus>,
    /// What went wrong with the last of these that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Whether an app is awake.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum UptimeState {
    /// No pods run, or only for as long as a job takes that runs before the app sleeps.
    Asleep,
    /// It was asleep, and not all pods serve yet.
    Waking,
    /// Its pods run.
    #[default]
    Awake,
}

/// What an image was built from, by its labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BuiltFrom {
    /// The revision: the image's label `org.opencontainers.image.revision`.
    pub revision: String,
    /// The repository: the image's label `org.opencontainers.image.source`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The commit of that repository which the Environment has applied, where the image was built from another one: most often its own
    /// image is not built yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_is_at: Option<String>,
}

/// Where a tag points that is followed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ImageStatus {
    /// The tag.
    pub tag: String,
    /// The digest that it points to, as far as drover has seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Since when drover sees it point there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When it was last seen to point there, while it cannot be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Time>,
    /// Why it cannot be seen. The app runs on meanwhile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// What `drover rollback` chose in place of what the tag points to, until that is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldStatus>,
}

/// An image that is held while its tag points to a bad one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HoldStatus {
    /// The release whose image it is.
    pub release: i64,
    /// Its digest.
    pub digest: String,
    /// One sentence: what is held, why, and how it ends.
    pub message: String,
}

/// The status of a kind that runs pods and brings them out in releases.
pub trait AppStatus: HasHead {
    /// Its releases and pods.
    fn rollout(&self) -> &RolloutStatus;
}

/// The steps of a release, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ReleaseStep {
    /// Finding the digest that the image's tag points to.
    ResolveImage,
    /// Pulling the image to the node before the old pod stops, because only one pod may hold the volume.
    PullImage,
    /// Running its jobs of the moment `BeforeDeploy`.
    BeforeDeploy,
    /// Sending the objects to the API server.
    Apply,
    /// Waiting for the pods to serve.
    Rollout,
    /// The pods serve, and must go on for a while before the release is live.
    Probation,
    /// Its pods serve, and its jobs of the moment `AfterDeploy` run.
    AfterDeploy,
    /// Putting the last good release back after a failure.
    Restore,
    /// Done.
    Live,
}

/// Where a release stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseStatus {
    /// Its number, counted up per app.
    pub number: i64,
    /// The newest commit that asks for this release, when an Environment applied the app. A commit that only changes replicas or uptime
    /// begins no release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// How many pods that commit asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// When its pods run by that commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime: Option<Uptime>,
    /// The image as it is run: with its digest where the registry told it.
    pub image: String,
    /// What the image was built from, by its labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub built_from: Option<BuiltFrom>,
    /// The step that it is in, or in which it failed.
    pub step: ReleaseStep,
    /// When this release began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// What is wrong, if something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
    /// Its jobs that run at a moment of a release, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub jobs: Vec<JobStatus>,
    /// The release whose `BeforeDeploy` jobs ran last, where this one runs none because it goes back to an earlier image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_before_deploy: Option<i64>,
    /// Seconds during which no pod of the app was ready while this release was brought out, when that could not be avoided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable_seconds: Option<i64>,
    /// Since when no pod of the app is ready, while that lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable_since: Option<Time>,
}

/// Where a job of a release stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobStatus {
    /// The job's name; what makes the assets `NAME` is called `assets-NAME`.
    pub name: String,
    /// The moment at which it runs.
    pub at: JobMoment,
    /// The name of its Job: in a release the same for the same image and what the job reads.
    pub job: String,
    /// How it ended, once it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<JobOutcome>,
    /// When its program began. Before the release where an earlier one ran it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Time>,
}

/// How a job ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JobOutcome {
    /// Its program ended with exit code 0.
    Succeeded,
    /// It did not, or did not begin.
    Failed,
}

/// Why a release does not come up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Problem {
    /// Kubernetes' word for it, such as `ImagePullBackOff`, `CrashLoopBackOff`, `OOMKilled` or `Unschedulable`.
    pub reason: String,
    /// One sentence: what, why, and what to do.
    pub message: String,
    /// The pod it shows in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// The container it shows in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    /// The last lines of that container's log, at most 10 and 2,000 characters, with secrets masked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub log: Vec<String>,
}

/// Pods of the app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReplicasStatus {
    /// How many are asked for.
    pub desired: i32,
    /// How many serve.
    pub ready: i32,
    /// How many are of the newest release.
    pub updated: i32,
    /// `ready/desired`, for `kubectl get`.
    pub summary: String,
}

/// How a release ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ReleaseOutcome {
    /// Its pods served.
    Live,
    /// Its pods did not come to serve.
    Failed,
    /// A newer release came before it was done.
    Superseded,
}

/// A release that ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReleaseRecord {
    /// Its number.
    pub number: i64,
    /// The commit that it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The image as it was run.
    pub image: String,
    /// How it ended.
    pub outcome: ReleaseOutcome,
    /// The release that was put back in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_back: Option<i64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}
