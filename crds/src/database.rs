//! `Database`: one small database server, for the apps of its namespace.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::condition::HasHead;
use crate::{
    BackupStatus, Claim, DatabaseBackup, DatabaseInit, ImagePullPolicy, KeptBackup, LocalObjectReference, Resources,
    RestoreStatus, RunAs,
};

/// One database server with one database, on a volume of its own, for the apps of its namespace.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "drover.dev",
    version = "v1alpha1",
    kind = "Database",
    plural = "databases",
    shortname = "db",
    category = "drover",
    namespaced,
    status = "DatabaseStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$') && self.metadata.name.size() <= 40")
        .message("the name becomes a host name that apps connect to: at most 40 letters, digits and dashes, with a letter first"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Version", type_ = "string", json_path = ".spec.engine.*.version"),
    printcolumn(name = "Storage", type_ = "string", json_path = ".spec.claim.resources.requests.storage"),
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Backup", type_ = "string", json_path = r#".status.conditions[?(@.type=="BackupVerified")].status"#),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("(has(self.database) ? self.database : '') == (has(oldSelf.database) ? oldSelf.database : '')")
        .message("database cannot change: its data would stay behind under the old name. Make a new Database, and copy the data"),
    validation = Rule::new("(has(self.user) ? self.user : '') == (has(oldSelf.user) ? oldSelf.user : '')")
        .message("user cannot change: what is in the database belongs to it. Make a new Database, and copy the data"),
    validation = Rule::new("!has(self.runAs) || !has(self.runAs.user) || self.runAs.user != 0")
        .message("the server refuses to run as root: write another user in runAs.user, or leave runAs out"),
    validation = Rule::new("!has(self.engine.mariadb) || ((!has(self.database) || !(self.database in ['mysql', 'sys', 'information_schema', 'performance_schema'])) && (!has(self.user) || !(self.user in ['mysql', 'root'])))")
        .message("database and user must be none of the server's own (mysql, sys, information_schema, performance_schema; mysql, root)")
)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseSpec {
    /// Which server: exactly one of postgres or mariadb.
    pub engine: Engine,

    /// The image, which has the server's own programs (`postgres`, `initdb`, `pg_ctl`, `psql` and its extensions; or `mariadbd`,
    /// `mariadb-install-db`, `mariadb-upgrade`, `mariadb-check`, `mariadb-dump` and `mariadb`). Its entrypoint is not run. Another image of the
    /// same major version is a restart of the server.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new(r"self.matches('^[^\\s]+$')").message("image must not contain spaces: write it as registry/repository:tag"))]
    pub image: String,

    /// When the node pulls the image. Default: what Kubernetes does for the image's tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,

    /// Secrets of type `kubernetes.io/dockerconfigjson` with which the image is pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub image_pull_secrets: Vec<LocalObjectReference>,

    /// The user and group that the server runs as. Default: 999; the image need not know that user. It owns the files, so it cannot
    /// change once they are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,

    /// The database's name. Default: the name of this object, with `_` in place of `-`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new(r"self.matches('^[a-z_][a-z0-9_]*$') && !self.startsWith('pg_') && !(self in ['postgres', 'template0', 'template1'])")
        .message("database must be of small letters, digits and _, must not begin with a digit or pg_, and be none of the server's own (postgres, template0, template1)"))]
    pub database: Option<String>,

    /// The user whom the apps connect as, and who owns the database. Default: the database's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    #[x_kube(validation = Rule::new(r"self.matches('^[a-z_][a-z0-9_]*$') && !self.startsWith('pg_') && !(self in ['postgres', 'public', 'none'])")
        .message("user must be of small letters, digits and _, must not begin with a digit or pg_, and be none of the server's own (postgres, public, none)"))]
    pub user: Option<String>,

    /// The processor time and memory that the server is given; it is configured for its memory. Default: 100m and 256Mi asked for, 512Mi
    /// at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// The storage for the data. It may grow, where the storage class allows that. With `retentionPolicy: Delete` the data goes with this
    /// object, and the password with it; by default both stay, and a Database of the same name finds them again.
    pub claim: Claim,

    /// Backups, each of which is restored and compared before it counts. Default: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<DatabaseBackup>,

    /// What the database begins with, where its claim holds no data yet. Default: it begins empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<DatabaseInit>,
}

/// Which server: exactly one.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.postgres) != has(self.mariadb)").message("engine must be exactly one of postgres or mariadb"),
    validation = Rule::new("has(self.postgres) == has(oldSelf.postgres)")
        .message("the kind of server cannot change, because another does not read the data's files: make a new Database, and move the data")
)]
pub struct Engine {
    /// PostgreSQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postgres: Option<Postgres>,

    /// MariaDB, which serves what was written for MySQL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mariadb: Option<Mariadb>,
}

/// A PostgreSQL server.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Postgres {
    /// The major version, such as `"15"`, from 13 to 18. It cannot change: files of one major version are not read by another.
    #[schemars(length(min = 2, max = 2))]
    #[x_kube(
        validation = Rule::new("self.matches('^1[3-8]$')").message("version must be the major version alone, from \"13\" to \"18\": the image has the minor one"),
        validation = Rule::new("self == oldSelf").message("the major version cannot change, because another does not read the data's files: make a new Database of the new version, and move the data by dump and restore")
    )]
    pub version: String,

    /// Extensions that are made in the database before any app sees it, such as `q3c`. The image has them. One that leaves this list stays in
    /// the database.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32), inner(length(min = 1, max = 63), regex(pattern = "^[a-zA-Z0-9_][a-zA-Z0-9_-]*$")))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub extensions: Vec<String>,
}

/// A MariaDB server.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mariadb {
    /// The series: `"10.11"`, which is maintained until 2028. It cannot change.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(
        validation = Rule::new("self == '10.11'").message("version must be the series \"10.11\", the one that is known so far: the image has the rest of it"),
        validation = Rule::new("self == oldSelf").message("the series cannot change: make a new Database of the new one, and move the data by dump and restore")
    )]
    pub version: String,
}

/// What drover last saw of a Database.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct DatabaseStatus {
    /// The generation of the spec that this status speaks of; -1 until drover has looked at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled`, and `BackupVerified` where there are backups, and `Restored` where something was loaded. Ready is a server that answers in the database, as its user, over the network.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The Secret with `host`, `port`, `database`, `user`, `password` and `url`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
    /// The newest backups that are there, at most 20, the newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub backups: Vec<KeptBackup>,
    /// How it goes with backups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backup: Option<BackupStatus>,
    /// How it goes with what is loaded: by `init`, or by a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restore: Option<RestoreStatus>,
}

impl HasHead for DatabaseStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn head(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }
}
