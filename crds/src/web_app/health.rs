//! How drover knows that a pod serves, and how it is stopped.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// How drover knows that a pod serves.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("!(has(self.path) && has(self.command))").message("write either health.path or health.command"),
    validation = Rule::new("!has(self.host) || has(self.path) || has(self.livenessPath)")
        .message("health.host is sent with health.path: set path, or remove host")
)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// A page that answers with a status below 400 when the app serves. Default with gunicorn: `/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^/[^\s#]*$"))]
    pub path: Option<String>,

    /// The host that the request for the page names. Default: the first route's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[A-Za-z0-9.:\[\]-]+$"))]
    pub host: Option<String>,

    /// The name of the port. Default: the first that is not for metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub port: Option<String>,

    /// A program in the container that ends with 0 when the app serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub command: Option<Vec<String>>,

    /// How long an answer may take. Default `5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('10m')")
        .message("health.timeout must be between 1s and 10m"))]
    pub timeout: Option<Duration>,

    /// How long the app may take to start. When it has not come up then, the release has failed. Default `2m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s') && duration(self) <= duration('6h')")
        .message("health.startupTimeout must be between 5s and 6h"))]
    pub startup_timeout: Option<Duration>,

    /// How long new pods must serve without a break before the release is live and the pods of before may go. When one of them ends
    /// within that time the release has failed, and the last one that was live comes back. `0s` for none. Default `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('1h')").message("health.probation must be between 0s and 1h"))]
    pub probation: Option<Duration>,

    /// How long the app may fail its liveness check before it is restarted. It is never less than a request may take (see
    /// gunicorn.timeout) and than it takes to be found not ready. Default `3m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('24h')")
        .message("health.restartAfter must be between 10s and 24h"))]
    pub restart_after: Option<Duration>,

    /// A page that answers as long as the app need not be restarted. Default: the port accepts connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^/[^\s#]*$"))]
    pub liveness_path: Option<String>,
}

/// How a pod is stopped.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// How long requests that are under way may take to end when a pod is replaced. Default: gunicorn.timeout, or `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('24h')").message("drain.timeout must be 24h or less"))]
    pub timeout: Option<Duration>,
}
