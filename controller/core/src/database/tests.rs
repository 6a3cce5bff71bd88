use std::collections::BTreeMap;

use drover_crds::condition::Outcome;
use drover_crds::{DatabaseSpec, DatabaseStatus, OwnerKind};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::*;
use crate::engine::Engine;
use crate::sync::ErrandImage;
use crate::workload::App;
use crate::workload::pods::LiveClaim;

fn app() -> App {
    App { kind: OwnerKind::Database, namespace: "sky".into(), name: "db".into(), uid: Some("u".into()) }
}

fn spec(more: Value) -> DatabaseSpec {
    let mut spec = json!({
        "engine": {"postgres": {"version": "15", "extensions": ["q3c"]}},
        "image": "example.org/postgres:15",
        "claim": {"resources": {"requests": {"storage": "10Gi"}}},
    });
    let Value::Object(more) = more else { panic!("a map") };
    spec.as_object_mut().expect("a map").extend(more);
    serde_json::from_value(spec).expect("a spec")
}

fn mariadb(more: Value) -> DatabaseSpec {
    let mut spec = spec(more);
    spec.engine = serde_json::from_value(json!({"mariadb": {"version": "10.11"}})).expect("an engine");
    spec.image = "example.org/mariadb:10.11".into();
    spec
}

fn valid(more: Value) -> ValidatedDatabase {
    validate(&app(), &spec(more), &BTreeMap::new()).expect("valid")
}

fn refused(more: Value) -> String {
    validate(&app(), &spec(more), &BTreeMap::new()).expect_err("refused").to_string()
}

#[test]
fn what_a_database_is_made_of() {
    let names = json!({"database": "gleamx", "user": "gleamer"});
    for (database, golden) in [
        (valid(names.clone()), include_str!("golden.json")),
        (validate(&app(), &mariadb(names), &BTreeMap::new()).expect("valid"), include_str!("golden-mariadb.json")),
    ] {
        is_made_of(&database, golden);
    }
}

fn is_made_of(database: &ValidatedDatabase, golden: &str) {
    let all = children(database, &Connection::with("p@ss"), "hash", &ErrandImage::of_this_version(), None).in_order();
    let mut objects: Vec<Value> =
        all.into_iter().flatten().map(|object| Value::Object(object.json().clone())).collect();
    // The scripts are read where they are.
    let data = objects[1]["data"].as_object_mut().expect("settings");
    data.retain(|name, _| name.rsplit('.').next() != Some("sh"));
    let made = format!("{}\n", serde_json::to_string_pretty(&objects).expect("JSON"));
    assert!(made == golden, "the golden file is not what is built, which is:\n{made}");
}

#[test]
fn names_are_made_of_the_object_s_where_the_spec_has_none() {
    let app = App { name: "my-db".into(), ..app() };
    let database = validate(&app, &spec(json!({})), &BTreeMap::new()).expect("valid");
    assert_eq!((database.database.as_str(), database.user.as_str()), ("my_db", "my_db"));
    let named = validate(&app, &spec(json!({"database": "sky"})), &BTreeMap::new()).expect("valid");
    assert_eq!(named.user, "sky");
}

#[test]
fn what_cannot_be_is_refused_with_what_to_write() {
    assert!(refused(json!({"database": "postgres"})).contains("spec.database is \"postgres\""));
    assert!(refused(json!({"user": "Sky"})).contains("small letters"));
    let of_mariadb = |more| validate(&app(), &mariadb(more), &BTreeMap::new()).map_err(|invalid| invalid.to_string());
    assert!(of_mariadb(json!({"database": "pg_me", "user": "postgres"})).is_ok());
    assert!(of_mariadb(json!({"database": "mysql"})).is_err_and(|why| why.contains("the server's own")));
    assert!(of_mariadb(json!({"user": "root"})).is_err_and(|why| why.contains("the server's own")));
    assert!(of_mariadb(json!({"runAs": {"user": 0}})).is_err_and(|why| why.contains("MariaDB refuses to run as root")));
    let little = json!({"resources": {"limits": {"memory": "100Mi"}}});
    assert!(of_mariadb(little).is_err_and(|why| why.contains("give it 128Mi or more")));
    for engine in [json!({}), json!({"postgres": {"version": "15"}, "mariadb": {"version": "10.11"}})] {
        assert!(refused(json!({"engine": engine})).contains("exactly one of postgres or mariadb"));
    }
    assert!(refused(json!({"user": "pg_me"})).contains("the server's own"));
    assert!(refused(json!({"runAs": {"user": 0}})).contains("refuses to run as root"));
    assert!(refused(json!({"resources": {"limits": {"memory": "32Mi"}}})).contains("32Mi of memory"));
    let shared = json!({"claim": {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": "1Gi"}}}});
    assert!(refused(shared).contains("ReadWriteOnce"));
    let there = LiveClaim { storage: Some("20Gi".into()), ..LiveClaim::default() };
    let claims = BTreeMap::from([("db-database".to_owned(), there)]);
    let shrunk = validate(&app(), &spec(json!({})), &claims).expect_err("it would shrink").to_string();
    assert!(shrunk.contains("20Gi") && shrunk.contains("10Gi"), "{shrunk}");
    let unnamed = App { name: "2db".into(), ..app() };
    assert!(validate(&unnamed, &spec(json!({})), &BTreeMap::new()).is_err());
}

fn pod(container: &Value) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "db-0", "creationTimestamp": "2026-11-27T10:00:00Z"},
        "spec": {"containers": [{"name": "postgres", "image": "example.org/postgres:15"}]},
        "status": {"phase": "Running", "startTime": "2026-11-27T10:00:00Z", "containerStatuses": [container]},
    }))
    .expect("a pod")
}

fn container(started: bool, state: &Value, last: &Value) -> Value {
    json!({"name": "postgres", "image": "example.org/postgres:15", "imageID": "", "ready": false, "restartCount": 3,
        "started": started, "state": state, "lastState": last})
}

fn concluded(seen: &Seen) -> Outcome {
    let now = "2026-11-27T10:05:00Z".parse::<jiff::Timestamp>().expect("a time").as_second();
    conclude(&valid(json!({})), &mut DatabaseStatus::default(), seen, now).0
}

fn ended(message: &str) -> Seen {
    let terminated = json!({"terminated": {"exitCode": 1, "message": message}});
    let waiting = json!({"waiting": {"reason": "CrashLoopBackOff"}});
    Seen { server: None, pods: vec![pod(&container(false, &waiting, &terminated))] }
}

#[test]
fn a_server_serves_when_the_pod_of_the_newest_template_answers() {
    let running = |ready: bool| {
        let mut one = container(true, &json!({"running": {"startedAt": "2026-11-27T10:00:02Z"}}), &json!({}));
        one["ready"] = ready.into();
        pod(&one)
    };
    let seen = |generation: i64, updated: i64, ready: i64| {
        let status = json!({"replicas": 1, "observedGeneration": generation, "updatedReplicas": updated, "readyReplicas": ready});
        let server = json!({"metadata": {"name": "db", "generation": 2}, "status": status});
        Seen { server: serde_json::from_value(server).expect("a StatefulSet"), pods: vec![running(true)] }
    };
    assert!(matches!(concluded(&seen(2, 1, 1)), Outcome::Ready { .. }));
    for (generation, updated, ready) in [(1, 1, 1), (2, 0, 1), (2, 1, 0)] {
        assert!(matches!(concluded(&seen(generation, updated, ready)), Outcome::InProgress { .. }));
    }
    for pods in [Vec::new(), vec![running(false)]] {
        assert!(matches!(concluded(&Seen { pods, ..seen(2, 1, 1) }), Outcome::InProgress { .. }));
    }
    assert!(matches!(concluded(&Seen::default()), Outcome::InProgress { .. }));
}

#[test]
fn a_server_that_recovers_is_on_its_way_and_nothing_is_wrong() {
    let running = json!({"running": {"startedAt": "2026-11-27T10:00:02Z"}});
    let seen = Seen { server: None, pods: vec![pod(&container(false, &running, &json!({})))] };
    let Outcome::InProgress { reason, message } = concluded(&seen) else { panic!("on its way") };
    assert_eq!(reason, "Starting");
    assert!(message.contains("since 2026-11-27T10:00:02Z") && message.contains("recovers"), "{message}");
}

#[test]
fn why_a_server_does_not_start_is_a_sentence_with_what_to_do() {
    let Outcome::Stalled { reason, message } = concluded(&ended("drover:extension\nq3d\nhstore q3c\n")) else {
        panic!("only a person can change it")
    };
    assert_eq!(reason, "ExtensionMissing");
    assert_eq!(
        message,
        "The server does not start: the image has no extension q3d, which spec.engine.postgres.extensions asks for: it has hstore, q3c"
    );
    let Outcome::Failed { message, .. } = concluded(&ended("drover:full\n120\n1024\n")) else { panic!("it may pass") };
    assert!(message.contains("120 KiB of 1024 KiB free") && message.contains("requests.storage"), "{message}");
    let Outcome::Failed { reason, message } = concluded(&ended("drover:in-use\n")) else { panic!("it passes") };
    assert!(reason == "DataInUse" && message.contains("starts when that has ended"), "{message}");
    for (said, part) in [
        ("drover:no-programs\n15\ninitdb\n", "initdb is not in it"),
        ("drover:version\n14\n15\n", "has PostgreSQL 14"),
        ("drover:other-engine\n", "holds data that no PostgreSQL wrote"),
        ("drover:data-version\n14\n15\n", "write 14 there"),
        ("drover:owner\n70\n999\n", "runAs: {user: 70}"),
    ] {
        let Outcome::Stalled { message, .. } = concluded(&ended(said)) else { panic!("{said}") };
        assert!(message.contains(part), "{message}");
    }
    // What the script does not say is not repeated, nor are values that it cannot have.
    let Outcome::Failed { message, .. } = concluded(&ended("hunter2")) else { panic!("a pod that ends") };
    assert!(!message.contains("hunter2"), "{message}");
    let Outcome::Stalled { message, .. } = concluded(&ended("drover:version\n$(x)\n15\n")) else { panic!() };
    assert!(message.contains("PostgreSQL ?"), "{message}");
}

#[test]
fn what_is_said_of_a_mariadb_names_it_and_its_fields() {
    let said = said::said("drover:version\n11.4\n10.11\n", Engine::Mariadb).expect("it is known");
    assert_eq!(
        said.sentence,
        "the image has MariaDB 11.4, and spec.engine.mariadb.version asks for 10.11: name an image of that version"
    );
    let database = validate(&app(), &mariadb(json!({})), &BTreeMap::new()).expect("valid");
    let data = Connection::with("p@ss").data(&database);
    assert_eq!(data["url"].0, b"mysql://db:p%40ss@db.sky.svc:3306/db");
}
