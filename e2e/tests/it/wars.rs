//! Two that want the same field: what drover leaves to the other, and what becomes of a war.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use drover_e2e::{Hello, Namespace, eventually, ready, steadily};
use futures::TryStreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, WatchEvent, WatchParams};
use serde_json::json;

const SOON: Duration = Duration::from_secs(40);

/// A Deployment whose pods no node takes: nobody looks at them here.
fn deployment(name: &str, replicas: Option<u32>, image: &str) -> String {
    let replicas = replicas.map(|replicas| format!("  replicas: {replicas}\n")).unwrap_or_default();
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
{replicas}  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      nodeSelector: {{no-such: node}}
      containers: [{{name: main, image: {image}}}]
"
    )
}

fn autoscaler(of: &str, least: u32) -> String {
    format!(
        "apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {{name: {of}}}
spec: {{scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {of}}}, minReplicas: {least}, maxReplicas: 5}}
"
    )
}

async fn replicas(namespace: &Namespace, name: &str) -> i32 {
    let deployment = namespace.get::<Deployment>(name).await.expect("it is applied");
    deployment.spec.and_then(|spec| spec.replicas).expect("the API server fills it in")
}

async fn replicas_become(namespace: &Namespace, name: &str, wanted: i32) {
    eventually(&format!("Deployment {name} has {wanted} replicas"), SOON, async || {
        let now = replicas(namespace, name).await;
        if now == wanted { Ok(()) } else { Err(format!("{now}")) }
    })
    .await;
}

async fn replicas_stay(namespace: &Namespace, names: &[&str], wanted: i32) {
    steadily(&format!("{names:?} have {wanted} replicas"), Duration::from_secs(3), async || {
        for name in names {
            let now = replicas(namespace, name).await;
            if now != wanted {
                return Err(format!("{name}: {now}"));
            }
        }
        Ok(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_has_the_number_of_replicas_for_as_long_as_it_is_there() {
    let namespace = Namespace::new("autoscaled").await;
    let repo = namespace.repository("counts");
    let both = |replicas, image| {
        [
            ("counted.yaml", deployment("counted", replicas, image)),
            ("uncounted.yaml", deployment("uncounted", None, image)),
        ]
    };
    let push = |files: [(&'static str, String); 2], message: &str| {
        repo.push(&files.each_ref().map(|(name, text)| (*name, text.as_str())), message)
    };
    let first = push(both(Some(1), "a.test/a:1"), "One");
    let environment = namespace.follow(&repo).await;
    environment.has_applied(&first).await;
    for name in ["counted", "uncounted"] {
        namespace.apply(&autoscaler(name, 3));
        replicas_become(&namespace, name, 3).await;
    }
    replicas_stay(&namespace, &["counted", "uncounted"], 3).await;

    let second = push(both(Some(2), "a.test/a:2"), "Another image, and a number");
    environment.has_applied(&second).await;
    replicas_stay(&namespace, &["counted", "uncounted"], 3).await;

    // Without it git's number counts again; and when git says none any more, the number stays.
    namespace.kubectl(&["delete", "hpa", "counted"]);
    replicas_become(&namespace, "counted", 2).await;
    let third = push(both(None, "a.test/a:2"), "No number");
    environment.has_applied(&third).await;
    replicas_stay(&namespace, &["counted"], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_may_have_an_autoscaler() {
    let namespace = Namespace::new("scaledapp").await;
    let repo = namespace.repository("web");
    let hello = Hello::new("web", "1", &namespace.host());
    let first = repo.push(&[("web.yaml", &hello.yaml())], "Serve");
    let environment = namespace.follow(&repo).await;
    environment.has_applied(&first).await;
    let app = namespace.app("web");
    app.is_live_at(&first).await;
    namespace.apply(&autoscaler("web", 2));
    replicas_become(&namespace, "web", 2).await;
    replicas_stay(&namespace, &["web"], 2).await;

    let second = repo.push(&[("web.yaml", &hello.env("GREETING", "hi").yaml())], "Another release");
    app.is_live_at(&second).await;
    assert_eq!(replicas(&namespace, "web").await, 2);
    let off = hello_off(&namespace);
    let third = repo.push(&[("web.yaml", &off)], "Off");
    environment.has_applied(&third).await;
    replicas_become(&namespace, "web", 0).await;
}

fn hello_off(namespace: &Namespace) -> String {
    Hello::new("web", "1", &namespace.host()).spec("replicas: 0").yaml()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_war_is_slowed_and_told_and_ends_as_advised() {
    let namespace = Namespace::new("war").await;
    let repo = namespace.repository("maps");
    let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata:\n  other: x\n";
    let first = repo.push(&[("map.yaml", &format!("{map}  text: ours\n"))], "Ours");
    let environment = namespace.follow(&repo).await;
    environment.is_ready_at(&first).await;

    // Somebody who sets the field again whenever it is put back.
    let rounds = Arc::new(AtomicUsize::new(0));
    let rival = tokio::spawn({
        let (maps, rounds) = (namespace.api::<ConfigMap>(), rounds.clone());
        async move {
            let only = WatchParams::default().fields("metadata.name=a");
            let mut changes = std::pin::pin!(maps.watch(&only, "0").await.expect("anybody may watch it"));
            while let Some(change) = changes.try_next().await.expect("the watch goes on") {
                let (WatchEvent::Added(map) | WatchEvent::Modified(map)) = change else { continue };
                if map.data.unwrap_or_default().get("text").is_none_or(|text| text != "theirs") {
                    let params = PatchParams { field_manager: Some("rival".into()), ..PatchParams::default() };
                    let theirs = Patch::Merge(json!({"data": {"text": "theirs"}}));
                    maps.patch("a", &params, &theirs).await.expect("anybody may set it");
                    rounds.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    });
    let told = environment
        .comes_to("tells of the war", |status| {
            let ready = ready(&status.conditions)?;
            if ready.reason == "Contested" { Ok(ready.message) } else { Err(format!("{ready:?}")) }
        })
        .await;
    let manager = format!("drover-env.{}.prod", namespace.name());
    for word in [&format!("ConfigMap {}/a", namespace.name()), ".data.text", "rival", &manager] {
        assert!(told.contains(word), "{word} is not in: {told}");
    }
    let before = rounds.load(Ordering::Relaxed);
    assert!(before <= 5, "{before} rounds");
    steadily("the war is slow", Duration::from_secs(4), async || match rounds.load(Ordering::Relaxed) {
        now if now == before => Ok(()),
        now => Err(format!("{before} rounds became {now}")),
    })
    .await;
    let events =
        namespace.kubectl(&["get", "events", "-o", "jsonpath={range .items[*]}{.reason} {.message}{\"\\n\"}{end}"]);
    assert!(events.contains("Contested"), "no event tells of it: {events}");

    // What is advised: leave the field out.
    let second = repo.push(&[("map.yaml", map)], "Theirs");
    let status = environment.is_ready_at(&second).await;
    assert_eq!(ready(&status.conditions).expect("it is Ready").reason, "Applied");
    let left = namespace.get::<ConfigMap>("a").await.and_then(|map| map.data).unwrap_or_default();
    assert_eq!(left.get("text").map(String::as_str), Some("theirs"));
    rival.abort();
}
