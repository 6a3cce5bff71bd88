//! What serves: the program under gunicorn, and the ports on which it listens.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, Size};

/// A Python application under gunicorn.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!(has(self.workers) && has(self.memoryPerWorker))")
    .message("write either workers (a fixed number) or memoryPerWorker (as many as CPU and memory allow)"))]
#[serde(rename_all = "camelCase")]
pub struct Gunicorn {
    /// The application, as `module:variable`.
    #[schemars(length(min = 1, max = 253))]
    #[x_kube(validation = Rule::new(r"self.matches('^[A-Za-z_][A-Za-z0-9_.]*(:[^\\s]+)?$')")
        .message("gunicorn.app is written module:variable, such as wsgi:app"))]
    pub app: String,

    /// The number of worker processes. Default: what the image's gunicorn.conf.py says, else the variable `WEB_CONCURRENCY`, else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub workers: Option<i32>,

    /// The memory that one worker needs, such as `200Mi`: as many workers are started as the memory limit holds beside gunicorn's
    /// master, for which 32Mi are left, but no more than two per CPU and one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_per_worker: Option<Size>,

    /// After what time without a sign of life a worker is killed. A worker of gunicorn's default class, `sync`, gives none while it has
    /// a request: so long may a request take, its upload included. Workers of other classes, such as `gthread`, which `--threads`
    /// brings, end no request by it. While requests hold all workers no page answers, which is no ill health: no pod counts as not ready,
    /// and none is restarted, before this time is over. Default: what gunicorn.conf.py says, else `30s`; what is longer there has to
    /// be written here too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')")
        .message("gunicorn.timeout must be between 1s and 24h"))]
    pub timeout: Option<Duration>,
}

/// A port on which the app listens.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Port {
    /// Its name: lower-case letters, digits and dashes, at most 15.
    #[schemars(length(min = 1, max = 15), regex(pattern = "^([a-z0-9]+-)*[a-z0-9]*[a-z][a-z0-9]*(-[a-z0-9]+)*$"))]
    pub name: String,
    /// Its number.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
    /// Whether it serves Prometheus metrics under `/metrics`: such a port is announced to Prometheus by the usual
    /// `prometheus.io` annotations of the pods, and no route, probe or gunicorn uses it unless it is named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<bool>,
}

impl Port {
    /// Whether it serves metrics rather than people.
    pub fn is_metrics(&self) -> bool {
        self.metrics.unwrap_or(false)
    }
}
