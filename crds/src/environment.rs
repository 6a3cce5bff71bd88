//! `Environment`: a branch that a namespace follows.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::HasHead;
use crate::git::{REPOSITORY, REPOSITORY_MESSAGE, Reference, Webhook};
use crate::{Duration, LocalObjectReference};

/// A git branch, tag or commit whose manifests drover keeps applied in this namespace.
#[derive(CustomResource, KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "drover.dev",
    version = "v1alpha1",
    kind = "Environment",
    plural = "environments",
    shortname = "env",
    category = "drover",
    namespaced,
    status = "EnvironmentStatus",
    derive = "PartialEq",
    validation = Rule::new("!has(self.spec.dependsOn) || !self.spec.dependsOn.exists(d, d.kind == 'Environment' && d.apiVersion.startsWith('drover.dev/') && d.name == self.metadata.name && !has(d.namespace))")
        .message("dependsOn names this very Environment, which would wait for itself for ever: take it out"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Commit", type_ = "string", json_path = ".status.applied.short"),
    printcolumn(name = "Objects", type_ = "integer", json_path = ".status.applied.objects"),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.source.url", priority = "1"),
    printcolumn(name = "Path", type_ = "string", json_path = ".spec.source.path", priority = "1"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(validation = Rule::new("!has(self.suspendReason) || (has(self.suspend) && self.suspend)")
    .message("suspendReason says why `suspend: true` is set: set suspend, or remove suspendReason"))]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentSpec {
    /// Where the manifests are.
    pub source: Source,

    /// Values of variables: `${NAME}` in a value of the manifests stands for one, so that one folder serves several Environments. A plain
    /// `replicas: ${N}` becomes a number, a quoted one stays text, and keys are left as they are. A name that is neither here nor in
    /// substituteFrom is refused; `$${NAME}` is the text itself. Objects with the annotation `drover.dev/substitute: disabled`, and
    /// definitions, are left alone. Without both fields `${NAME}` is text everywhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 64))]
    #[x_kube(validation = Rule::new("self.all(k, k.matches('^[A-Za-z_][A-Za-z0-9_]*$') && self[k].size() <= 4096)")
        .message("a variable is called by letters, digits and _, and its value has at most 4096 characters"))]
    pub substitute: Option<BTreeMap<String, String>>,

    /// ConfigMaps and Secrets of this namespace whose keys are variables too, as far as they are called by letters, digits and _. Of a
    /// name that several have the last one counts, and what substitute says before all. Another content is applied at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub substitute_from: Vec<SubstituteFrom>,

    /// How files that were encrypted with SOPS are decrypted: whole ones, and ones of which only some fields are encrypted. Without it a
    /// commit that has such a file is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decryption: Option<Decryption>,

    /// Objects that a new commit waits for: it is applied when each of them has its condition `True`. What is applied already stays, and is
    /// looked after, whatever becomes of them. They are read as the service account that drover acts as.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub depends_on: Vec<Dependency>,

    /// The service account of this namespace that drover acts as: it can read and change only what this account can. Default
    /// `drover`, which `drover allow NAMESPACE` creates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,

    /// What happens to objects that are no longer in git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prune: Option<Prune>,

    /// What happens to the applied objects when this Environment is deleted. Default `Orphan`: they stay.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,

    /// What happens when somebody else changes or deletes an applied object. Default `Correct`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<DriftPolicy>,

    /// While true nothing is fetched or changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,

    /// Why it is suspended; shown in the status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 500))]
    pub suspend_reason: Option<String>,
}

/// An object that new commits wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Dependency {
    /// API group and version of its kind, such as `drover.dev/v1alpha1` or `apps/v1`.
    #[schemars(length(max = 300), regex(pattern = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?v[0-9][a-z0-9]*$"))]
    pub api_version: String,
    /// Its kind, such as `Database` or `Environment`.
    #[schemars(length(max = 63), regex(pattern = "^[A-Z][A-Za-z0-9]*$"))]
    pub kind: String,
    /// Its name.
    #[schemars(length(max = 253), regex(pattern = "^[a-z0-9]([-a-z0-9.:]*[a-z0-9])?$"))]
    pub name: String,
    /// Its namespace. Default: the Environment's own. In another one the service account must be allowed to get such objects; where it may
    /// watch them too, it is seen at once that they are as they should be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub namespace: Option<String>,
    /// The condition of its status that must be `True`. Default `Ready`, which all of drover's kinds have; a Deployment has `Available`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 316),
        regex(pattern = "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$")
    )]
    pub condition: Option<String>,
}

/// A ConfigMap or Secret whose keys are variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SubstituteFrom {
    /// What it is.
    pub kind: SubstituteKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Whether it may be missing. Default false: while it is missing nothing new is applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// A kind whose objects hold variables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum SubstituteKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret. No sentence of drover's shows its values.
    Secret,
}

/// How encrypted files are decrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decryption {
    /// Secret with age keys, as `age-keygen` writes them: each of its keys whose name ends in `.agekey` holds one or several. What other
    /// keys than those of age can decrypt, such as PGP's or those of a cloud, is refused.
    pub secret_ref: LocalObjectReference,
}

/// A folder of a git repository, at a branch, tag or commit.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// Address of the repository: `https://host/path.git`, `ssh://user@host/path.git` or `user@host:path.git`. Passwords do
    /// not belong here: use secretRef.
    #[schemars(length(min = 1, max = 2048))]
    #[x_kube(validation = Rule::new(REPOSITORY).message(REPOSITORY_MESSAGE))]
    pub url: String,

    /// What to follow: exactly one of branch, tag, semver or commit.
    #[serde(rename = "ref")]
    pub reference: Reference,

    /// Folder in the repository that holds the YAML files, read recursively. Default: the whole repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    #[x_kube(validation = Rule::new(r"!self.startsWith('/') && !self.split('/').exists(p, p == '..')")
        .message("path is relative to the repository's root and stays inside it: write it without a leading / and without .."))]
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

/// What happens to objects that are no longer in git.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Prune {
    /// Whether they are deleted. Default true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// The largest part of the applied objects that one commit may remove, as a percentage. More is refused until the
    /// annotation `drover.dev/confirm-prune` names the commit. Fewer than three objects are never refused, except all of them.
    /// Default `50%`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^(100|[1-9]?[0-9])%$"))]
    pub max_fraction: Option<String>,
}

/// What happens to the applied objects when this Environment is deleted. Default `Orphan`: they stay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DeletionPolicy {
    /// They stay, with nobody looking after them.
    #[default]
    Orphan,
    /// They are deleted.
    Delete,
}

/// What happens when somebody else changes or deletes an applied object. Default `Correct`: it is put back at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum DriftPolicy {
    /// It is put back at once.
    #[default]
    Correct,
    /// It is said in the status, and put back with the next commit.
    Report,
    /// It is left alone until the next commit.
    Ignore,
}

/// What drover last saw and did for an Environment.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct EnvironmentStatus {
    /// The generation of the spec that this status speaks of; -1 until drover has looked at it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` and `DriftWatch`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["type".into()]))]
    pub conditions: Vec<Condition>,
    /// The commit at the head of what is followed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<SourceStatus>,
    /// The commit whose objects were last applied in full.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied: Option<AppliedStatus>,
    /// Address path of this repository's webhook on drover's webhook service; give it to the git host with the secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webhook_path: Option<String>,
    /// What is wrong now, at most 10. What `Ready` says of a failure is about the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub failures: Vec<ObjectFailure>,
    /// Applied objects that are on their way and not as asked yet, as `Kind namespace/name`, at most 10. While `Ready` has the reason
    /// `Progressing` it is about the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub waiting_for: Vec<String>,
    /// The last 20 commits that were applied, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20))]
    pub history: Vec<HistoryEntry>,
}

impl HasHead for EnvironmentStatus {
    fn conditions(&self) -> &[Condition] {
        &self.conditions
    }

    fn head(&mut self) -> (&mut Option<i64>, &mut Vec<Condition>) {
        (&mut self.observed_generation, &mut self.conditions)
    }
}

/// The commit at the head of what is followed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceStatus {
    /// The commit's full id.
    pub commit: String,
    /// First line of its message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Its author's name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub author: String,
    /// When drover fetched it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<Time>,
}

/// The commit whose objects were last applied in full.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AppliedStatus {
    /// The commit's full id.
    pub commit: String,
    /// The commit's first 12 digits.
    pub short: String,
    /// The id of the tree at `path`: a commit with the same tree has nothing to apply.
    pub tree: String,
    /// When it was applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// How many objects it has.
    pub objects: i64,
    /// A keyed hash of the variables that substituteFrom brought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variables: Option<String>,
}

/// Something that is wrong with one object or file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ObjectFailure {
    /// Which: `Kind namespace/name`, or `file:line`.
    pub object: String,
    /// One CamelCase word.
    pub reason: String,
    /// One sentence: what, why, and what to do.
    pub message: String,
}

/// A commit that was applied.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// The commit's full id.
    pub commit: String,
    /// First line of its message.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When its objects were applied.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub applied_at: Option<Time>,
    /// When all of them were first healthy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthy_at: Option<Time>,
}
