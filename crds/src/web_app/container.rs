//! The container of a `WebApp`: who it runs as, what it runs, its ports, environment and resources.
#![expect(clippy::struct_field_names, reason = "fields are named as in a pod")]

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::KubeSchema;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

use super::Size;
use crate::Duration;

/// A user and a group, by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunAs {
    /// The user's number, as in the image's /etc/passwd.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647i64))]
    pub user: Option<i64>,
    /// The group's number. Volumes are writable for this group. Default: the same number as the user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 2_147_483_647i64))]
    pub group: Option<i64>,
}

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

    /// The number of worker processes. Default: what the image's gunicorn.conf.py says, else 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 256))]
    pub workers: Option<i32>,

    /// The memory that one worker needs, such as `200Mi`: as many workers are started as the memory limit holds, but no more
    /// than two per CPU and one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_per_worker: Option<Size>,

    /// How long a request may take before its worker is killed. Default: what gunicorn.conf.py says, else `30s`.
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

/// An environment variable.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!(has(self.value) && has(self.valueFrom))")
    .message("write either value or valueFrom"))]
#[serde(rename_all = "camelCase")]
pub struct EnvVar {
    /// Its name.
    #[schemars(length(min = 1, max = 253), regex(pattern = "^[-._a-zA-Z][-._a-zA-Z0-9]*$"))]
    pub name: String,
    /// Its value; `$(NAME)` stands for a variable defined before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 131_072))]
    pub value: Option<String>,
    /// Where its value comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value_from: Option<EnvSource>,
}

/// Where the value of an environment variable comes from.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef), has(self.resourceFieldRef)].filter(x, x).size() == 1")
    .message("valueFrom names exactly one of secretKeyRef, configMapKeyRef, fieldRef or resourceFieldRef"))]
#[serde(rename_all = "camelCase")]
pub struct EnvSource {
    /// A key of a Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
    /// A key of a ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
    /// A field of the pod.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field_ref: Option<FieldRef>,
    /// A limit or request of the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_field_ref: Option<ResourceFieldRef>,
}

/// One key of a Secret or ConfigMap of the namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct KeyRef {
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key in its data.
    #[schemars(length(min = 1, max = 253))]
    pub key: String,
    /// Whether the pod starts without it. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// A field of the pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FieldRef {
    /// Its path, such as `metadata.name` or `status.podIP`.
    #[schemars(length(min = 1, max = 253))]
    pub field_path: String,
}

/// A limit or request of the container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ResourceFieldRef {
    /// Which, such as `limits.memory`.
    #[schemars(length(min = 1, max = 253))]
    pub resource: String,
    /// The unit in which it is given, such as `1Mi`. Default 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "quantity_schema")]
    pub divisor: Option<Quantity>,
}

/// A ConfigMap or Secret all of whose keys become environment variables.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.secretRef) != has(self.configMapRef)")
    .message("an entry of envFrom names either secretRef or configMapRef"))]
#[serde(rename_all = "camelCase")]
pub struct EnvFrom {
    /// Put before each key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub prefix: Option<String>,
    /// A Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<OptionalRef>,
    /// A ConfigMap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<OptionalRef>,
}

/// A Secret or ConfigMap of the namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OptionalRef {
    /// The object's name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// Whether the pod starts without it. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub optional: Option<bool>,
}

/// Processor time and memory.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Resources {
    /// The most that a pod may use, such as `memory: 1Gi`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16), schema_with = "quantities_schema")]
    pub limits: BTreeMap<String, Quantity>,
    /// What a pod needs at least: it is put on a node that has it free. Default: the limits.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 16), schema_with = "quantities_schema")]
    pub requests: BTreeMap<String, Quantity>,
}

/// A quantity as containers have it: `500m`, `1Gi`, or a plain number. The type's own schema carries a page of description.
fn quantity_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"x-kubernetes-int-or-string": true})
}

fn quantities_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "object", "additionalProperties": {"x-kubernetes-int-or-string": true}})
}
