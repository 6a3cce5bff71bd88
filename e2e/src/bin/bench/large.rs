//! One Environment of five thousand objects in fifty files: how long the first commit takes, one that changes one object, and drift.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use drover_e2e::{Controller, Environment, GitRepo, GitServer, Namespace, Testbed};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{DeleteParams, Patch, PatchParams, WatchEvent};
use serde_json::json;

use crate::figures::{self, Row, milliseconds, percentile};
use crate::watched::Watched;

const FILES: usize = 50;
const OBJECTS: usize = 100;
const SAMPLES: usize = 10;
const PATIENCE: Duration = Duration::from_secs(300);

fn name(file: usize, object: usize) -> String {
    format!("map-{file}-{object}")
}

fn push(repo: &GitRepo, changed: Option<(usize, &str)>) -> drover_e2e::Commit {
    let file = |file: usize| {
        let yaml = (0..OBJECTS).fold(String::new(), |mut yaml, object| {
            // The first object of its file.
            let text = changed.filter(|(changed, _)| *changed == file && object == 0).map_or("the same", |(_, text)| text);
            let name = name(file, object);
            let _ = write!(
                yaml,
                "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}, labels: {{app: shop}}}}\ndata: {{text: {text}, of: {name}}}\n"
            );
            yaml
        });
        (format!("maps-{file}.yaml"), yaml)
    };
    let files: Vec<(String, String)> = (0..FILES).map(file).collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, yaml)| (name.as_str(), yaml.as_str())).collect();
    repo.push(&files, "Change")
}

fn says(event: &WatchEvent<ConfigMap>, text: &str) -> bool {
    let (WatchEvent::Modified(map) | WatchEvent::Added(map)) = event else { return false };
    map.data.as_ref().and_then(|data| data.get("text")).is_some_and(|is| is == text)
}

/// Measures all of it on a cluster of that number, and prints the figures as they come.
pub async fn environment(number: u32) {
    let bed: &'static Testbed = Box::leak(Box::new(Testbed::victim(number)));
    let drover = Controller::on(bed).start();
    drover.leads_within(Duration::from_secs(60)).await;
    let namespace = Namespace::on(bed, "large").await;
    let repo = namespace.repository("maps");
    let first = push(&repo, None);
    let before = drover.resident_mebibytes();
    let began = Instant::now();
    let environment = Environment::with_webhook(&namespace, "prod", &repo).await;
    drover_e2e::eventually("the first commit is applied", PATIENCE, async || {
        let applied = environment.status().await.applied.map(|applied| applied.commit);
        if applied.as_deref() == Some(first.as_str()) { Ok(()) } else { Err(format!("{applied:?}")) }
    })
    .await;
    let all = FILES * OBJECTS;
    figures::print(&[Row::new(
        format!("one Environment of {all} objects: the first commit"),
        format!("{:.1} s", began.elapsed().as_secs_f64()),
    )]);

    let maps = namespace.api::<ConfigMap>();
    let version = async |name: &str| maps.get(name).await.expect("it is there").metadata.resource_version;
    let mut samples = Vec::new();
    for sample in 0..SAMPLES {
        let (text, file) = (format!("changed-{sample}"), sample * 7 % FILES);
        let commit = push(&repo, Some((file, &text)));
        let name = name(file, 0);
        let version = version(&name).await;
        let began = Instant::now();
        environment.webhook_to(&drover, &repo).await;
        Watched::since(&maps, &name, version).await.until(|event| says(event, &text)).await;
        samples.push(began.elapsed());
        environment.has_applied(&commit).await;
    }
    figures::print(&[Row::new(
        format!("webhook → applied, one object of {all} changed: p50 of {SAMPLES}"),
        milliseconds(percentile(&samples, 50)),
    )]);

    let mut samples = Vec::new();
    for sample in 0..SAMPLES {
        let name = name(sample * 11 % FILES, sample + 1);
        let began;
        if sample % 2 == 0 {
            let edit = Patch::Merge(json!({"data": {"text": "of somebody else"}}));
            let edited = maps.patch(&name, &PatchParams::default(), &edit).await.expect("a person may edit");
            began = Instant::now();
            let watched = Watched::since(&maps, &name, edited.metadata.resource_version).await;
            watched.until(|event| says(event, "the same")).await;
        } else {
            let version = version(&name).await;
            began = Instant::now();
            maps.delete(&name, &DeleteParams::default()).await.expect("a person may delete");
            let watched = Watched::since(&maps, &name, version).await;
            watched.until(|event| matches!(event, WatchEvent::Added(_))).await;
        }
        samples.push(began.elapsed());
    }
    figures::print(&[
        Row::new(
            format!("drift repair in an Environment of {all} objects: p50 of {SAMPLES}"),
            milliseconds(percentile(&samples, 50)),
        ),
        Row::new(
            "resident memory before, then, and at most",
            format!("{before}, {}, {} MiB", drover.resident_mebibytes(), drover.peak_mebibytes()),
        ),
    ]);
    drover.stop();
    GitServer::beside(bed).down();
    bed.down();
}
