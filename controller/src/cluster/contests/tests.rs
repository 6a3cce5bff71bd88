//! A war over a Service, as an API server sees it that keeps one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use drover_crds::OwnerKind;
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc::unbounded_channel;

use super::*;
use crate::cluster::lease::Leadership;
use crate::cluster::{Cluster, Live};

/// The kinds that it serves.
fn kinds() -> Value {
    json!({"items": [{"metadata": {"name": ""}, "versions": [{"version": "v1", "resources": [{
        "resource": "services", "scope": "Namespaced", "verbs": ["list", "get", "patch", "watch"],
        "responseKind": {"group": "", "version": "v1", "kind": "Service"},
    }]}]}]})
}

fn key() -> ObjectKey {
    ObjectKey { group: String::new(), kind: "Service".into(), namespace: Some("shop".into()), name: "web".into() }
}

/// The Service, of which the owner's field manager holds these fields.
fn service(metadata: &Value, manager: &str, fields: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Service", "metadata": {
        "name": "web", "namespace": "shop", "uid": "1", "resourceVersion": "1",
        "labels": metadata["labels"], "annotations": metadata["annotations"],
        "managedFields": [{"manager": manager, "operation": "Apply", "fieldsType": "FieldsV1", "fieldsV1": fields}],
    }})
}

#[tokio::test]
async fn an_app_s_object_is_put_back_three_times_and_then_the_rival_is_asked_for() {
    let owner = Owner::new(OwnerKind::WebApp, "shop", "web");
    let manager = owner.field_manager();
    let (sent, stored) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(None::<Value>)));
    let server = tower::service_fn({
        let (sent, stored, manager) = (sent.clone(), stored.clone(), manager.clone());
        move |request: Request<Body>| {
            let (sent, stored, manager) = (sent.clone(), stored.clone(), manager.clone());
            async move {
                let (parts, body) = request.into_parts();
                let query = parts.uri.query().unwrap_or_default().to_owned();
                if query.contains("watch=true") {
                    std::future::pending::<()>().await;
                }
                let body = body.collect_bytes().await.expect("a body");
                let mut stored = stored.lock().expect("no panic");
                let (status, answer) = match parts.uri.path() {
                    "/api" => (200, kinds()),
                    "/apis" => (200, json!({"items": []})),
                    "/api/v1/services" => (200, json!({"metadata": {"resourceVersion": "1"}, "items": []})),
                    _ if parts.method == Method::PATCH && query.contains("dryRun") => {
                        assert!(!query.contains("force=true"), "it is to be refused: {query}");
                        let cause = json!({"reason": "FieldManagerConflict", "field": ".spec.selector",
                            "message": "conflict with \"meddler\" using v1"});
                        (
                            409,
                            json!({"kind": "Status", "status": "Failure", "reason": "Conflict", "code": 409,
                            "message": "Apply failed", "details": {"causes": [cause]}}),
                        )
                    }
                    _ if parts.method == Method::PATCH => {
                        sent.fetch_add(1, Ordering::Relaxed);
                        let body: Value = serde_json::from_slice(&body).expect("JSON");
                        let answer = service(&body["metadata"], &manager, &json!({"f:spec": {"f:selector": {}}}));
                        *stored = Some(answer.clone());
                        (200, answer)
                    }
                    _ => match &*stored {
                        Some(service) => (200, service.clone()),
                        None => {
                            (404, json!({"kind": "Status", "status": "Failure", "reason": "NotFound", "code": 404}))
                        }
                    },
                };
                let answer = Body::from(answer.to_string().into_bytes());
                Response::builder().status(status).body(answer).map_err(tower::BoxError::from)
            }
        }
    });
    let client = Client::new(server, "default");
    let hour = Duration::from_secs(3600);
    let cluster = Cluster::new(client, Leadership::sole(), hour, [0; 32], unbounded_channel().0);
    let acting = cluster.acting_as("shop", "drover");
    let wanted = |port: i64| {
        let json = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": "shop"},
            "spec": {"selector": {"app": "web"}, "ports": [{"port": port}]}});
        vec![Object::new(json, None).expect("an object")]
    };
    // Somebody takes the selector each time.
    let meddle = || {
        let metadata = stored.lock().expect("no panic").as_ref().expect("it was sent")["metadata"].clone();
        let taken = service(&metadata, &manager, &json!({"f:spec": {}}));
        cluster.index().observed(key(), Live::of(&serde_json::from_value(taken).expect("an object")));
    };

    acting.apply_set(&owner, wanted(80)).await.expect("it is applied");
    for round in 1..=6 {
        meddle();
        acting.apply_set(&owner, wanted(80)).await.expect("it is put back, or left");
        assert_eq!(sent.load(Ordering::Relaxed), 1 + round.min(3), "round {round}");
    }
    let (told, again) = acting.wars(&owner, [&key()].into_iter());
    assert_eq!(told.len(), 1);
    assert_eq!((&*told[0].object, &*told[0].reason), ("Service shop/web", "Contested"));
    for word in ["Service shop/web", "meddler", ".spec.selector", manager.as_str()] {
        assert!(told[0].message.contains(word), "{word} is not in: {}", told[0].message);
    }
    assert!(again.is_some_and(|again| again <= Duration::from_secs(60)), "{again:?}");

    // What is wanted otherwise is sent at once, and it is not known whether the war goes on.
    acting.apply_set(&owner, wanted(81)).await.expect("it is applied");
    assert_eq!(sent.load(Ordering::Relaxed), 5);
    assert_eq!(acting.wars(&owner, [&key()].into_iter()), (Vec::new(), None));
}
