//! How a `Database` is backed up, and what came of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Claim, Duration, JobFailure, LocalObjectReference, RunningJob};

/// When a database is backed up, and where to. Each backup is restored into a server that is thrown away, and compared with what was backed
/// up: the condition `BackupVerified` says what came of it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("!has(self.to.s3) || has(self.encryption)")
        .message("backups in S3 are encrypted: make a Secret with the key `password`, keep a copy of it, and name it in encryption.secretRef")
)]
pub struct DatabaseBackup {
    /// When, as a CronJob's schedule of five fields, such as `0 2 * * *` for each night at two. The first backup is made at once, and
    /// `drover backup` makes one more.
    #[schemars(length(min = 9, max = 100))]
    pub schedule: String,

    /// Where the schedule's clock is, and by whose days and weeks backups are kept, such as `Europe/London`. Default `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,

    /// Where to: exactly one of claim or s3. What is there is a repository that `restic` reads too.
    pub to: BackupPlace,

    /// How many are kept: of the newest days, weeks and so on that have a backup, the last one each. The newest that is verified is always
    /// kept. Default `{daily: 7}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<BackupKeep>,

    /// The key that the backups are encrypted with; required for s3. Who loses it loses the backups. It cannot change while they are
    /// there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encryption: Option<BackupEncryption>,

    /// What a restored backup must answer, beside holding all that was backed up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub checks: Vec<BackupCheck>,

    /// How long a backup may take, its restore included. Default `2h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('20h')")
        .message("timeout must be between 1m and 20h"))]
    pub timeout: Option<Duration>,
}

/// Where backups go: exactly one.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.claim), has(self.s3)].filter(x, x).size() == 1")
    .message("to must be exactly one of claim or s3"))]
pub struct BackupPlace {
    /// A volume of their own, of another machine if the storage class has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,
    /// A place in an S3 bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<BackupBucket>,
}

/// A place in an S3 bucket.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupBucket {
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

    /// What all keys begin with. Default `drover/NAMESPACE/NAME`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.endsWith('/')").message("prefix must not begin or end with a slash"))]
    pub prefix: Option<String>,

    /// Secret with `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, and `ca.crt` for a private certificate authority. The keys need the
    /// right to read, write, list and delete there.
    pub secret_ref: LocalObjectReference,
}

/// How many backups are kept.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.last), has(self.hourly), has(self.daily), has(self.weekly), has(self.monthly), has(self.yearly)].exists(x, x)")
    .message("keep names nothing to keep: write at least one of last, hourly, daily, weekly, monthly or yearly"))]
pub struct BackupKeep {
    /// The newest, whenever they were made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub last: Option<i32>,
    /// Of hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub hourly: Option<i32>,
    /// Of days.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub daily: Option<i32>,
    /// Of weeks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub weekly: Option<i32>,
    /// Of months.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub monthly: Option<i32>,
    /// Of years.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub yearly: Option<i32>,
}

/// The key that backups are encrypted with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupEncryption {
    /// Secret with the key `password`.
    pub secret_ref: LocalObjectReference,
}

/// What a restored backup must answer.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupCheck {
    /// What it is called.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// A query of one number, such as `select count(*) from reduction_run`.
    #[schemars(length(min = 1, max = 4096))]
    pub query: String,
    /// The least that it may be. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
}

/// How it goes with the backups of a Database.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct BackupStatus {
    /// The last one that did not succeed, until one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<JobFailure>,
    /// The one that is being made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningJob>,
    /// Where they are, as a digest of what the spec says of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The id of the repository that was found there: another is not taken for it, and a new one is not made in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// The Jobs that have ended and whose results are in here, as long as they are there, at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub noted: Vec<String>,
    /// The last backup that the spec or a person asked for and that was made: it is not made again for the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
}

/// A backup that is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeptBackup {
    /// What it is called: the time at which it was stored, in UTC.
    pub name: String,
    /// That time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// How large the dump is.
    pub bytes: i64,
    /// What came of restoring it; absent where that did not go well, or is not over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<VerifiedBackup>,
}

/// A restore that was checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct VerifiedBackup {
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Duration>,
    /// How many rows were there.
    pub rows: i64,
}
