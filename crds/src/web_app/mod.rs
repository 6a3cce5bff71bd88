//! `WebApp`: a web server, its volumes and its routes.

mod health;
mod route;
mod server;
mod status;

pub use health::*;
pub use route::*;
pub use server::*;
pub use status::*;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use crate::pod::{
    A_MEMORY_OF_ITS_OWN, A_REGISTRY_TO_ASK, A_SLEEP_TO_COME, A_TAG_TO_FOLLOW, ONE_AT_A_TIME, ONE_WRITER,
    ROOT_WITH_A_REASON,
};
use crate::{AppSpec, Assets, PodSpec};

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
    validation = ROOT_WITH_A_REASON,
    validation = A_TAG_TO_FOLLOW,
    validation = A_REGISTRY_TO_ASK,
    validation = A_SLEEP_TO_COME,
    validation = A_MEMORY_OF_ITS_OWN,
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
    validation = Rule::new("!has(self.routes) || self.routes.all(r, !has(r.to.static) || !has(r.to.static.volume) || (has(self.volumes) && self.volumes.exists(v, v.name == r.to.static.volume)))")
        .message("a route's to.static.volume names no volume of this app: write the name of one of spec.volumes"),
    validation = Rule::new("!has(self.routes) || self.routes.all(r, !has(r.to.static) || !has(r.to.static.assets) || (has(self.assets) && self.assets.exists(a, a.name == r.to.static.assets)))")
        .message("a route's to.static.assets names no assets of this app: write the name of one of spec.assets"),
    validation = Rule::new("!has(self.assets) || self.assets.all(a, has(self.routes) && self.routes.exists(r, has(r.to.static) && has(r.to.static.assets) && r.to.static.assets == a.name))")
        .message("assets are served by a route, and there is none for these: add a route with to.static.assets, or remove them"),
    validation = Rule::new("!has(self.logs) || !has(self.volumes) || self.volumes.all(v, v.name != 'logs' || !has(v.claim))")
        .message("the access log has the claim that the volume logs would have: give that volume another name"),
    validation = Rule::new("!has(self.logs) || (has(self.routes) && self.routes.size() > 0)")
        .message("logs keeps the access log of the routes, and there are none: add routes, or remove logs"),
    validation = ONE_WRITER,
    validation = ONE_AT_A_TIME,
    validation = Rule::new("!has(self.gunicorn) || !has(self.gunicorn.memoryPerWorker) || (has(self.resources) && has(self.resources.limits) && 'memory' in self.resources.limits)")
        .message("gunicorn.memoryPerWorker shares out the memory limit: set resources.limits.memory, or write gunicorn.workers")
)]
#[serde(rename_all = "camelCase")]
pub struct WebAppSpec {
    /// What is said of its pods.
    #[serde(flatten)]
    pub pod: PodSpec,

    /// Runs a Python application under gunicorn, which the image must contain, on the app's first port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gunicorn: Option<Gunicorn>,

    /// The ports on which the app listens. The Service has the app's name and these ports.
    #[schemars(length(min = 1, max = 16))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub ports: Vec<Port>,

    /// How many pods serve. Default 1; with 0 the app is switched off.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1000))]
    pub replicas: Option<i32>,

    /// How a pod is stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drain: Option<Drain>,

    /// How drover knows that a pod serves. Default: its first port accepts connections, or with gunicorn, which accepts them before the
    /// app is loaded, the page `/` answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,

    /// Which requests from outside reach this app, and other Services of the namespace. On one host the longest path wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["host".into(), "path".into()]))]
    pub routes: Vec<Route>,

    /// Files of the image that the front serves, those of each release in a folder of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub assets: Vec<Assets>,

    /// Keeps the access log of the front, through which all routes go then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub logs: Option<Logs>,

    /// Certificates of the routes' hosts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["secretName".into()]))]
    pub tls: Vec<Tls>,

    /// How the routes are brought to the outside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expose: Option<Expose>,
}

/// What the claim of the access log has behind the app's name.
pub const LOGS_CLAIM: &str = "logs";

impl WebAppSpec {
    /// Whether requests from outside go through a front.
    pub fn has_front(&self) -> bool {
        self.logs.is_some() || self.routes.iter().any(Route::asks_for_a_front)
    }
}

impl AppSpec for WebAppSpec {
    fn pod(&self) -> &PodSpec {
        &self.pod
    }

    fn further_claims(&self) -> Vec<String> {
        let logs = self.logs.as_ref().map(|_| LOGS_CLAIM.to_owned());
        self.assets.iter().map(Assets::claim_name).chain(logs).collect()
    }

    fn assets(&self) -> &[Assets] {
        &self.assets
    }

    fn further_data_syncs(&self) -> Vec<&String> {
        self.routes.iter().filter_map(|route| route.to.files.as_ref()?.data_sync.as_ref()).collect()
    }

    fn replicas(&self) -> i32 {
        self.replicas.unwrap_or(1)
    }

    fn with_replicas_of(&self, other: &Self) -> Self {
        let pod = PodSpec { uptime: other.pod.uptime.clone(), ..self.pod.clone() };
        Self { replicas: other.replicas, pod, ..self.clone() }
    }

    fn with_one_pod_at_most(&self) -> Self {
        Self { replicas: self.replicas.map(|asked| asked.min(1)), ..self.clone() }
    }
}

#[cfg(test)]
mod tests {
    use kube::CustomResourceExt as _;
    use serde_json::{Value, json};

    use super::{WebApp, WebAppSpec};

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

    /// What is said of pods stands among the app's own fields, and what is wrong with it is said as of these.
    #[test]
    fn a_spec_that_cannot_be_read_says_why() {
        for (spec, said) in [
            (json!({"ports": []}), "missing field `image`"),
            (json!({"image": "web:1"}), "missing field `ports`"),
            (json!({"image": 1, "ports": []}), "invalid type: integer `1`, expected a string"),
            (json!({"image": "web:1", "ports": [], "env": null}), "invalid type: null, expected a sequence"),
            (
                json!({"image": "web:1", "ports": [], "drain": {"timeout": 180}}),
                "invalid type: integer `180`, expected a string",
            ),
        ] {
            let error = serde_json::from_value::<WebAppSpec>(spec.clone()).expect_err("not a spec").to_string();
            assert_eq!(error, said, "{spec}");
        }
    }
}
