//! How far the syncs are that run now. It stands in the logs of their pods, so whoever may not read these sees no bar.

use drover_core::errand::Progress;
use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{ListParams, LogParams};
use kube::{Api, Client};

use super::view::{Jobs, View};

/// Looks at the Jobs that this view shows as running.
pub async fn read(client: &Client, view: &View) -> Jobs {
    let running = view.running().map(|(namespace, job)| (namespace.to_owned(), job.to_owned()));
    let looks = running.map(async |(namespace, job)| Some((last(client, &namespace, &job).await?, namespace, job)));
    let found = join_all(looks).await.into_iter().flatten();
    found.map(|(progress, namespace, job)| ((namespace, job), progress)).collect()
}

/// The last line of progress that the newest pod of a Job has written.
async fn last(client: &Client, namespace: &str, job: &str) -> Option<Progress> {
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let of_job = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    let pods_of_job = pods.list(&of_job).await.ok()?.items;
    let newest = pods_of_job.into_iter().max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|at| at.0))?;
    // Warnings stand between.
    let params = LogParams { tail_lines: Some(10), ..LogParams::default() };
    let log = pods.logs(&newest.metadata.name?, &params).await.ok()?;
    log.lines().rev().find_map(Progress::parse)
}
