//! What the status of a kind says of the Jobs that do its work.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Why Jobs of a kind do not succeed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobFailure {
    /// One CamelCase word.
    pub reason: String,
    /// One sentence: what, where, why, and what to do.
    pub message: String,
    /// How many in a row did not succeed.
    pub times: i64,
    /// When the first of them ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
    /// When the last of them ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Time>,
    /// The Job of the last of them.
    pub job: String,
}

/// A Job that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunningJob {
    /// Its Job.
    pub job: String,
    /// Since when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}
