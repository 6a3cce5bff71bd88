//! Files that outlive a pod, or come from elsewhere.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Size, SyncedData};

/// A volume: where it is mounted, and exactly one source.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.claim), has(self.nfs), has(self.persistentVolumeClaim), has(self.secret), has(self.configMap), has(self.emptyDir), has(self.dataSync)].filter(x, x).size() == 1")
    .message("a volume has exactly one source: claim (drover makes it), persistentVolumeClaim (it exists already), nfs, secret, configMap, emptyDir or dataSync"))]
#[serde(rename_all = "camelCase")]
pub struct Volume {
    /// Its name. A claim is named `APP-NAME`.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// Where it is mounted.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["mountPath".into()]))]
    pub mounts: Vec<Mount>,

    /// Storage that drover asks the cluster for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim: Option<Claim>,

    /// A folder of an NFS server.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nfs: Option<Nfs>,

    /// A PersistentVolumeClaim that exists already.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub persistent_volume_claim: Option<ExistingClaim>,

    /// A Secret; each key is a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretFiles>,

    /// A ConfigMap; each key is a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map: Option<ConfigMapFiles>,

    /// An empty folder that lives as long as the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub empty_dir: Option<EmptyDir>,

    /// The files of a DataSync. The app can only read them, and its first pod starts when the first set of them is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_sync: Option<SyncedData>,
}

/// Where a volume is mounted.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// The folder in the container.
    #[schemars(length(min = 2, max = 1024), regex(pattern = r"^/[^\s:]+$"))]
    pub mount_path: String,

    /// A folder inside the volume, without a leading `/` and without `..`; of a dataSync only where that publishes by `Rollout`: a subPath is
    /// looked up once, when the pod starts. Default: the whole volume.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^[^/]"))]
    pub sub_path: Option<String>,

    /// Whether the app may only read it. Default false. A claim that is only read lets new pods start beside the old.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_only: Option<bool>,
}

impl Mount {
    /// Whether the app may only read it.
    pub fn is_read_only(&self) -> bool {
        self.read_only.unwrap_or(false)
    }
}

/// Storage that drover asks the cluster for.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// How much.
    pub resources: ClaimResources,

    /// The class of the storage. Default: the cluster's default class. It cannot change once the claim is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub storage_class_name: Option<String>,

    /// Who may use it at a time. Default `[ReadWriteOnce]`. It cannot change once the claim is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub access_modes: Option<Vec<AccessMode>>,

    /// What happens to it when the object is deleted that asks for it. Default `Retain`: it stays, and one of the same name finds it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retention_policy: Option<RetentionPolicy>,
}

/// How much storage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ClaimResources {
    /// What is asked for.
    pub requests: ClaimRequests,
}

/// What is asked for.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClaimRequests {
    /// The size, such as `5Gi`. It may grow where the storage class allows that; it never shrinks.
    #[x_kube(validation = Rule::new("quantity(self).compareTo(quantity(oldSelf)) >= 0")
        .message("a claim cannot shrink: write at least the size that it has, or give the volume a new name for a new claim"))]
    pub storage: Size,
}

/// Who may use a claim at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum AccessMode {
    /// The pods of one node.
    ReadWriteOnce,
    /// All pods, only for reading.
    ReadOnlyMany,
    /// All pods.
    ReadWriteMany,
    /// One pod.
    ReadWriteOncePod,
}

impl AccessMode {
    /// The word as a claim has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadWriteOnce => "ReadWriteOnce",
            Self::ReadOnlyMany => "ReadOnlyMany",
            Self::ReadWriteMany => "ReadWriteMany",
            Self::ReadWriteOncePod => "ReadWriteOncePod",
        }
    }
}

/// What happens to a claim when the object is deleted that asks for it. Default `Retain`: it stays, and one of the same name finds it
/// again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RetentionPolicy {
    /// It stays.
    #[default]
    Retain,
    /// It is deleted with its data.
    Delete,
}

/// A folder of an NFS server.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Nfs {
    /// The server's name or address.
    #[schemars(length(min = 1, max = 253))]
    pub server: String,
    /// The folder that it exports.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^/"))]
    pub path: String,
}

/// A PersistentVolumeClaim that exists already.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExistingClaim {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub claim_name: String,
}

/// One key and the file that it becomes.
#[derive(JsonSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyFile {
    /// The key.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// The file, relative to the mount, without a leading `/` and without `..`.
    #[schemars(length(min = 1, max = 1024), regex(pattern = "^[^/]"))]
    pub path: String,
    /// The file's permission bits, such as `0400`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 511))]
    pub mode: Option<i32>,
}

/// A Secret as files.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretFiles {
    /// The Secret's name.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
    /// Which keys, and as which files. Default: all, under their own names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["path".into()]))]
    pub items: Vec<KeyFile>,
    /// The files' permission bits. Default `0644`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 511))]
    pub default_mode: Option<i32>,
    /// Whether the pod starts without it. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// A ConfigMap as files.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConfigMapFiles {
    /// The ConfigMap's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Which keys, and as which files. Default: all, under their own names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 128))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["path".into()]))]
    pub items: Vec<KeyFile>,
    /// The files' permission bits. Default `0644`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 511))]
    pub default_mode: Option<i32>,
    /// Whether the pod starts without it. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// An empty folder.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EmptyDir {
    /// `Memory` keeps it in memory, which counts against the memory limit. Default: the node's disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medium: Option<Medium>,
    /// The most that it may hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_limit: Option<Size>,
}

/// What an empty folder is kept on: `Memory`, which counts against the memory limit. Default: the node's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Medium {
    /// Memory.
    Memory,
}
