//! `DataSync`: a volume that is kept equal to data which lives elsewhere.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::HasHead;
use crate::git::{REPOSITORY, REPOSITORY_MESSAGE};
use crate::{Claim, Duration, JobFailure, LocalObjectReference, Reference, RunningJob, Webhook};

/// Data of another place, kept as files on a volume that apps of this namespace mount.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "drover.dev",
    version = "v1alpha1",
    kind = "DataSync",
    plural = "datasyncs",
    shortname = "dsy",
    category = "drover",
    namespaced,
    status = "DataSyncStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.size() <= 47")
        .message("the name becomes a CronJob's: at most 47 characters"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Set", type_ = "string", json_path = ".status.published.set"),
    printcolumn(name = "Files", type_ = "integer", json_path = ".status.published.files"),
    printcolumn(name = "Synced", type_ = "date", json_path = ".status.lastSync.at"),
    printcolumn(name = "Next", type_ = "string", json_path = ".status.next", priority = 1),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("!has(self.timeZone) || has(self.schedule)")
        .message("timeZone says where the schedule's clock is: write a schedule, or remove timeZone"),
    validation = Rule::new("!has(self.guard) || !has(self.guard.settle) || has(self.source.s3)")
        .message("guard.settle looks at the times of a bucket's objects: remove it for an http or git source"),
    validation = Rule::new("!has(self.guard) || !has(self.guard.contentTypes) || !has(self.source.git)")
        .message("guard.contentTypes are what a server calls its files, and git calls them nothing: remove it for a git source")
)]
#[serde(rename_all = "camelCase")]
pub struct DataSyncSpec {
    /// Where the data lives: exactly one of s3, http or git.
    pub source: DataSource,

    /// When it is synced, as a CronJob's schedule of five fields, such as `0 * * * *` for every hour. Default: only when its spec
    /// changes, when somebody runs `drover sync`, and from git at each new commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 9, max = 100))]
    pub schedule: Option<String>,

    /// Where the schedule's clock is, such as `Europe/London`. What a clock change there skips is made up for, and what it repeats is done
    /// once. Default `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,

    /// What else brings it up to date: with `Release` each release of an app that mounts it, and with `Wake` each time that such an app
    /// wakes by its `uptime`; before its pods. The app waits for that at most two minutes; where the source is down it takes the last good
    /// files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 2))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub refresh_on: Vec<RefreshOn>,

    /// How running apps come to new data.
    pub publish: Publish,

    /// What must hold of the data before it takes the place of what is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<DataGuard>,

    /// How many sets of files are kept, the published one included. Default 3.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub keep: Option<i32>,

    /// How long a set is kept at least after it was made, because somebody may still be reading it. Default `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep_for: Option<Duration>,

    /// How old the last good sync may be before this is no longer ready. Default: as old as it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m')").message("maxStale must be 1m or more"))]
    pub max_stale: Option<Duration>,

    /// How long one sync may take. Default `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s')").message("timeout must be 1s or more"))]
    pub timeout: Option<Duration>,

    /// The storage for the files: room for the kept sets, of which unchanged files take no room of their own.
    pub claim: Claim,

    /// While true nothing is synced. What is published stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// What brings data up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RefreshOn {
    /// A release of an app that mounts it.
    Release,
    /// An app that mounts it, and wakes.
    Wake,
}

/// Where the data lives.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.s3), has(self.http), has(self.git)].filter(x, x).size() == 1")
    .message("source must be exactly one of s3, http or git"))]
pub struct DataSource {
    /// Objects of an S3 bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<S3Data>,
    /// One file of a web server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<HttpData>,
    /// A folder of a git repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git: Option<GitData>,
}

/// Objects of an S3 bucket.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct S3Data {
    /// Address of the server, such as `https://minio.example.org`. Default: Amazon's of the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new(r"self.matches('^https?://[^/@?# ]+/?$')")
        .message("endpoint must be https://host or https://host:port, without a password: put the keys into a Secret and name it in secretRef"))]
    pub endpoint: Option<String>,

    /// The region that requests are signed for. Default `us-east-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-zA-Z0-9._-]+$"))]
    pub region: Option<String>,

    /// The bucket.
    #[schemars(length(min = 1, max = 255), regex(pattern = "^[a-zA-Z0-9_-][a-zA-Z0-9._-]*$"))]
    pub bucket: String,

    /// What all keys of `paths` begin with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^[^/]"))]
    pub prefix: Option<String>,

    /// Secret with `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, and `ca.crt` for a private certificate authority. Default: the
    /// bucket is read without a signature, as everybody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,

    /// Which objects, and as which files. Default: all below `prefix`, by their own names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["from".into()]))]
    pub paths: Vec<DataPath>,
}

/// Objects, and the files that they become.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!self.from.endsWith('/') || self.to.endsWith('/') || self.to == ''")
    .message("from ends with a slash, so it is a folder of many files: end to with a slash too"))]
pub struct DataPath {
    /// A key; or with a slash at its end all keys that begin so.
    #[schemars(length(max = 1024), regex(pattern = "^([^/]|$)"))]
    pub from: String,
    /// The file; or with a slash at its end the folder.
    #[schemars(length(max = 1024), regex(pattern = "^([^/]|$)"))]
    pub to: String,
}

/// One file of a web server.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpData {
    /// Its address.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new(r"self.matches('^https?://[^/@ ]+(/[^ ]*)?$')")
        .message("url must be https://host/path, without a password: put the password into a Secret and name it in secretRef"))]
    pub url: String,

    /// The file that it becomes.
    #[schemars(length(min = 1, max = 255), regex(pattern = "^[^/].*[^/]$|^[^/]$"))]
    pub to: String,

    /// Secret with `username` and `password`, or with `token`, and `ca.crt` for a private certificate authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
}

/// A folder of a git repository: each new commit is synced as soon as drover hears of it. Executable files stay so, a link to a file of
/// the folder becomes that file.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GitData {
    /// Address of the repository: `https://host/path.git`, `ssh://user@host/path.git` or `user@host:path.git`. Passwords do
    /// not belong here: use secretRef.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new(REPOSITORY).message(REPOSITORY_MESSAGE))]
    pub url: String,

    /// What to follow: exactly one of branch, tag, semver or commit.
    #[serde(rename = "ref")]
    pub reference: Reference,

    /// The folder in the repository. Default: the whole repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new(r"!self.split('/').exists(p, p == '..' || p == '.' || p == '')")
        .message("path is a folder of the repository, such as web or apps/web: write it without `/` at its ends and without `..`"))]
    pub path: Option<String>,

    /// How often the repository is asked for new commits; a webhook makes it instant. Default `1m`, at least `5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s')").message("interval must be 5s or more: use the webhook for instant updates"))]
    pub interval: Option<Duration>,

    /// Secret with what the repository asks for: `username` and `password`, or `bearerToken`, or `identity` (an SSH private
    /// key) with `known_hosts`; and `ca.crt` for a private certificate authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,

    /// Accept the repository's push webhook.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Webhook>,
}

/// How running apps come to new data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Publish {
    /// Under the same paths, without a restart: the files are links, which lead to the new ones from one moment to the next, as in a
    /// volume of a ConfigMap. A file that is open goes on being the old one.
    Live,
    /// By new pods: each pod sees one set for as long as it lives.
    Rollout,
}

/// What must hold of the data before it takes the place of what is published.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DataGuard {
    /// Files that must be there; with a slash at its end a folder with something in it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64), inner(length(min = 1, max = 1024)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub require: Vec<String>,

    /// By how much each entry of `paths` may become less from one set to the next, in files and in bytes, such as `50%`. Default:
    /// anything but to nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^(100|[1-9]?[0-9])%$"))]
    pub max_shrink: Option<String>,

    /// For how long nothing in the bucket may have changed: who is still uploading is waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle: Option<Duration>,

    /// The fewest bytes that a file may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub min_bytes: Option<i64>,

    /// The types that a file may have, as the server names them, such as `text/csv` or `image/*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 3, max = 127), regex(pattern = "^[^/ ;]+/[^/ ;]+$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub content_types: Vec<String>,
}

/// What drover last saw of a DataSync.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct DataSyncStatus {
    /// The generation of the spec that this status speaks of; -1 until drover has looked at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` and `Synced`, which says whether the last sync succeeded; and `ClockChange` from the day before a
    /// clock change that its schedule meets.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The files that apps see.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<PublishedSet>,
    /// Those that they saw before, which are put back where an app does not run with the new ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<PublishedSet>,
    /// The last sync that succeeded, whether it found something new or not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<LastSync>,
    /// The last sync that did not succeed, until one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<JobFailure>,
    /// The sync that runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningJob>,
    /// When the schedule comes next, as of the last sync that began or ended, or of the last change of the spec.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<Time>,
    /// The Jobs that have ended and whose results are in here, as long as they are there, at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub noted: Vec<String>,
    /// The last sync that the spec or a person asked for and that has run: it is not run again for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// The newest value of the annotation `drover.dev/reconcile-at` for which a sync has ended, whatever came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked_at: Option<Time>,
}

impl HasHead for DataSyncStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn head(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }
}

/// A set of files that apps see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PublishedSet {
    /// Its name: the same data has the same.
    pub set: String,
    /// The digest of its files' paths, sizes and contents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// How many files it has.
    pub files: i64,
    /// How many bytes these are.
    pub bytes: i64,
    /// Since when it is published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
}

/// A sync that succeeded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastSync {
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// How many files it fetched.
    pub files: i64,
    /// How many bytes these are.
    pub bytes: i64,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Duration>,
    /// The commit that it found at the source, of a git source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Its Job.
    pub job: String,
}

/// A volume of a DataSync.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SyncedData {
    /// The DataSync's name, in the same namespace.
    #[schemars(length(min = 1, max = 47))]
    pub name: String,
}
