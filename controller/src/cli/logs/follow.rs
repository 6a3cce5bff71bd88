//! `drover logs -f`: every run of every container, as pods come and go.

use std::collections::HashSet;

use futures::{AsyncBufReadExt as _, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::LogParams;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::instances::{self, Instance, Log};
use super::{Logs, params, written};
use crate::cli::global::Format;
use crate::cli::session::Session;
use crate::cli::{Error, Verdict, output, watch};
use crate::clock;

/// Lines that may wait for a slow terminal before the streams are held back.
const WAITING: usize = 1024;

/// What a stream tells.
enum Told {
    Line(Instance, String),
    /// The stream ended; the container perhaps did not.
    Ended(Instance),
}

/// Runs until the process is ended, or the API server says no for ever.
pub async fn follow(session: &Session, command: &Logs, selector: &str, format: Format) -> Result<Verdict, Error> {
    let pods: Api<Pod> = Api::namespaced(session.client(), session.namespace());
    let config = watcher::Config::default().labels(selector);
    let mut changes = watcher(pods.clone(), config).default_backoff().touched_objects().boxed();
    let (tell, mut told) = mpsc::channel(WAITING);
    let mut streams = JoinSet::new();
    let mut seen = HashSet::new();
    let mut said = HashSet::new();
    loop {
        tokio::select! {
            Some(change) = changes.next() => match change {
                Err(error) => watch::judge(session, &error, "watch the pods")?,
                Ok(pod) => for log in instances::logs(&pod, false) {
                    match log {
                        Log::Silent { sentence } => if said.insert(sentence.clone()) {
                            output::warn(&sentence);
                        },
                        Log::Of(instance) => if seen.insert(instance.id.clone()) {
                            if let Some(note) = &instance.note {
                                output::progress(note);
                            }
                            let mut params = params(command, &instance);
                            params.follow = !instance.previous;
                            streams.spawn(stream(pods.clone(), instance, params, tell.clone()));
                        },
                    }
                },
            },
            Some(event) = told.recv() => match event {
                Told::Line(instance, line) => output::print(&written(&instance, &line, true, format))?,
                Told::Ended(instance) => if !instance.previous && still_runs(session, &pods, &instance).await {
                    // The connection broke: go on from now.
                    let params = LogParams {
                        container: Some(instance.container.clone()),
                        follow: true,
                        since_time: Some(clock::now()),
                        ..LogParams::default()
                    };
                    streams.spawn(stream(pods.clone(), instance, params, tell.clone()));
                },
            },
            Some(_) = streams.join_next() => {}
        }
    }
}

/// Whether this very run of the container still runs. A pod that cannot be read counts as gone: the watch tells if it is not.
async fn still_runs(session: &Session, pods: &Api<Pod>, instance: &Instance) -> bool {
    let Ok(Some(pod)) = session.ask("read the pod", pods.get_opt(&instance.pod)).await else { return false };
    let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
    statuses.iter().any(|status| {
        let runs = status.state.as_ref().is_some_and(|state| state.running.is_some());
        runs && status.container_id.as_deref() == Some(instance.id.as_str())
    })
}

/// Sends a log's lines to whoever prints, until it ends or nobody listens.
async fn stream(pods: Api<Pod>, instance: Instance, params: LogParams, tell: mpsc::Sender<Told>) {
    match pods.log_stream(&instance.pod, &params).await {
        Err(error) => output::warn(&format!("the log of pod {} cannot be read: {error}", instance.pod)),
        Ok(log) => {
            let mut lines = log.lines();
            while let Some(Ok(line)) = lines.next().await {
                if tell.send(Told::Line(instance.clone(), line)).await.is_err() {
                    return;
                }
            }
            // Nobody listens only when the command ends.
            let _ = tell.send(Told::Ended(instance)).await;
        }
    }
}
