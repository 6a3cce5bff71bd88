//! Commits that wait for what they need; and four repositories of one system in one namespace.

use std::time::Duration;

use drover_crds::{DeletionPolicy, Dependency, Environment as Resource};
use drover_e2e::{Environment, GitRepo, Namespace, Ready, eventually, ready, steadily};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
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

/// A part of the system, in a repository of its own.
struct Part<'a> {
    repo: GitRepo,
    environment: Environment<'a>,
}

/// Makes an Environment of that name, which follows a repository of its own and waits for the Environments `needs`.
async fn part<'a>(namespace: &'a Namespace, name: &str, yaml: &str, needs: &[&str]) -> Part<'a> {
    let repo = namespace.repository(name);
    repo.push(&[("part.yaml", yaml)], name);
    let environment = Environment::create(namespace, name, &repo, |spec| {
        spec.deletion_policy = Some(DeletionPolicy::Delete);
        let of = |name: &&str| dependency("drover.dev/v1alpha1", "Environment", name, None);
        spec.depends_on = needs.iter().map(of).collect();
    })
    .await;
    Part { repo, environment }
}

impl Part<'_> {
    fn push(&self, yaml: &str) -> String {
        self.repo.push(&[("part.yaml", yaml)], "Another")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn four_repositories_of_one_system_share_a_namespace() {
    let namespace = Namespace::new("four").await;
    let secret =
        "---\napiVersion: v1\nkind: Secret\nmetadata: {name: keys, annotations: {drover.dev/generate: PASSWORD}}\n";
    let data = config_maps(&["database"], "one") + secret;
    let both = ["data", "broker"];
    // The last comes first: each waits, and says for what.
    let frontend = part(&namespace, "frontend", &config_maps(&["pages", "routes"], "one"), &["rest-api"]).await;
    waits(&frontend.environment, &["Environment", "/rest-api is not there"]).await;
    let rest_api = part(&namespace, "rest-api", &config_maps(&["api", "jobs", "settings"], "one"), &both).await;
    waits(&rest_api.environment, &["/data is not there", "(and 1 more)"]).await;
    let broker = part(&namespace, "broker", &config_maps(&["broker"], "one"), &[]).await;
    broker.environment.is_ready_at(&broker.repo.head()).await;
    waits(&rest_api.environment, &["/data is not there"]).await;
    assert!(!exists(&namespace, "api").await && !exists(&namespace, "pages").await);
    let data = part(&namespace, "data", &data, &[]).await;
    for part in [&data, &rest_api, &frontend] {
        part.environment.is_ready_at(&part.repo.head()).await;
    }
    let password = async || {
        let keys = namespace.get::<Secret>("keys").await.expect("the keys are there");
        keys.data.expect("it has some")["PASSWORD"].0.clone()
    };
    let made = password().await;

    // Nobody takes what another has, however it is written, and the other parts go on.
    let stolen = broker.push(&(config_maps(&["broker"], "two") + &config_maps(&["database"], "mine")));
    broker.environment.complains_of(&["ConfigMap", "/database", "Environment", "data"]).await;
    assert_ne!(broker.environment.status().await.applied.map(|applied| applied.commit), Some(stolen));
    text_becomes(&namespace, "database", Some("one")).await;
    let given_back = broker.push(&config_maps(&["broker"], "two"));
    broker.environment.is_ready_at(&given_back).await;

    // One that is broken stops those that wait for it, with their new commits alone, and no other.
    frontend.push("kind: [");
    frontend.environment.complains_of(&["part.yaml"]).await;
    let fewer = rest_api.push(&config_maps(&["api", "jobs"], "two"));
    rest_api.environment.is_ready_at(&fewer).await;
    eventually("what left its repository is gone", Duration::from_secs(30), async || {
        if exists(&namespace, "settings").await { Err("it is there".to_owned()) } else { Ok(()) }
    })
    .await;
    broker.push("kind: [");
    broker.environment.complains_of(&["part.yaml"]).await;
    let waiting = rest_api.push(&config_maps(&["api", "jobs"], "three"));
    waits(&rest_api.environment, &[&waiting[..12], "/broker is not Ready yet", "part.yaml"]).await;
    text_becomes(&namespace, "api", Some("two")).await;
    let more = data.push(&(config_maps(&["database", "schema"], "two") + secret));
    data.environment.is_ready_at(&more).await;
    broker.environment.is_ready_at(&broker.push(&config_maps(&["broker"], "three"))).await;
    rest_api.environment.is_ready_at(&waiting).await;

    // Where they wait for each other, that is named whole.
    let around = json!([{"apiVersion": "drover.dev/v1alpha1", "kind": "Environment", "name": "frontend"}]);
    data.environment.patch(json!({"spec": {"dependsOn": around}})).await;
    let circle = data.environment.fails_with("DependencyCycle", Duration::from_secs(30)).await;
    let name = namespace.name();
    let line = format!(
        "Environment {name}/data waits for Environment {name}/frontend, which waits for Environment {name}/rest-api, which waits for Environment {name}/data"
    );
    assert!(circle.stalled && circle.message.contains(&line), "{circle:?}");
    data.environment.patch(json!({"spec": {"dependsOn": null}})).await;
    data.environment.is_ready_at(&more).await;
    frontend.environment.is_ready_at(&frontend.push(&config_maps(&["pages", "routes"], "two"))).await;

    // One that goes takes its own along, and what is not made twice stays as it was made.
    frontend.environment.delete().await;
    eventually("its objects go", Duration::from_secs(30), async || {
        let left = [exists(&namespace, "pages").await, exists(&namespace, "routes").await];
        if left == [false, false] { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
    for (name, text) in
        [("database", "two"), ("schema", "two"), ("broker", "three"), ("api", "three"), ("jobs", "three")]
    {
        text_becomes(&namespace, name, Some(text)).await;
    }
    assert_eq!(password().await, made);
}
