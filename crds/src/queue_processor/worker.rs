//! How a worker is known to live, and how it is stopped.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// How drover knows that a worker has started and lives.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(
    validation = Rule::new("has(self.command) || !(has(self.timeout) || has(self.startupTimeout) || has(self.restartAfter))")
        .message("health.timeout, startupTimeout and restartAfter are those of health.command: write command too")
)]
#[serde(rename_all = "camelCase")]
pub struct WorkerHealth {
    /// A program in the container that ends with 0 while the worker lives, also while it works on a message. Without it a worker is taken
    /// for one as soon as its program runs, and is started anew when that ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub command: Option<Vec<String>>,

    /// How long the command may take. Default `5s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('10m')")
        .message("health.timeout must be between 1s and 10m"))]
    pub timeout: Option<Duration>,

    /// How long a worker may take to start. When the command has not succeeded by then, the release has failed. Default `2m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('5s') && duration(self) <= duration('6h')")
        .message("health.startupTimeout must be between 5s and 6h"))]
    pub startup_timeout: Option<Duration>,

    /// How long new workers must run without a break before the release is live. When one of them ends within that time the release has
    /// failed, and the last one that was live comes back. `0s` for none. Default `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('1h')").message("health.probation must be between 0s and 1h"))]
    pub probation: Option<Duration>,

    /// How long the command may fail before the worker is started anew. Default `3m`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('10s') && duration(self) <= duration('24h')")
        .message("health.restartAfter must be between 10s and 24h"))]
    pub restart_after: Option<Duration>,
}

/// How a worker is stopped.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct WorkerDrain {
    /// How long a worker may take to end what it works on; then it is killed. It is told to stop by SIGTERM. Default `30s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) <= duration('24h')").message("drain.timeout must be 24h or less"))]
    pub timeout: Option<Duration>,

    /// What runs in the container before the worker is told to stop, for one that ends at once when it is told: such as a command that
    /// waits until the worker's busy file is gone. It is a part of `timeout`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_stop: Option<PreStop>,
}

/// What runs before the worker is told to stop.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreStop {
    /// A program in the container.
    pub exec: PreStopCommand,
}

/// A program in the container.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreStopCommand {
    /// The program and its arguments; no shell reads it.
    #[schemars(length(min = 1, max = 64), inner(length(max = 4096)))]
    pub command: Vec<String>,
}
