//! A thousand Environments that follow folders of one repository, four objects each, beside a loop that writes the same and nothing else.
//! `BENCH_FOLDERS` in the environment makes them more or fewer.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use drover_crds::Environment;
use drover_e2e::{Asked, Commit, Controller, GitRepo, GitServer, Namespace, Testbed, eventually, ready};
use futures::StreamExt as _;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::{Api, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use kube::{Client, ResourceExt as _};
use rustix::process::Signal;
use serde_json::{Value, json};

use crate::figures::{self, Row, milliseconds, percentile};
use crate::watched::Watched;
use crate::{push, quiet};

const IN_PARALLEL: usize = 16;
const PUSHES: usize = 20;
/// How far in the order of names one changed folder lies from the next.
const STRIDE: usize = 611;
/// How long anything may take, for each folder.
const PATIENCE: Duration = Duration::from_secs(1);

/// Measures all of it on clusters of that number, and prints the figures as they come.
pub async fn of_one_repository(number: u32) {
    let count = std::env::var("BENCH_FOLDERS").ok().and_then(|text| text.parse().ok()).unwrap_or(1000);
    let bare = Bare::measured(&Testbed::victim(number), count).await;
    let bed: &'static Testbed = Box::leak(Box::new(Testbed::victim(number)));
    let drover = Controller::on(bed).start();
    drover.leads_within(Duration::from_secs(60)).await;
    let mut folders = Folders::in_a_repository(bed, count).await;
    figures::print(&folders.installed(bed, &drover, &bare).await);
    figures::print(&folders.one_changed(bed, &drover).await);
    figures::print(&folders.upgraded(bed, &drover, &bare).await);
    figures::print(&quiet::minute(bed, folders.namespace.name()).await);
    figures::print(&folders.restarted(bed, drover).await);
    GitServer::beside(bed).down();
    bed.down();
}

/// What the API server takes for the same writes.
struct Bare {
    install: Duration,
    upgrade: Duration,
}

impl Bare {
    async fn measured(bed: &Testbed, count: usize) -> Self {
        bed.apply("{apiVersion: v1, kind: Namespace, metadata: {name: bare}}");
        let client = bed.client().await;
        let environments: Api<Environment> = Api::namespaced(client.clone(), "bare");
        let tell = async |name: String, text: &str| {
            let status = json!({"status": {"observedGeneration": 1, "webhookPath": text}});
            let patched = environments.patch_status(&name, &PatchParams::default(), &Patch::Merge(status)).await;
            patched.expect("a status is patched");
        };
        let began = Instant::now();
        in_parallel(names(count), async |name| {
            let wanted = environment(&name, "https://git.example.org/apps.git".into());
            environments.create(&PostParams::default(), &wanted).await.expect("an Environment is created");
        })
        .await;
        let all = names(count).flat_map(|name| objects(&name, "hello"));
        in_parallel(all, async |object| apply(&client, "bare", &object).await).await;
        in_parallel(names(count), async |name| tell(name, "/hook/0123456789abcdef").await).await;
        let install = began.elapsed();

        let began = Instant::now();
        let deployments = names(count).map(|name| objects(&name, "moin").swap_remove(DEPLOYMENT));
        in_parallel(deployments, async |object| apply(&client, "bare", &object).await).await;
        in_parallel(names(count), async |name| tell(name, "/hook/fedcba9876543210").await).await;
        Self { install, upgrade: began.elapsed() }
    }
}

async fn in_parallel<T>(all: impl Iterator<Item = T>, each: impl AsyncFn(T)) {
    futures::stream::iter(all).for_each_concurrent(IN_PARALLEL, async |one| each(one).await).await;
}

/// Which of [`objects`] an upgrade changes.
const DEPLOYMENT: usize = 2;

/// The objects of one of them. Without replicas the Deployment is healthy as soon as the controller manager has seen it.
fn objects(name: &str, greeting: &str) -> Vec<Value> {
    let labels = json!({"app": name});
    vec![
        json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
            "spec": {"selector": labels, "ports": [{"name": "http", "port": 80, "targetPort": 8080}]}}),
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"serviceAccountName": name, "containers": [{"name": "main", "image": "registry.example.org/app:1",
                    "ports": [{"name": "http", "containerPort": 8080}], "env": [{"name": "GREETING", "value": greeting}]}]}}}}),
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

fn names(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(name)
}

fn name(number: usize) -> String {
    format!("app-{number}")
}

async fn apply(client: &Client, namespace: &str, object: &Value) {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (group, version) = text("/apiVersion").rsplit_once('/').unwrap_or(("", text("/apiVersion")));
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, text("/kind")));
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    let applied = api.patch(text("/metadata/name"), &PatchParams::apply("bare-loop"), &Patch::Apply(object)).await;
    applied.expect("an object is applied");
}

/// How everything stood when something began.
struct Begun<'a> {
    bed: &'a Testbed,
    drover: &'a Controller,
    place: usize,
    at: Instant,
    processor: Duration,
}

impl<'a> Begun<'a> {
    fn now(bed: &'a Testbed, drover: &'a Controller) -> Self {
        Self { bed, drover, place: bed.audit().len(), at: Instant::now(), processor: drover.processor_time() }
    }
}

/// The repository, and the namespace of those who follow it.
struct Folders {
    namespace: Namespace,
    repo: GitRepo,
    count: usize,
    /// What each one's Deployment says.
    greetings: Vec<String>,
}

impl Folders {
    async fn in_a_repository(bed: &'static Testbed, count: usize) -> Self {
        let namespace = Namespace::on(bed, "folders").await;
        namespace.apply(&namespace.git_server().secret_for_https("git-read"));
        let repo = namespace.repository("apps");
        Self { namespace, repo, count, greetings: vec!["hello".to_owned(); count] }
    }

    /// A commit in which each greets as it is to.
    fn push(&self) -> Commit {
        let files: Vec<(String, String)> = self
            .greetings
            .iter()
            .enumerate()
            .map(|(number, greeting)| {
                let yaml = objects(&name(number), greeting).iter().fold(String::new(), |mut text, object| {
                    let _ = write!(text, "---\n{object}\n");
                    text
                });
                (format!("{}/all.yaml", name(number)), yaml)
            })
            .collect();
        let files: Vec<(&str, &str)> = files.iter().map(|(name, yaml)| (name.as_str(), yaml.as_str())).collect();
        self.repo.push(&files, "Greet")
    }

    fn environments(&self) -> Api<Environment> {
        self.namespace.api()
    }

    /// From the first Environment's creation.
    async fn installed(&self, bed: &Testbed, drover: &Controller, bare: &Bare) -> Vec<Row> {
        let commit = self.push();
        let begun = Begun::now(bed, drover);
        let webhook = drover_e2e::Environment::webhook_spec(&self.namespace);
        in_parallel(names(self.count), async |name| {
            let mut wanted = environment(&name, self.repo.https());
            if name == self::name(0) {
                wanted.spec.source.webhook = Some(webhook.clone());
            }
            self.environments().create(&PostParams::default(), &wanted).await.expect("an Environment is created");
        })
        .await;
        let what = format!("install {} Environments × 4 objects", self.count);
        self.settled(&begun, &what, &commit, bare.install).await
    }

    /// From the webhook's request, with one field of each changed.
    async fn upgraded(&mut self, bed: &Testbed, drover: &Controller, bare: &Bare) -> Vec<Row> {
        self.greetings = vec!["moin".to_owned(); self.count];
        let commit = self.push();
        let begun = Begun::now(bed, drover);
        self.tell(drover).await;
        let what = format!("upgrade one field of each of the {}", self.count);
        self.settled(&begun, &what, &commit, bare.upgrade).await
    }

    /// Waits until all have `commit`, and compares with the loop, which took `bare`. Until all are Ready is the controller manager's pace.
    async fn settled(&self, begun: &Begun<'_>, what: &str, commit: &Commit, bare: Duration) -> Vec<Row> {
        let applied = self.all(|one| is_applied_at(one, commit), begun.at).await;
        let ready = self.all(|one| is_ready_at(one, commit), begun.at).await;
        let processor = begun.drover.processor_time().saturating_sub(begun.processor);
        let seconds = |time: Duration| format!("{:.1} s", time.as_secs_f64());
        vec![
            Row::new(format!("{what}, all applied: drover"), seconds(applied)),
            Row::new(format!("the same writes: a loop of {IN_PARALLEL} in parallel"), seconds(bare)),
            Row::new("loop / drover", format!("{:.2}", bare.as_secs_f64() / applied.as_secs_f64())),
            Row::new("until all are Ready, which waits for Kubernetes' own controllers", seconds(ready)),
            Row::new("drover's processor time", seconds(processor)),
            Row::new("drover's requests for each", self.requests_for_each(begun.bed, begun.place)),
        ]
    }

    /// By verb and kind, since that place in the log, such as `1.00 patch deployments, 2.00 patch environments/status`.
    #[allow(clippy::cast_precision_loss)]
    fn requests_for_each(&self, bed: &Testbed, place: usize) -> String {
        let mut counts = BTreeMap::<String, usize>::new();
        let audit = bed.audit();
        let by_drover = audit.since(place).iter().filter(|asked| asked.by_drover() && asked.call.resource != "leases");
        for Asked { call, .. } in by_drover {
            let slash = if call.subresource.is_empty() { "" } else { "/" };
            *counts.entry(format!("{} {}{slash}{}", call.verb, call.resource, call.subresource)).or_default() += 1;
        }
        let each = counts.iter().map(|(what, count)| (what, *count as f64 / self.count as f64));
        let shown = each.filter(|(_, each)| *each >= 0.01).map(|(what, each)| format!("{each:.2} {what}"));
        shown.collect::<Vec<_>>().join(", ")
    }

    async fn tell(&self, drover: &Controller) {
        let environment = drover_e2e::Environment::named(&self.namespace, &name(0));
        let answer = environment.webhook_to(drover, &self.repo).await;
        assert!((200..300).contains(&answer.status), "the webhook was answered with {answer:?}");
    }

    /// How long since `began` it took until all are so. A look takes the API server some time, so there is one a second.
    async fn all(&self, is_so: impl Fn(&Environment) -> bool, began: Instant) -> Duration {
        let deadline = Instant::now() + PATIENCE * u32::try_from(self.count).expect("not that many");
        loop {
            let at = began.elapsed();
            let all = self.environments().list(&ListParams::default()).await.expect("Environments can be listed");
            let Some(waits) = all.items.iter().find(|one| !is_so(one)) else { return at };
            assert!(Instant::now() < deadline, "{} waits: {:?}", waits.name_any(), waits.status);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// From the webhook's request until the API server has the changed Deployment, of one folder each time.
    async fn one_changed(&mut self, bed: &Testbed, drover: &Controller) -> Vec<Row> {
        let deployments = self.namespace.api::<Deployment>();
        let mut samples = Vec::new();
        let place = bed.audit().len();
        let processor = drover.processor_time();
        let mut until_applied = Vec::new();
        for sample in 0..PUSHES {
            let changed = (sample + 1) * STRIDE % self.count;
            let greeting = format!("greeting-{sample}");
            self.greetings[changed].clone_from(&greeting);
            self.push();
            let name = name(changed);
            let before = deployments.get(&name).await.expect("the folder has a Deployment");
            let watched = Watched::since(&deployments, &name, before.metadata.resource_version).await;
            let asked = bed.audit().len();
            let began = Instant::now();
            self.tell(drover).await;
            watched.until(|event| push::greets(event, &greeting)).await;
            samples.push(began.elapsed());
            until_applied.push(writes(bed, asked));
        }
        let each = |sum: f64| sum / f64::from(u32::try_from(PUSHES).expect("a few"));
        let all = u32::try_from(writes(bed, place)).expect("not that many");
        until_applied.sort_unstable();
        let processor = drover.processor_time().saturating_sub(processor);
        let what = format!("webhook → applied, one folder of {} changed", self.count);
        vec![
            Row::new(format!("{what}: p50 of {PUSHES}"), milliseconds(percentile(&samples, 50))),
            Row::new(format!("the same: p99 of {PUSHES}"), milliseconds(percentile(&samples, 99))),
            Row::new("writes until it is applied: the median", until_applied[PUSHES / 2].to_string()),
            Row::new("writes a push, one push after the other", format!("{:.0}", each(f64::from(all)))),
            Row::new("drover's processor time a push", format!("{:.2} s", each(processor.as_secs_f64()))),
            Row::new("resident memory then", format!("{} MiB", drover.resident_mebibytes())),
        ]
    }

    /// The process is killed, somebody deletes what it looks after, and another one starts.
    async fn restarted(&self, bed: &Testbed, drover: Controller) -> Vec<Row> {
        drover.signal(Signal::KILL);
        drover.ends_within(Duration::from_secs(10)).await;
        let services = self.namespace.api::<Service>();
        let drifted = name(self.count / 2);
        services.delete(&drifted, &DeleteParams::default()).await.expect("a person may delete");
        let place = bed.audit().len();
        let began = Instant::now();
        let drover = Controller::on(bed).start();
        let back = async {
            eventually("the Service is back", Duration::from_secs(120), async || {
                match services.get_opt(&drifted).await.map_err(|error| error.to_string())? {
                    Some(_) => Ok(()),
                    None => Err("it is not there".to_owned()),
                }
            })
            .await;
            began.elapsed()
        };
        let steady = async {
            eventually("each Environment had a turn", PATIENCE * 120, async || {
                match drover.metric("drover_reconciles_total").await? {
                    #[allow(clippy::cast_precision_loss)]
                    Some(turns) if turns >= self.count as f64 => Ok(()),
                    turns => Err(format!("{turns:?}")),
                }
            })
            .await;
            began.elapsed()
        };
        let (back, steady) = tokio::join!(back, steady);
        tokio::time::sleep(Duration::from_secs(5)).await;
        let audit = bed.audit();
        let written = audit.since(place).iter().filter(|asked| asked.is_write() && asked.by_drover());
        let statuses = written.clone().filter(|asked| asked.call.subresource == "status").count();
        vec![
            Row::new(format!("start with {} Environments: until each had a turn", self.count), milliseconds(steady)),
            Row::new("until what was deleted meanwhile is back", milliseconds(back)),
            Row::new("writes, and of these of a status", format!("{}, {statuses}", written.count())),
            Row::new("resident memory after the start", format!("{} MiB", drover.resident_mebibytes())),
        ]
    }
}

fn is_applied_at(environment: &Environment, commit: &Commit) -> bool {
    let applied = environment.status.as_ref().and_then(|status| status.applied.as_ref());
    applied.is_some_and(|applied| applied.commit == *commit)
}

fn is_ready_at(environment: &Environment, commit: &Commit) -> bool {
    let Some(status) = &environment.status else { return false };
    is_applied_at(environment, commit) && ready(&status.conditions).is_ok_and(|ready| ready.status == "True")
}

/// Drover's, since that place in the log.
fn writes(bed: &Testbed, place: usize) -> usize {
    bed.audit().since(place).iter().filter(|asked| asked.is_write() && asked.by_drover()).count()
}
