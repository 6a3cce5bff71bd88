//! A git repository, as each kind that follows one names it.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::LocalObjectReference;

/// The rule for the address of a repository, and its sentence.
pub(crate) const REPOSITORY: &str = r"self.matches('^(https?|ssh)://[^/@:]+(:[0-9]+)?/.+$') || self.matches('^ssh://[^/@:]+@[^/@:]+(:[0-9]+)?/.+$') || self.matches('^[A-Za-z0-9_.-]+@[A-Za-z0-9.-]+:[^:].*$')";
pub(crate) const REPOSITORY_MESSAGE: &str = "url must be https://host/path, ssh://user@host/path or user@host:path, without a password: put the password into a Secret and name it in secretRef";

/// What to follow in the repository.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.branch), has(self.tag), has(self.semver), has(self.commit)].filter(x, x).size() == 1")
    .message("ref must name exactly one of branch, tag, semver or commit"))]
pub struct Reference {
    /// A branch; its newest commit is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub branch: Option<String>,
    /// A tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub tag: Option<String>,
    /// A range of versions, such as `>=1.2, <2`: the highest tag in it, with or without a leading `v`, is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 255))]
    pub semver: Option<String>,
    /// A commit, as its full 40 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^[0-9a-f]{40}$"))]
    pub commit: Option<String>,
}

/// The push webhook of the repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Secret whose key `token` is the secret that the git host was given for this webhook.
    pub secret_ref: LocalObjectReference,
}
