//! Commits that wait for what they need.

use std::time::Duration;

use drover_crds::{Dependency, Environment as Resource};
use drover_e2e::{Environment, Namespace, Ready, ready, steadily};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::apply::{config_maps, exists, text_becomes};

fn dependency(api_version: &str, kind: &str, name: &str, condition: Option<&str>) -> Dependency {
    Dependency {
        api_version: api_version.into(),
        kind: kind.into(),
        name: name.into(),
        namespace: None,
        condition: condition.map(str::to_owned),
    }
}

/// Waits until it waits, and says all of `words`.
async fn waits(environment: &Environment<'_>, words: &[&str]) -> Ready {
    environment
        .comes_to(&format!("waits and says {words:?}"), |status| {
            let ready = ready(&status.conditions)?;
            let is_it = ready.status == "Unknown" && ready.reason == "AwaitingDependency";
            if is_it && words.iter().all(|word| ready.message.contains(word)) {
                Ok(ready)
            } else {
                Err(format!("{ready:?}"))
            }
        })
        .await
}

/// A Deployment that asks for no pod, which is at once as available as it can be.
const NOBODY: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: broker}
spec:
  replicas: 0
  selector: {matchLabels: {app: broker}}
  template:
    metadata: {labels: {app: broker}}
    spec: {containers: [{name: broker, image: example/broker}]}
";

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_waits_for_what_it_depends_on_and_what_is_applied_stays() {
    let namespace = Namespace::new("awaits").await;
    let repo = namespace.repository("awaits");
    let first = repo.push(&[("maps.yaml", &config_maps(&["a"], "one"))], "One");
    // Nobody asks the repository for an hour, so only an event can open the gate.
    let environment = Environment::create(&namespace, "prod", &repo, |spec| {
        spec.source.interval = Some(drover_crds::Duration::from_secs(3600));
        spec.depends_on = vec![dependency("apps/v1", "Deployment", "broker", Some("Available"))];
    })
    .await;
    waits(&environment, &["Deployment", "/broker is not there"]).await;
    assert!(!exists(&namespace, "a").await, "nothing is applied meanwhile");
    namespace.apply(NOBODY);
    environment.is_ready_at(&first).await;

    // What it waited for goes: what is applied stays in force, only a new commit waits.
    namespace.kubectl(&["delete", "deployment", "broker"]);
    let version = environment.resource().await.metadata.resource_version;
    steadily("nothing happens", Duration::from_secs(3), async || {
        let now = environment.resource().await.metadata.resource_version;
        if now == version { Ok(()) } else { Err(format!("{:?}", environment.status().await)) }
    })
    .await;
    let second = repo.push(&[("maps.yaml", &config_maps(&["a", "b"], "two"))], "Two");
    environment.look_now();
    waits(&environment, &[&second[..12], "/broker is not there"]).await;
    let maps = namespace.api::<ConfigMap>();
    maps.delete("a", &DeleteParams::default()).await.expect("a person may delete");
    text_becomes(&namespace, "a", Some("one")).await;
    assert!(!exists(&namespace, "b").await, "the second commit waits");

    // A condition that it has not, one of a kind that nobody serves, an object of its own, and one that it may not read: each is said.
    namespace.apply(NOBODY);
    environment.is_ready_at(&second).await;
    let depends_on = async |dependency: Value| {
        environment.patch(json!({"spec": {"dependsOn": [dependency]}})).await;
    };
    depends_on(json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "broker"})).await;
    waits(&environment, &["has no condition Ready, but", "Available"]).await;
    depends_on(json!({"apiVersion": "example.org/v1", "kind": "Ring", "name": "one"})).await;
    waits(&environment, &["the cluster serves no Ring of example.org/v1"]).await;
    depends_on(json!({"apiVersion": "v1", "kind": "ConfigMap", "name": "b"})).await;
    let own = environment.fails_with("DependencyCycle", Duration::from_secs(30)).await;
    assert!(own.stalled && own.message.contains("holds it itself"), "{own:?}");
    let elsewhere = Namespace::new("elsewhere").await;
    let there = elsewhere.name();
    depends_on(json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "broker", "namespace": there})).await;
    let refused = environment.fails_with("DependencyUnreadable", Duration::from_secs(30)).await;
    assert!(refused.message.contains(there) && refused.message.contains("drover"), "{refused:?}");
    assert!(exists(&namespace, "b").await, "what is applied stays");

    // Itself it cannot name at all.
    let itself = json!({"apiVersion": "drover.dev/v1alpha1", "kind": "Environment", "name": "prod"});
    let patch = Patch::Merge(json!({"spec": {"dependsOn": [itself]}}));
    let taken = namespace.api::<Resource>().patch("prod", &PatchParams::default(), &patch).await;
    let said = taken.expect_err("it would wait for itself").to_string();
    assert!(said.contains("would wait for itself for ever"), "{said}");
    environment.patch(json!({"spec": {"dependsOn": null}})).await;
    environment.is_ready_at(&second).await;
}
