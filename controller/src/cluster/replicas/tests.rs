//! What is sent of a number of replicas, and in which order, to an API server that keeps one Deployment.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use drover_crds::{Owner, OwnerKind, REPLICAS_MANAGER};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::cluster::lease::Leadership;
use crate::cluster::{Cluster, Live, Sight, mocked};

const OWNER: &str = "drover-env.shop.prod";

/// The API server.
#[derive(Default)]
struct Server {
    autoscaled: bool,
    deployment: Option<Value>,
    /// Who sent which number, in order.
    sent: Vec<(String, Option<i64>)>,
}

impl Server {
    fn answer(&mut self, method: &Method, path: &str, query: &str, body: &Value) -> (u16, Value) {
        let kind = |group: &str, version: &str, resource: &str, kind: &str| {
            json!({"metadata": {"name": group}, "versions": [{"version": version, "resources": [{
                "resource": resource, "scope": "Namespaced", "verbs": ["list", "get", "patch", "watch"],
                "responseKind": {"group": group, "version": version, "kind": kind},
            }]}]})
        };
        match path {
            "/api" => (200, json!({"items": []})),
            "/apis" => {
                let deployments = kind("apps", "v1", "deployments", "Deployment");
                let autoscalers = kind(AUTOSCALER.0, "v2", "horizontalpodautoscalers", AUTOSCALER.1);
                (200, json!({"items": [deployments, autoscalers]}))
            }
            "/apis/autoscaling/v2/horizontalpodautoscalers" => {
                let autoscaler = json!({"metadata": {"name": "web", "namespace": "shop", "uid": "2", "resourceVersion": "1"},
                    "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}}});
                let items: Vec<Value> = self.autoscaled.then_some(autoscaler).into_iter().collect();
                (200, json!({"metadata": {"resourceVersion": "1"}, "items": items}))
            }
            _ if method == Method::PATCH => {
                let manager = query.split('&').find_map(|pair| pair.strip_prefix("fieldManager=")).unwrap_or_default();
                let number = body["spec"]["replicas"].as_i64();
                self.sent.push((manager.to_owned(), number));
                if manager == OWNER {
                    let before = self.deployment.as_ref().and_then(|before| before["spec"]["replicas"].as_i64());
                    self.deployment = Some(deployment(body, number.or(before).unwrap_or(1), number.is_some()));
                }
                (200, self.deployment.clone().expect("it was made before"))
            }
            _ => match &self.deployment {
                Some(deployment) => (200, deployment.clone()),
                None => (
                    404,
                    json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "message": "", "code": 404}),
                ),
            },
        }
    }
}

/// The Deployment of which drover applied `like`, and holds the number or not.
fn deployment(like: &Value, replicas: i64, holds: bool) -> Value {
    let fields = if holds { json!({"f:replicas": {}, "f:template": {}}) } else { json!({"f:template": {}}) };
    json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {
        "name": "web", "namespace": "shop", "uid": "1", "resourceVersion": "1",
        "labels": like["metadata"]["labels"], "annotations": like["metadata"]["annotations"],
        "managedFields": [{"manager": OWNER, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": fields}}],
    }, "spec": {"replicas": replicas}})
}

struct Scene {
    server: Arc<Mutex<Server>>,
    acting: Acting,
    owner: Owner,
}

impl Scene {
    fn new(autoscaled: bool) -> Self {
        let server = Arc::new(Mutex::new(Server { autoscaled, ..Server::default() }));
        let client = mocked::client(&server, Server::answer);
        let cluster =
            Cluster::new(client, Leadership::sole(), Duration::from_secs(3600), [0; 32], unbounded_channel().0);
        let owner = Owner::new(OwnerKind::Environment, "shop", "prod");
        assert_eq!(owner.field_manager(), OWNER);
        Self { server, acting: cluster.acting_as("shop", "drover"), owner }
    }

    /// Waits until the autoscalers are seen.
    async fn seen(self) -> Self {
        let known = self.acting.shared.kinds.known().await.expect("the API server answers");
        let autoscalers = known.preferred(AUTOSCALER.0, AUTOSCALER.1).expect("they are served");
        while self.acting.watch(autoscalers, &self.owner) == Sight::Starting {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        self
    }

    /// Applies the Deployment with that number in git, and returns who sent which number for it.
    async fn apply(&self, replicas: Option<i64>) -> Vec<(String, Option<i64>)> {
        let mut wanted = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "namespace": "shop"}, "spec": {"template": {}}});
        if let Some(replicas) = replicas {
            wanted["spec"]["replicas"] = replicas.into();
        }
        let object = Object::new(wanted, None).expect("an object");
        let live = self.acting.apply(&self.owner, &object, true).await.expect("it is applied");
        assert_eq!(live.applied, Some(self.acting.hash(&object)), "what git says is what was applied");
        std::mem::take(&mut self.server.lock().expect("no panic").sent)
    }

    /// Somebody sets the number; the watch shows it.
    fn scale(&self, replicas: i64) {
        let mut server = self.server.lock().expect("no panic");
        let before = server.deployment.clone().expect("it was made before");
        let scaled = deployment(&before, replicas, false);
        let live = Live::of(&serde_json::from_value(scaled.clone()).expect("an object"));
        let key = ObjectKey {
            group: "apps".into(),
            kind: "Deployment".into(),
            namespace: Some("shop".into()),
            name: "web".into(),
        };
        self.acting.shared.index.observed(key, live);
        server.deployment = Some(scaled);
    }
}

fn owner(number: Option<i64>) -> (String, Option<i64>) {
    (OWNER.to_owned(), number)
}

fn handed_over(number: i64) -> (String, Option<i64>) {
    (REPLICAS_MANAGER.to_owned(), Some(number))
}

#[tokio::test]
async fn before_autoscalers_are_seen_no_number_is_sent() {
    let scene = Scene::new(true);
    let wanted = json!({"apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "shop"}, "spec": {"replicas": 3}});
    let object = Object::new(wanted, None).expect("an object");
    let refused = scene.acting.apply(&scene.owner, &object, true).await.expect_err("they are being listed");
    assert!(!refused.is_terminal() && refused.to_string().contains("HorizontalPodAutoscaler"), "{refused}");
    assert_eq!(scene.server.lock().expect("no panic").sent, []);
}

#[tokio::test]
async fn without_an_autoscaler_the_number_is_git_s() {
    let scene = Scene::new(false).seen().await;
    assert_eq!(scene.apply(Some(3)).await, [owner(Some(3))]);
    scene.scale(7);
    assert_eq!(scene.apply(Some(3)).await, [owner(Some(3))], "it is put back");
    assert_eq!(scene.apply(None).await, [handed_over(3), owner(None)], "it does not fall to 1");
    assert_eq!(scene.apply(None).await, [owner(None)]);
    assert_eq!(scene.apply(Some(2)).await, [owner(Some(2))]);
}

#[tokio::test]
async fn an_autoscaler_takes_the_number_over_and_keeps_it() {
    let scene = Scene::new(true).seen().await;
    assert_eq!(scene.apply(Some(3)).await, [owner(Some(3))], "a new one begins with git's number");
    assert_eq!(scene.apply(Some(4)).await, [handed_over(3), owner(None)]);
    scene.scale(7);
    assert_eq!(scene.apply(Some(5)).await, [owner(None)]);
}

#[tokio::test]
async fn nothing_wakes_what_an_autoscaler_switched_off_and_git_wakes_what_it_did() {
    let scene = Scene::new(true).seen().await;
    assert_eq!(scene.apply(Some(3)).await, [owner(Some(3))]);
    scene.scale(0);
    assert_eq!(scene.apply(Some(4)).await, [owner(None)], "KEDA scales to zero");
    scene.scale(2);
    assert_eq!(scene.apply(Some(0)).await, [owner(Some(0))]);
    assert_eq!(scene.apply(Some(3)).await, [owner(Some(3))], "no autoscaler wakes it");
}
