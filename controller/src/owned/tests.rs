//! What an owner's objects go through, as an API server sees it that keeps them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use drover_core::plan::{Elsewhere, Mandate};
use drover_core::render::{Object, ObjectKey};
use drover_crds::{ANNOTATION_DEFINITION, LABEL_OWNER, OwnerKind};
use http::Method;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::cluster::lease::Leadership;
use crate::cluster::{Live, Sight, mocked};

const DEFINITION: &str = "d1";
const INVENTORY: &str = "configmaps/inventory.app.shop.web-0";

/// The API server: Services, and drover's ConfigMaps.
#[derive(Default)]
struct Server {
    /// By the end of their paths, as `services/web`.
    objects: BTreeMap<String, Value>,
    /// What was written, the rehearsals aside: the method and the end of the path.
    writes: Vec<String>,
    /// What is refused, once: the method and the end of the path.
    refused: Option<String>,
    versions: u64,
}

impl Server {
    fn answer(&mut self, method: &Method, path: &str, query: &str, body: &Value) -> (u16, Value) {
        let end = path.rsplitn(3, '/').take(2).collect::<Vec<_>>();
        let end = format!("{}/{}", end[1], end[0]);
        match path {
            "/api" => return (200, kinds()),
            "/apis" => return (200, json!({"items": []})),
            "/api/v1/services" => return (200, json!({"metadata": {"resourceVersion": "1"}, "items": []})),
            "/api/v1/namespaces/drover-system/configmaps" if method == Method::GET => {
                let maps = self.objects.iter().filter(|(end, _)| end.starts_with("configmaps/"));
                return (200, json!({"metadata": {}, "items": maps.map(|(_, map)| map).collect::<Vec<_>>()}));
            }
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/webapps.drover.dev" => {
                return (200, json!({"metadata": {"name": "webapps.drover.dev", "uid": DEFINITION}}));
            }
            "/api/v1/namespaces/shop" => return (200, json!({"metadata": {"name": "shop"}})),
            _ => {}
        }
        if query.contains("dryRun") {
            assert!(!query.contains("force=true"), "it is to be refused: {query}");
            let message = "conflict with \"meddler\" using v1";
            let cause = json!({"reason": "FieldManagerConflict", "field": ".spec.selector", "message": message});
            return (
                409,
                json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409,
                "message": "Apply failed", "details": {"causes": [cause]}}),
            );
        }
        let name = if method == Method::POST { body["metadata"]["name"].as_str().unwrap_or_default() } else { "" };
        let end = if method == Method::POST { format!("configmaps/{name}") } else { end };
        let found = self.objects.get(&end).cloned();
        let version = |object: &Value| object["metadata"]["resourceVersion"].clone();
        let is_another = match *method {
            Method::POST => found.is_some(),
            Method::PUT => found.as_ref().is_none_or(|found| version(found) != version(body)),
            _ => false,
        };
        if is_another {
            return (409, json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409}));
        }
        if method != Method::GET {
            let write = format!("{method} {end}");
            if self.refused.take_if(|refused| *refused == write).is_some() {
                return (500, json!({"kind": "Status", "status": "Failure", "reason": "InternalError", "code": 500}));
            }
            self.writes.push(write);
        }
        if method == Method::GET || method == Method::DELETE {
            if method == Method::DELETE {
                self.objects.remove(&end);
            }
            let absent = json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404});
            return found.map_or((404, absent), |found| (200, found));
        }
        self.versions += 1;
        let mut object = body.clone();
        let uid =
            found.map_or_else(|| json!(format!("uid-{}", self.versions)), |found| found["metadata"]["uid"].clone());
        object["metadata"]["uid"] = uid;
        object["metadata"]["resourceVersion"] = json!(self.versions.to_string());
        let manager = query.split('&').find_map(|pair| pair.strip_prefix("fieldManager=")).unwrap_or_default();
        object["metadata"]["managedFields"] = held(manager, &json!({"f:spec": {"f:selector": {}}}));
        self.objects.insert(end, object.clone());
        (200, object)
    }
}

fn held(manager: &str, fields: &Value) -> Value {
    json!([{"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields}])
}

/// The kinds that it serves.
fn kinds() -> Value {
    json!({"items": [{"metadata": {"name": ""}, "versions": [{"version": "v1", "resources": [{
        "resource": "services", "scope": "Namespaced", "verbs": ["list", "get", "patch", "watch"],
        "responseKind": {"group": "", "version": "v1", "kind": "Service"},
    }]}]}]})
}

fn key(name: &str) -> ObjectKey {
    ObjectKey { group: String::new(), kind: "Service".into(), namespace: Some("shop".into()), name: name.into() }
}

/// Services of these names and ports.
fn services(wanted: &[(&str, i64)]) -> Vec<Object> {
    let service = |(name, port): &(&str, i64)| {
        let metadata = json!({"name": name, "namespace": "shop", "annotations": {ANNOTATION_DEFINITION: DEFINITION}});
        let json = json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata,
            "spec": {"selector": {"app": "web"}, "ports": [{"port": port}]}});
        Object::new(json, None).expect("an object")
    };
    wanted.iter().map(service).collect()
}

/// An app and what it knows, all of which ends with its process.
struct Scene {
    server: Arc<Mutex<Server>>,
    cluster: Cluster,
    inventories: Inventories,
    acting: Acting,
    owner: Owner,
}

impl Scene {
    async fn new() -> Self {
        let server = Arc::new(Mutex::new(Server::default()));
        let client = mocked::client(&server, Server::answer);
        let hour = Duration::from_secs(3600);
        let cluster = Cluster::new(client.clone(), Leadership::sole(), hour, [0; 32], unbounded_channel().0);
        let inventories = Inventories::load(client, "drover-system").await.expect("a list");
        let (acting, owner) = (cluster.acting_as("shop", "drover"), Owner::new(OwnerKind::WebApp, "shop", "web"));
        Self { server, cluster, inventories, acting, owner }
    }

    fn server(&self) -> MutexGuard<'_, Server> {
        self.server.lock().expect("no panic")
    }

    fn parent(&self) -> Parent<'_> {
        let Self { cluster, inventories, acting, owner, .. } = self;
        Parent { owned: Owned { cluster, inventories, acting, owner }, definition: DEFINITION }
    }

    /// One turn in which these are wanted.
    async fn turn(&self, wanted: &[(&str, i64)]) -> Result<(), ApiError> {
        let objects = services(wanted);
        self.sees(&objects).await;
        let plan = self.parent().plan(&objects, &BTreeSet::new()).await?;
        self.parent().write_ahead(&plan).await?;
        self.parent().carry_out(&plan, &objects).await.map(drop)
    }

    /// The watches show the kinds of these, as they do before any owner of them has its turn.
    async fn sees(&self, objects: &[Object]) {
        for object in objects {
            let Ok(kind) = self.acting.kind(object).await else { return };
            while self.cluster.watch(&kind, &self.owner) == Sight::Starting {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }

    /// What was written since the last time.
    fn written(&self) -> Vec<String> {
        std::mem::take(&mut self.server().writes)
    }

    /// The names of the objects that are written down.
    fn recorded(&self) -> Vec<String> {
        let record = self.inventories.get(&self.owner).unwrap_or_default();
        record.entries.iter().map(|entry| entry.key.name.clone()).collect()
    }

    async fn clean_up(&self) -> Result<Vec<String>, Unfinished> {
        let Self { cluster, inventories, owner, .. } = self;
        let mandate = Mandate::Children { app_is_gone: true };
        clean_up(&Estate { cluster, inventories, owner, mandate, elsewhere: &|_| Elsewhere::Nothing, rank: |_| 0 })
            .await
    }
}

#[tokio::test]
async fn what_is_made_is_written_down_first_and_once() {
    let scene = Scene::new().await;
    scene.turn(&[("web", 80)]).await.expect("a turn");
    assert_eq!(scene.written(), [&*format!("POST {INVENTORY}"), "PATCH services/web"]);
    scene.turn(&[("web", 80)]).await.expect("a turn");
    assert_eq!(scene.written(), [""; 0], "nothing changed");
    scene.turn(&[("web", 81)]).await.expect("a turn");
    assert_eq!(scene.written(), ["PATCH services/web"], "the same set");
    scene.turn(&[("web", 81), ("more", 80)]).await.expect("a turn");
    assert_eq!(scene.written(), [&*format!("PUT {INVENTORY}"), "PATCH services/more"]);
    let record = scene.inventories.get(&scene.owner).expect("a record");
    let uids: Vec<_> = record.entries.iter().map(|entry| (entry.key.name.as_str(), entry.uid.is_some())).collect();
    assert_eq!(uids, [("more", false), ("web", true)], "what was known then got in");
    scene.turn(&[("web", 81)]).await.expect("a turn");
    assert_eq!(scene.written(), ["DELETE services/more", &*format!("PUT {INVENTORY}")]);
    assert_eq!(scene.recorded(), ["web"]);
}

#[tokio::test]
async fn nothing_is_made_that_could_not_be_written_down() {
    let scene = Scene::new().await;
    let both = [("web", 80), ("more", 80)];
    for (method, wanted) in [("POST", &both[..1]), ("PUT", &both)] {
        let write = format!("{method} {INVENTORY}");
        scene.server().refused = Some(write.clone());
        scene.turn(wanted).await.expect_err("it is refused");
        assert_eq!(scene.written(), [""; 0]);
        scene.turn(wanted).await.expect("a turn");
        assert_eq!(scene.written().first(), Some(&write));
    }
}

/// A write that gets no answer may have been made: the next one meets its version, and reads it.
#[tokio::test]
async fn a_record_that_was_written_unseen_is_read_again() {
    let scene = Scene::new().await;
    let unaware = Inventories::load(scene.cluster.client(), "drover-system").await.expect("a list");
    scene.turn(&[("web", 80)]).await.expect("a turn");
    let scene = Scene { inventories: unaware, ..scene };
    assert_eq!(scene.recorded(), [""; 0]);
    drop(scene.written());
    scene.turn(&[("web", 80)]).await.expect_err("a conflict");
    assert_eq!(scene.recorded(), ["web"]);
    scene.turn(&[("web", 80)]).await.expect("a turn");
    assert_eq!(scene.written(), [""; 0], "it is as it should be");
    scene.inventories.remove(&scene.owner).await.expect("it is removed");
    assert_eq!(scene.written(), [format!("DELETE {INVENTORY}")]);
    scene.inventories.remove(&scene.owner).await.expect("there is none");
    assert_eq!(scene.written(), [""; 0]);
    // One that may have been made goes with its owner too.
    scene.server().refused = Some(format!("POST {INVENTORY}"));
    scene.turn(&[("web", 80)]).await.expect_err("no answer");
    scene.inventories.remove(&scene.owner).await.expect("it is removed");
    assert_eq!(scene.written(), [format!("DELETE {INVENTORY}")]);
}

/// As after a restore of the store, which the API server's lists do not show at once.
#[tokio::test]
async fn a_record_that_was_only_listed_is_read_by_itself_before_it_is_believed() {
    let mut scene = Scene::new().await;
    scene.turn(&[("web", 80)]).await.expect("a turn");
    scene.inventories = Inventories::load(scene.cluster.client(), "drover-system").await.expect("a list");
    scene.server().objects.remove(INVENTORY).expect("it is there");
    scene.written();
    scene.turn(&[("web", 80)]).await.expect("a turn");
    assert_eq!(scene.written().first().map(String::as_str), Some(format!("POST {INVENTORY}").as_str()));
    scene.turn(&[("web", 80)]).await.expect("a turn");
    assert_eq!(scene.written(), [""; 0], "it is known now");
}

#[tokio::test]
async fn only_what_is_written_down_is_deleted_whatever_labels_say() {
    let scene = Scene::new().await;
    scene.turn(&[("web", 80), ("more", 80)]).await.expect("a turn");
    // A copy of a child, with its label and its field manager.
    let mut copy = scene.server().objects["services/more"].clone();
    copy["metadata"]["name"] = json!("copy");
    scene.cluster.index().observed(key("copy"), Live::of(&serde_json::from_value(copy).expect("an object")));
    drop(scene.written());
    scene.turn(&[("web", 80)]).await.expect("a turn");
    assert_eq!(scene.written(), ["DELETE services/more", &*format!("PUT {INVENTORY}")]);
    assert_eq!(scene.clean_up().await.expect("it is cleaned up"), [""; 0]);
    assert_eq!(scene.written(), ["DELETE services/web"]);
}

#[tokio::test]
async fn what_cannot_be_deleted_now_keeps_nothing_else_from_going() {
    let scene = Scene::new().await;
    scene.turn(&[("a", 80), ("b", 80)]).await.expect("a turn");
    drop(scene.written());
    scene.server().refused = Some("DELETE services/a".into());
    scene.clean_up().await.expect_err("one is left");
    assert_eq!(scene.written(), ["DELETE services/b"]);
    scene.cluster.index().gone(&key("b"), None);
    scene.clean_up().await.expect("the rest goes");
    assert_eq!(scene.written(), ["DELETE services/a"]);
}

/// The apply got no answer, and the watch does not show yet what it made.
#[tokio::test]
async fn what_nobody_saw_made_is_asked_for_before_it_counts_as_absent() {
    for is_gone in [false, true] {
        let scene = Scene::new().await;
        scene.turn(&[("web", 80), ("more", 80)]).await.expect("a turn");
        drop(scene.written());
        scene.cluster.index().gone(&key("more"), None);
        if is_gone {
            scene.clean_up().await.expect("it is cleaned up");
        } else {
            scene.turn(&[("web", 80)]).await.expect("a turn");
        }
        assert_eq!(scene.written()[0], "DELETE services/more");
    }
}

#[tokio::test]
async fn what_was_made_under_another_definition_stays() {
    let scene = Scene::new().await;
    scene.turn(&[("web", 80)]).await.expect("a turn");
    drop(scene.written());
    scene.server().objects.get_mut("services/web").expect("a Service")["metadata"]["annotations"]
        [ANNOTATION_DEFINITION] = json!("d0");
    scene.clean_up().await.expect("nothing is to be done");
    assert_eq!(scene.written(), [""; 0]);
    // The whole app was.
    let parent = Parent { definition: "d0", ..scene.parent() };
    let plan = parent.plan(&services(&[("web", 80)]), &BTreeSet::new()).await.expect("a plan");
    parent.write_ahead(&plan).await.expect("it is written");
    assert_eq!(scene.written(), [format!("PUT {INVENTORY}")]);
    scene.clean_up().await.expect("nothing is to be done");
    assert_eq!(scene.written(), [""; 0]);
}

#[tokio::test]
async fn an_app_s_object_is_put_back_three_times_and_then_the_rival_is_asked_for() {
    let scene = Scene::new().await;
    let manager = scene.owner.field_manager();
    // Somebody takes the selector each time.
    let meddle = || {
        let mut taken = scene.server().objects["services/web"].clone();
        assert_eq!(taken["metadata"]["labels"][LABEL_OWNER], scene.owner.label());
        taken["metadata"]["managedFields"] = held(&manager, &json!({"f:spec": {}}));
        scene.cluster.index().observed(key("web"), Live::of(&serde_json::from_value(taken).expect("an object")));
    };
    scene.turn(&[("web", 80)]).await.expect("it is applied");
    drop(scene.written());
    for round in 1..=6 {
        meddle();
        scene.turn(&[("web", 80)]).await.expect("it is put back, or left");
        assert_eq!(scene.written().len(), usize::from(round <= 3), "round {round}");
    }
    let (told, again) = scene.parent().wars();
    assert_eq!(told.len(), 1);
    assert_eq!((&*told[0].object, &*told[0].reason), ("Service shop/web", "Contested"));
    for word in ["Service shop/web", "meddler", ".spec.selector", manager.as_str()] {
        assert!(told[0].message.contains(word), "{word} is not in: {}", told[0].message);
    }
    assert!(again.is_some_and(|again| again <= Duration::from_secs(60)), "{again:?}");

    // What is wanted otherwise is sent at once, and it is not known whether the war goes on.
    scene.turn(&[("web", 81)]).await.expect("it is applied");
    assert_eq!(scene.written(), ["PATCH services/web"]);
    assert_eq!(scene.parent().wars(), (Vec::new(), None));
}
