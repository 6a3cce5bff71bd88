//! A hundred Environments with a repository each, of which ten fail for ever: what do the other ninety feel of it?
//!
//! Rounds with the ten at work and rounds with the ten suspended take turns, so that what the machine does otherwise falls on both.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use drover_crds::{Environment as Resource, EnvironmentSpec, LocalObjectReference, Webhook};
use drover_e2e::{Environment, GitRepo, Namespace, Testbed, eventually};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt as _;
use kube::api::{ListParams, PostParams, WatchEvent, WatchParams};
use serde_json::json;

use crate::figures::{Row, milliseconds, percentile};

const GOOD: usize = 90;
const ROUNDS: usize = 3;
/// Of one good Environment, with a push of its own, and of a fetch that is never answered.
const PATIENCE: Duration = Duration::from_secs(60);

/// Pushes to each of the good ones in turn, in rounds with and without the failing ones.
pub async fn ten_of_a_hundred(bed: &Testbed) -> Vec<Row> {
    let namespace = Namespace::new("crowd").await;
    namespace.apply(&namespace.git_server().secret_for_https("git-read"));
    namespace.apply(&namespace.git_server().secret_for_https_with_password("wrong", "swordfish"));
    let webhook = Environment::webhook_spec(&namespace);

    let mut good = Vec::new();
    for number in 0..GOOD {
        let name = format!("good-{number}");
        let repo = namespace.repository(&name);
        let commit = repo.push(&[("map.yaml", &map(&name, "first"))], "first");
        create(&namespace, &name, spec(&repo, &webhook)).await;
        good.push((Environment::named(&namespace, &format!("good-{number}")), repo, name, commit));
    }
    for (environment, _, _, commit) in &good {
        environment.is_ready_at(commit).await;
    }
    // Somebody listens there and never says a word.
    let silent = TcpListener::bind((bed.host_ip(), 0)).expect("the host's address has a free port");
    let silent = silent.local_addr().map(|address| (silent, address)).expect("a bound socket has an address");
    let failing = failing(&namespace, bed, &webhook, &format!("https://{}/shop.git", silent.1)).await;

    let (mut beside, mut alone) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for (at_work, samples) in [(true, &mut beside), (false, &mut alone)] {
            for (environment, words) in &failing {
                environment.patch(json!({"spec": {"suspend": !at_work, "suspendReason": null}})).await;
                if at_work && round == 0 {
                    says(environment, words).await;
                }
            }
            for (environment, repo, name, _) in &good {
                let text = format!("round-{round}-{at_work}");
                repo.push(&[("map.yaml", &map(name, &text))], &text);
                samples.push(applied(&namespace, environment, repo, name, &text).await);
            }
        }
    }
    drop(silent);
    let (with, without) = (percentile(&beside, 99), percentile(&alone, 99));
    vec![
        Row::new(
            format!("push → applied beside 10 of 100 that fail for ever: p50 / p99 of {}", beside.len()),
            format!("{} / {}", milliseconds(percentile(&beside, 50)), milliseconds(with)),
        ),
        Row::new(
            "the same while these are suspended",
            format!("{} / {}", milliseconds(percentile(&alone, 50)), milliseconds(without)),
        ),
        Row::new("p99 with them / without them", format!("{:.2}", with.as_secs_f64() / without.as_secs_f64())),
    ]
}

/// Ten that fail, each with what its status comes to say. They are looked at as often as the API allows.
async fn failing<'a>(
    namespace: &'a Namespace,
    bed: &Testbed,
    webhook: &Webhook,
    silent: &str,
) -> Vec<(Environment<'a>, &'static [&'static str])> {
    let mut made = Vec::new();
    for number in 0..10 {
        let name = format!("failing-{number}");
        let repo = namespace.repository(&name);
        let image = format!(
            "apiVersion: drover.dev/v1alpha1\nkind: WebApp\nmetadata: {{name: missing-{number}}}\nspec: {{image: \"{}/nobody/pushed-this:1\", ports: [{{name: http, port: 80}}]}}\n",
            bed.registry()
        );
        let (file, words): (&str, &'static [&'static str]) = match number % 4 {
            0 => (&map(&name, "a"), &["password"]),
            1 => (&map(&name, "a"), &["answer"]),
            2 => ("kind: [", &["map.yaml:"]),
            _ => (&image, &["pushed-this"]),
        };
        repo.push(&[("map.yaml", file)], "Fail");
        let mut spec = spec(&repo, webhook);
        spec.source.interval = Some(drover_crds::Duration::from_secs(5));
        match number % 4 {
            0 => spec.source.secret_ref = Some(LocalObjectReference { name: "wrong".into() }),
            1 => silent.clone_into(&mut spec.source.url),
            _ => {}
        }
        spec.suspend = Some(true);
        create(namespace, &name, spec).await;
        made.push((Environment::named(namespace, &name), words));
    }
    made
}

fn spec(repo: &GitRepo, webhook: &Webhook) -> EnvironmentSpec {
    let mut spec = Environment::spec(repo);
    spec.source.interval = Some(drover_crds::Duration::from_secs(3600));
    spec.source.webhook = Some(webhook.clone());
    spec
}

async fn create(namespace: &Namespace, name: &str, spec: EnvironmentSpec) {
    let created = namespace.api::<Resource>().create(&PostParams::default(), &Resource::new(name, spec)).await;
    created.unwrap_or_else(|error| panic!("Environment {name} was refused: {error}"));
}

fn map(name: &str, text: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\ndata: {{text: {text}}}\n")
}

/// Waits until it fails as it is meant to.
async fn says(environment: &Environment<'_>, words: &[&str]) {
    eventually(&format!("an Environment that fails says {words:?}"), 2 * PATIENCE, async || {
        let status = environment.status().await;
        let said = serde_json::to_string(&(&status.conditions, &status.failures)).expect("it is plain data");
        if words.iter().all(|word| said.contains(word)) { Ok(()) } else { Err(said) }
    })
    .await;
}

/// From the webhook's request until the API server has the ConfigMap with that text.
async fn applied(
    namespace: &Namespace,
    environment: &Environment<'_>,
    repo: &GitRepo,
    name: &str,
    text: &str,
) -> Duration {
    let maps = namespace.api::<ConfigMap>();
    let version =
        maps.list(&ListParams::default().limit(1)).await.expect("ConfigMaps can be listed").metadata.resource_version;
    let watch = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(60);
    let events = maps.watch(&watch, &version.unwrap_or_default()).await.expect("a watch can be opened");
    let mut events = std::pin::pin!(events);
    let began = Instant::now();
    let answer = environment.webhook(repo).await;
    assert!((200..300).contains(&answer.status), "the webhook was answered with {answer:?}");
    let seen = async {
        loop {
            match events.try_next().await.expect("the watch goes on") {
                Some(WatchEvent::Modified(map) | WatchEvent::Added(map)) => {
                    if map.data.as_ref().is_some_and(|data| data.get("text").is_some_and(|is| is == text)) {
                        return map.name_any();
                    }
                }
                Some(_) => {}
                None => panic!("{name} did not become {text} within a minute"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, seen).await.unwrap_or_else(|_| panic!("{name} did not become {text} in time"));
    began.elapsed()
}
