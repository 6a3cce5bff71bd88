//! Which requests from outside reach what.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, Size};

/// Requests for a host and everything below a path, and where they go.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The host name, such as `www.example.org`, or `*.example.org` for all names one level below.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub host: String,

    /// The path, whole segments of it: `/api` stands for `/api` and `/api/x`, not for `/apix`. Default `/`.
    #[serde(default = "root")]
    #[schemars(length(min = 1, max = 1024), regex(pattern = r"^/[A-Za-z0-9._~!$&'()*+,;=:@%/-]*$"))]
    #[x_kube(validation = Rule::new("!self.contains('//') && !self.split('/').exists(s, s == '.' || s == '..')")
        .message("path must not contain //, /./ or /../: write it as the browser sends it"))]
    pub path: String,

    /// Where the requests go.
    pub to: RouteTarget,
}

fn root() -> String {
    "/".to_owned()
}

/// Where requests go.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("has(self.app) != has(self.service)")
    .message("to names either app (`app: {}` is this app's first port) or service (with name and port)"))]
pub struct RouteTarget {
    /// This app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppTarget>,
    /// Another Service of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceTarget>,
}

/// This app.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AppTarget {
    /// The name of one of its ports. Default: the first that is not for metrics.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 15))]
    pub port: Option<String>,
}

/// Another Service of the namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServiceTarget {
    /// The Service's name.
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// The number of its port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

/// A certificate.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// The hosts that it is for, as they stand in the routes.
    #[schemars(length(min = 1, max = 16), inner(length(min = 1, max = 253)))]
    #[x_kube(merge_strategy = ListMerge::Set)]
    pub hosts: Vec<String>,
    /// The Secret of type `kubernetes.io/tls` that holds it.
    #[schemars(length(min = 1, max = 253))]
    pub secret_name: String,
}

/// How the routes are brought to the outside.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Expose {
    /// The class of the Ingress. Default: the cluster's default class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ingress_class_name: Option<String>,

    /// How large the body of a request may be, such as `100Mi`, for an upload. What the Ingress class cannot be told of it, the condition
    /// `ExposeLimited` says. Default: what the ingress controller lets through by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_body_size: Option<Size>,

    /// How long a request may take on its way through the ingress controller, its upload and its answer. What the Ingress class cannot be
    /// told of it, the condition `ExposeLimited` says. Default: gunicorn.timeout where that is more than `60s`, else what the ingress
    /// controller gives by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('24h')")
        .message("expose.timeout must be between 1s and 24h"))]
    pub timeout: Option<Duration>,

    /// Annotations of the Ingress, for what the cluster's ingress controller or certificate issuer reads from them, such as
    /// `cert-manager.io/cluster-issuer`. They win over those that drover makes of the fields above.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend("maxProperties" = 32))]
    #[x_kube(validation = Rule::new("self.all(k, !k.startsWith('drover.dev/') && !k.startsWith('kubectl.kubernetes.io/') && self[k].size() <= 16384)")
        .message("annotations of drover.dev and kubectl.kubernetes.io are not for the Ingress, and a value has at most 16384 characters"))]
    pub annotations: BTreeMap<String, String>,
}
