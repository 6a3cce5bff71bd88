//! Which requests from outside reach what.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Claim, Duration, Size};

/// Requests for a host and everything below a path, and where they go.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!has(self.rewritePath) || !has(self.to.static)")
    .message("rewritePath is for routes that lead to a server: files of a static route are looked up below its path"))]
#[serde(rename_all = "camelCase")]
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

    /// The addresses that may ask, as ranges such as `10.0.0.0/8`; all others get 403. It is judged by the address from which the cluster
    /// was asked, as the proxies tell it that the chart's value `front.trustedProxies` names; without that value it is refused, and
    /// whose address no proxy tells gets 403. Default: everybody may ask.
    #[serde(default, deserialize_with = "stated", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Vec<String>", length(min = 1, max = 64), inner(length(min = 2, max = 49)))]
    #[x_kube(validation = Rule::new("self.all(a, isCIDR(a) || isIP(a))")
        .message("allowFrom lists ranges of addresses, such as 10.0.0.0/8, or single addresses, such as 192.0.2.7"))]
    pub allow_from: Option<Vec<String>>,

    /// Headers of every answer, such as `Cache-Control: no-store`, errors included; they stand in place of those of the same name that
    /// the server sends.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(extend(
        "maxProperties" = 32,
        "additionalProperties" = {"type": "string", "maxLength": 2000, "pattern": "^[ -#%-~]+$"}
    ))]
    pub headers: BTreeMap<String, String>,

    /// What stands in place of `path` in the request that the server gets: with path `/amq` and rewritePath `/admin` it is asked for
    /// `/admin/x` where the browser asks for `/amq/x`. Redirects and cookies that name the server's path come back with the browser's.
    /// Default: the path stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 1024),
        regex(pattern = r"^/[A-Za-z0-9._~!$&'()*+,;=:@-]*(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)*/?$")
    )]
    pub rewrite_path: Option<String>,
}

impl Route {
    /// Whether only a front can serve it.
    pub fn asks_for_a_front(&self) -> bool {
        let Self { host: _, path: _, to, allow_from, headers, rewrite_path } = self;
        let RouteTarget { app: _, service: _, address, files } = to;
        allow_from.is_some() || !headers.is_empty() || rewrite_path.is_some() || address.is_some() || files.is_some()
    }
}

/// A list that is written counts as written also where nothing stands in it: who left `allowFrom:` empty did not mean everybody.
fn stated<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    Option::deserialize(deserializer).map(|written| Some(written.unwrap_or_default()))
}

fn root() -> String {
    "/".to_owned()
}

/// Where requests go.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.app), has(self.service), has(self.address), has(self.static)].filter(x, x).size() == 1")
    .message("to names exactly one of app (`app: {}` is this app's first port), service, address or static"))]
pub struct RouteTarget {
    /// This app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppTarget>,
    /// Another Service of the namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceTarget>,
    /// A server outside the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<AddressTarget>,
    /// Files of a volume.
    #[serde(default, rename = "static", skip_serializing_if = "Option::is_none")]
    pub files: Option<StaticTarget>,
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

/// A server outside the cluster.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressTarget {
    /// Its IP address.
    #[schemars(length(min = 2, max = 45))]
    #[x_kube(validation = Rule::new("isIP(self)")
        .message("address.host is an IP address, such as 172.16.101.100: for a name make a Service without a selector, with an EndpointSlice"))]
    pub host: String,
    /// The number of its port.
    #[schemars(range(min = 1, max = 65535))]
    pub port: i32,
}

/// Files of a volume: `/plots/a.png` under the path `/plots` is the volume's file `a.png`. A folder answers with its `index.html`; files
/// and folders whose names begin with a dot are not served, but for `.well-known`.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("[has(self.volume), has(self.dataSync), has(self.assets)].filter(x, x).size() == 1")
    .message("static names exactly one of volume (one of spec.volumes), dataSync (whose files the app itself does not see) and assets (one of spec.assets)"))]
#[serde(rename_all = "camelCase")]
pub struct StaticTarget {
    /// The name of one of spec.volumes: a claim, a persistentVolumeClaim, an nfs or a dataSync.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub volume: Option<String>,
    /// The name of a DataSync of the namespace, whose files the app itself does not see: new ones replace no pod of the app. Until the first
    /// are there the route answers 503.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub data_sync: Option<String>,
    /// The name of one of spec.assets. Files with a hash in their names are kept by browsers for a year.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 40), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub assets: Option<String>,
    /// Whether the program in the browser has paths of its own: the volume's `index.html` answers where a page is asked for (by a browser,
    /// and not by the ending of a file such as `.js` or `.png`) that is no file. Files with a hash in their names are kept by browsers for
    /// a year. Default false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub single_page: Option<bool>,
}

/// Where the front's access log is kept, and for how long.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Logs {
    /// The folder in which jobs find it: a file `access-YYYY-MM-DD.log` per local day, in nginx's combined format, with `-` in place of
    /// the client's address. The app itself does not see it.
    #[schemars(length(min = 2, max = 1024), regex(pattern = r"^/[^\s:]+$"))]
    pub mount_path: String,

    /// How long a day's file is kept after its day, such as `720h`. Default `720h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('24h') && duration(self) <= duration('87600h')")
        .message("logs.keep must be between 24h and 87600h (ten years)"))]
    pub keep: Option<Duration>,

    /// The time zone whose days these are, such as `Europe/London`. Default `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,

    /// The storage, a claim named `APP-logs`.
    pub claim: Claim,
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
