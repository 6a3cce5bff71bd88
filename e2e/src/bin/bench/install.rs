//! A hundred Environments of four objects each, first created by hand as fast as the API server takes them, then by drover.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use drover_crds::Environment;
use drover_e2e::{GitRepo, GitServer, Namespace, Testbed, eventually, ready};
use futures::StreamExt as _;
use kube::api::{Api, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

const ENVIRONMENTS: usize = 100;
const IN_PARALLEL: usize = 16;

/// The objects of one of them. Without replicas the Deployment is healthy as soon as the controller manager has seen it.
fn objects(name: &str) -> Vec<Value> {
    let labels = json!({"app": name});
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"serviceAccountName": name, "containers": [{"name": "main", "image": "registry.example.org/app:1",
                    "ports": [{"name": "http", "containerPort": 8080}], "env": [{"name": "GREETING", "value": "hello"}]}]}}}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
            "spec": {"rules": [{"host": format!("{name}.example.org"), "http": {"paths": [{"path": "/", "pathType": "Prefix",
                "backend": {"service": {"name": name, "port": {"name": "http"}}}}]}}]}}),
    ]
}

fn environment(name: &str, url: String) -> Environment {
    let mut spec = drover_e2e::Environment::spec_of(url);
    spec.source.path = Some(name.to_owned());
    spec.source.interval = Some(drover_crds::Duration::from_secs(3600));
    Environment::new(name, spec)
}

fn names() -> impl Iterator<Item = String> {
    (0..ENVIRONMENTS).map(|number| format!("app-{number}"))
}

/// Creates the Environments, applies their objects and patches their status, sixteen requests at a time.
pub async fn bare_loop(bed: &Testbed) -> Duration {
    bed.apply("{apiVersion: v1, kind: Namespace, metadata: {name: bare}}");
    let client = bed.client().await;
    let environments: Api<Environment> = Api::namespaced(client.clone(), "bare");
    let began = Instant::now();
    futures::stream::iter(names())
        .for_each_concurrent(IN_PARALLEL, async |name| {
            let wanted = environment(&name, "https://git.example.org/apps.git".into());
            environments.create(&PostParams::default(), &wanted).await.expect("an Environment is created");
        })
        .await;
    futures::stream::iter(names().flat_map(|name| objects(&name)))
        .for_each_concurrent(IN_PARALLEL, async |object| apply(&client, "bare", &object).await)
        .await;
    futures::stream::iter(names())
        .for_each_concurrent(IN_PARALLEL, async |name| {
            let status = json!({"status": {"observedGeneration": 1, "webhookPath": "/hook/0123456789abcdef"}});
            let patched = environments.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await;
            patched.expect("a status is patched");
        })
        .await;
    let took = began.elapsed();
    bed.kubectl(&["delete", "environments", "--all", "--namespace", "bare"]);
    bed.kubectl(&["delete", "namespace", "bare"]);
    took
}

async fn apply(client: &Client, namespace: &str, object: &Value) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = text("/apiVersion").rsplit_once('/').unwrap_or(("", text("/apiVersion")));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("/kind")));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let applied = api.patch(text("/metadata/name"), &PatchParams::apply("bare-loop"), &Patch::Apply(object)).await;
    applied.expect("an object is applied");
}

/// From the first Environment's creation until all are Ready.
pub async fn by_drover() -> Duration {
    let namespace = Namespace::new("install").await;
    namespace.apply(&GitServer::shared().secret_for_https("git-read"));
    let repo: GitRepo = namespace.repository("apps");
    let files: Vec<(String, String)> = names()
        .map(|name| {
            let yaml = objects(&name).iter().fold(String::new(), |mut text, object| {
                let _ = write!(text, "---\n{object}\n");
                text
            });
            (format!("{name}/all.yaml"), yaml)
        })
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, yaml)| (name.as_str(), yaml.as_str())).collect();
    repo.push(&files, "A hundred apps");

    let environments = namespace.api::<Environment>();
    let began = Instant::now();
    futures::stream::iter(names())
        .for_each_concurrent(IN_PARALLEL, async |name| {
            let wanted = environment(&name, repo.https());
            environments.create(&PostParams::default(), &wanted).await.expect("an Environment is created");
        })
        .await;
    eventually("all Environments are Ready", Duration::from_secs(300), async || {
        let all = environments.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let waiting: Vec<String> = all
            .items
            .iter()
            .filter_map(|one| {
                let conditions = one.status.as_ref().map_or(&[][..], |status| &status.conditions);
                match ready(conditions) {
                    Ok(ready) if ready.status == "True" => None,
                    other => Some(format!("{}: {other:?}", one.name_any())),
                }
            })
            .collect();
        match waiting.first() {
            None => Ok(()),
            Some(first) => Err(format!("{} wait, the first: {first}", waiting.len())),
        }
    })
    .await;
    let took = began.elapsed();
    // They stay for the memory and the quiet minute.
    namespace.keep();
    took
}
