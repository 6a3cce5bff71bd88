//! One Environment with a hundred WebApps, of which a push changes one.

use std::time::{Duration, Instant};

use drover_crds::WebApp;
use drover_e2e::{Environment, GitRepo, Namespace, eventually};
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ListParams, WatchEvent};

use crate::figures::{Row, milliseconds, percentile};
use crate::watched::Watched;

const APPS: usize = 100;
const SAMPLES: usize = 20;

/// A namespace with a hundred apps.
pub struct Apps {
    /// Where they are.
    pub namespace: Namespace,
    repo: GitRepo,
}

/// The files of all apps; the first one greets as told.
fn files(greeting: &str) -> Vec<(String, String)> {
    (0..APPS)
        .map(|number| {
            let greeting = if number == 0 { greeting } else { "hello" };
            // Without a node nothing runs: with no replicas nothing is waited for, and with `Never` no registry is asked.
            let yaml = format!(
                "apiVersion: drover.dev/v1alpha1\nkind: WebApp\nmetadata: {{name: web-{number}}}\nspec:\n  image: registry.example.org/app:1\n  imagePullPolicy: Never\n  replicas: 0\n  ports: [{{name: http, port: 8080}}]\n  env: [{{name: GREETING, value: {greeting}}}]\n  routes: [{{host: web-{number}.example.org, path: /, to: {{app: {{}}}}}}]\n"
            );
            (format!("web-{number}.yaml"), yaml)
        })
        .collect()
}

fn push(repo: &GitRepo, greeting: &str) {
    let files = files(greeting);
    let files: Vec<(&str, &str)> = files.iter().map(|(name, yaml)| (name.as_str(), yaml.as_str())).collect();
    repo.push(&files, greeting);
}

/// Makes them, and waits until each has its Deployment.
pub async fn hundred_apps() -> Apps {
    let namespace = Namespace::new("apps").await;
    let repo = namespace.repository("apps");
    push(&repo, "first");
    let _ = Environment::with_webhook(&namespace, "prod", &repo).await;
    eventually("all apps have a Deployment", Duration::from_secs(300), async || {
        let deployments =
            namespace.api::<Deployment>().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let apps = namespace.api::<WebApp>().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        match (apps.items.len(), deployments.items.len()) {
            (APPS, APPS) => Ok(()),
            seen => Err(format!("{seen:?} WebApps and Deployments")),
        }
    })
    .await;
    Apps { namespace, repo }
}

/// Whether a Deployment came to have that greeting.
pub fn greets(event: &WatchEvent<Deployment>, greeting: &str) -> bool {
    let WatchEvent::Modified(deployment) = event else { return false };
    serde_json::to_string(deployment).expect("it is JSON").contains(greeting)
}

/// From the webhook's request until the API server has the changed Deployment.
pub async fn one_of_a_hundred(apps: &Apps) -> Vec<Row> {
    let environment = Environment::named(&apps.namespace, "prod");
    let deployments = apps.namespace.api::<Deployment>();
    let mut samples = Vec::new();
    for number in 0..SAMPLES {
        let greeting = format!("greeting-{number}");
        push(&apps.repo, &greeting);
        let before = deployments.get("web-0").await.expect("the app has a Deployment");
        let watched = Watched::since(&deployments, "web-0", before.metadata.resource_version).await;
        let began = Instant::now();
        let answer = environment.webhook(&apps.repo).await;
        assert!((200..300).contains(&answer.status), "the webhook was answered with {answer:?}");
        watched.until(|event| greets(event, &greeting)).await;
        samples.push(began.elapsed());
    }
    vec![
        Row::new("webhook → applied, one WebApp of 100 changed: p50 of 20", milliseconds(percentile(&samples, 50))),
        Row::new("the same: p99 of 20", milliseconds(percentile(&samples, 99))),
    ]
}
