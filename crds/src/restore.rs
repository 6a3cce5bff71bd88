//! What a `Database` begins with, and what a person has put back.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, LocalObjectReference, RunningJob};

/// What is loaded into a database before anybody sees it: once, as long as its claim holds no data. It is loaded beside, into a folder of the
/// claim, and takes its place when it was checked.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.fromBackup), has(self.fromDump)].filter(x, x).size() == 1")
    .message("init must be exactly one of fromBackup or fromDump"))]
pub struct DatabaseInit {
    /// A backup that drover made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_backup: Option<InitFromBackup>,
    /// A dump that `pg_dump` or `pg_dumpall` made, or `mariadb-dump` or `mysqldump`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from_dump: Option<InitFromDump>,
    /// How long it may take. Default `2h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m') && duration(self) <= duration('20h')")
        .message("timeout must be between 1m and 20h"))]
    pub timeout: Option<Duration>,
}

/// A backup that drover made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InitFromBackup {
    /// The Database of this namespace whose backups are read, where its `spec.backup` says. Default: this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40))]
    pub database: Option<String>,
    /// The name of the backup, as `status.backups` lists it. Default: the newest that is verified.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 16, max = 16), regex(pattern = "^[0-9]{8}T[0-9]{6}Z$"))]
    pub backup: Option<String>,
}

/// A dump, as plain SQL, compressed by gzip or in the custom format of `pg_dump`. Of a dump of several databases the one is taken that is
/// called as this one, or the only one that is not the server's own. Its roles are replaced by this Database's user, and passwords and rights in
/// it are not taken.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.claim), has(self.s3), has(self.http)].filter(x, x).size() == 1")
    .message("fromDump must be exactly one of claim, s3 or http"))]
pub struct InitFromDump {
    /// A file on a volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<DumpOnClaim>,
    /// An object of an S3 bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub s3: Option<DumpInBucket>,
    /// A file of a web server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http: Option<DumpOverHttp>,
}

/// A file on a volume, which is mounted read-only.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpOnClaim {
    /// The PersistentVolumeClaim.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The file, from the root of the volume.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.endsWith('/') && !self.split('/').exists(part, part == '..')")
        .message("path must lead from the volume's root to a file, without a slash in front and without `..`"))]
    pub path: String,
}

/// An object of an S3 bucket.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DumpInBucket {
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
    /// The object's key.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new("!self.startsWith('/') && !self.endsWith('/')").message("key must not begin or end with a slash"))]
    pub key: String,
    /// Secret with `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, and `ca.crt` for a private certificate authority. Default: the
    /// bucket is read without a signature, as everybody may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
}

/// A file of a web server.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DumpOverHttp {
    /// Its address.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new(r"self.matches('^https?://[^/@ ]+(/[^ ]*)?$')")
        .message("url must be https://host/path, without a password: put the password into a Secret and name it in secretRef"))]
    pub url: String,
    /// Secret with `username` and `password`, or with `token`, and `ca.crt` for a private certificate authority.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalObjectReference>,
}

/// How it goes with what is loaded into a Database: by `init`, or by `drover restore`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RestoreStatus {
    /// Whether what `init` asks for has been done, or found to be done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub initialized: bool,
    /// The last restore that a person asked for and that has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    /// The last one that took the place of what was there: the server was started anew for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<String>,
    /// What was loaded last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<LastRestore>,
    /// What is being loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningJob>,
    /// Why the last one did not succeed, until one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<RestoreFailure>,
    /// The Jobs that have ended and whose results are in here, as long as they are there, at most 100.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub noted: Vec<String>,
}

/// What was loaded.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastRestore {
    /// What: the backup's name, or the dump's place.
    pub from: String,
    /// When it was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took: Option<Duration>,
    /// How many rows were there.
    pub rows: i64,
}

/// Why something was not loaded. What was there is as it was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RestoreFailure {
    /// One CamelCase word.
    pub reason: String,
    /// One sentence: what, where, why, and what to do.
    pub message: String,
    /// How many in a row did not succeed.
    pub times: i64,
    /// When the last of them ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The Job of the last of them.
    pub job: String,
}
