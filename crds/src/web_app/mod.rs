//! `WebApp`: a web server, its volumes and its routes.

mod container;
mod health;
mod quantity;
mod route;
mod status;
mod volume;

pub use container::*;
pub use health::*;
pub use quantity::{InvalidSize, Size, milli_units};
pub use route::*;
pub use status::*;
pub use volume::*;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Duration, LocalObjectReference};

/// A web server, its volumes and its routes.
#[derive(CustomResource, KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[kube(
    group = "drover.dev",
    version = "v1alpha1",
    kind = "WebApp",
    plural = "webapps",
    shortname = "wa",
    category = "drover",
    namespaced,
    status = "WebAppStatus",
    derive = "PartialEq",
    validation = Rule::new("self.metadata.name.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')")
        .message("the name becomes a Service's: write it with lower-case letters, digits and dashes, beginning with a letter"),
    printcolumn(name = "Ready", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].status"#),
    printcolumn(name = "Release", type_ = "integer", json_path = ".status.release.number"),
    printcolumn(name = "Replicas", type_ = "string", json_path = ".status.replicas.summary"),
    printcolumn(name = "URL", type_ = "string", json_path = ".status.url"),
    printcolumn(name = "Status", type_ = "string", json_path = r#".status.conditions[?(@.type=="Ready")].message"#),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp")
)]
#[x_kube(
    validation = Rule::new("!(has(self.command) && has(self.gunicorn))")
        .message("gunicorn is the command: write either command or gunicorn; further flags of gunicorn go into args"),
    validation = Rule::new("!has(self.runAs) || !has(self.runAs.user) || self.runAs.user != 0 || has(self.allowRoot)")
        .message("runAs.user 0 is root: write another user, or say in allowRoot why the app needs root"),
    validation = Rule::new("self.ports.all(p, self.ports.filter(q, q.port == p.port).size() == 1)")
        .message("two ports have the same number: give each port its own, or remove one"),
    validation = Rule::new("self.ports.exists(p, !has(p.metrics) || !p.metrics)")
        .message("all ports are metrics ports: add the port on which the app answers people"),
    validation = Rule::new("!has(self.routes) || self.routes.all(r, !has(r.to.app) || !has(r.to.app.port) || self.ports.exists(p, p.name == r.to.app.port))")
        .message("a route's to.app.port names no port of this app: write the name of one of spec.ports, or leave port out for the first"),
    validation = Rule::new("!has(self.health) || !has(self.health.port) || self.ports.exists(p, p.name == self.health.port)")
        .message("health.port names no port of this app: write the name of one of spec.ports, or leave it out for the first"),
    validation = Rule::new("!has(self.tls) || self.tls.all(t, t.hosts.all(h, has(self.routes) && self.routes.exists(r, r.host == h)))")
        .message("tls names a host that no route has: write the hosts as they stand in spec.routes"),
    validation = Rule::new("!has(self.replicas) || self.replicas < 2 || !has(self.volumes) || !self.volumes.exists(v, has(v.claim) && !(has(v.claim.accessModes) && 'ReadWriteMany' in v.claim.accessModes) && v.mounts.exists(m, !has(m.readOnly) || !m.readOnly))")
        .message("only one pod may write to a claim that is not ReadWriteMany: set replicas to 1, mount the claim readOnly, or ask for accessModes [ReadWriteMany]"),
    validation = Rule::new("!has(self.gunicorn) || !has(self.gunicorn.memoryPerWorker) || (has(self.resources) && has(self.resources.limits) && 'memory' in self.resources.limits)")
        .message("gunicorn.memoryPerWorker shares out the memory limit: set resources.limits.memory, or write gunicorn.workers")
)]
#[serde(rename_all = "camelCase")]
pub struct WebAppSpec {
    /// The image that is run. A tag is resolved to a digest once per release, so that all pods of a release run the same.
    #[schemars(length(min = 1, max = 1024))]
    #[x_kube(validation = Rule::new(r"self.matches('^[^\\s]+$')").message("image must not contain spaces: write it as registry/repository:tag"))]
    pub image: String,

    /// When the node pulls the image. With `Never` the image must be on the node, and no registry is asked. Default: what
    /// Kubernetes does for the image's tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_pull_policy: Option<ImagePullPolicy>,

    /// Secrets of type `kubernetes.io/dockerconfigjson` with which the image is resolved and pulled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub image_pull_secrets: Vec<LocalObjectReference>,

    /// The user and group that the app runs as. Default: the image's user when it is a number other than 0; an image of root
    /// runs as user 1000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_as: Option<RunAs>,

    /// Why the app has to run as root. With it the pod runs as the image says, and the namespace has to allow that (Pod
    /// Security level `baseline`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 10, max = 500))]
    pub allow_root: Option<String>,

    /// The program that is run in place of the image's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), inner(length(max = 32768)))]
    pub command: Option<Vec<String>>,

    /// Arguments of the program; with gunicorn, further flags of gunicorn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 256), inner(length(max = 32768)))]
    pub args: Option<Vec<String>>,

    /// Runs a Python application under gunicorn, which the image must contain, on the app's first port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gunicorn: Option<Gunicorn>,

    /// The ports on which the app listens. The Service has the app's name and these ports.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub ports: Vec<Port>,

    /// Environment variables. `DROVER_COMMIT` and `DROVER_RELEASE` are set besides: the commit and number of the release that
    /// last changed the pods.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub env: Vec<EnvVar>,

    /// ConfigMaps and Secrets all of whose keys become environment variables.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub env_from: Vec<EnvFrom>,

    /// The processor time and memory that each pod is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,

    /// How many pods serve. Default 1; with 0 the app is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,

    /// How a pod is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,

    /// Files that outlive a pod, or come from elsewhere. `/tmp`, `/var/tmp` and `$HOME` are writable without asking.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub volumes: Vec<Volume>,

    /// How drover knows that a pod serves. Default: its first port accepts connections, or with gunicorn, which accepts them before the
    /// app is loaded, the page `/` answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,

    /// Which requests from outside reach this app, and other Services of the namespace. On one host the longest path wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["host".into(), "path".into()]))]
    pub routes: Vec<Route>,

    /// Certificates of the routes' hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["secretName".into()]))]
    pub tls: Vec<Tls>,

    /// How the routes are brought to the outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose: Option<Expose>,
}

/// When the node pulls the image. With `Never` the image must be on the node, and no registry is asked. Default: what
/// Kubernetes does for the image's tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ImagePullPolicy {
    /// Each time a pod starts.
    Always,
    /// When it is not on the node yet.
    IfNotPresent,
    /// Never: it must be on the node.
    Never,
}

impl ImagePullPolicy {
    /// The word as a pod has it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
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

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt as _;
    use serde_json::Value;

    use super::WebApp;

    /// Paths of properties without a description, those of Kubernetes' own types left out.
    fn undescribed(schema: &Value, path: &str, found: &mut Vec<String>) {
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{name}");
            if property["description"].as_str().is_none_or(str::is_empty) {
                found.push(path.clone());
            }
            undescribed(property, &path, found);
        }
        for inner in ["items", "additionalProperties"] {
            if schema[inner].is_object() {
                undescribed(&schema[inner], path, found);
            }
        }
    }

    #[test]
    fn the_definition_is_small_and_explains_every_field() {
        let json = serde_json::to_value(WebApp::crd()).expect("a definition is JSON");
        assert!(json.to_string().len() < 256 * 1024);
        let schema = &json["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"];
        let mut found = Vec::new();
        undescribed(&schema["spec"], "spec", &mut found);
        undescribed(&schema["status"], "status", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }

    #[test]
    fn every_list_and_string_of_the_spec_is_bounded() {
        fn unbounded(schema: &Value, path: &str, found: &mut Vec<String>) {
            match schema["type"].as_str() {
                Some("array") if schema["maxItems"].is_null() => found.push(path.to_owned()),
                Some("string") if schema["maxLength"].is_null() && schema["enum"].is_null() => {
                    found.push(path.to_owned());
                }
                Some("object") if schema["additionalProperties"].is_object() && schema["maxProperties"].is_null() => {
                    found.push(path.to_owned());
                }
                _ => {}
            }
            for (name, property) in schema["properties"].as_object().into_iter().flatten() {
                unbounded(property, &format!("{path}.{name}"), found);
            }
            if schema["items"].is_object() {
                unbounded(&schema["items"], &format!("{path}[]"), found);
            }
        }
        let json = serde_json::to_value(WebApp::crd()).expect("a definition is JSON");
        let mut found = Vec::new();
        unbounded(&json["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], "spec", &mut found);
        assert_eq!(found, Vec::<String>::new());
    }
}
