//! `drover restart`: new pods of the same release.

use clap::Args;
use drover_crds::{ANNOTATION_RESTARTED_AT, Duration, OwnerKind, WebApp};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, ResourceExt as _};

use super::global::Global;
use super::rollout::{self, Rollout};
use super::session::Session;
use super::{Error, Verdict, annotate, output, time, watch};

/// Replaces the pods of a WebApp by new ones of the same release.
///
/// They are replaced as in a release: old pods serve until new ones do, except where only one pod may hold the app's volume.
/// Waits until all are new.
#[derive(Debug, Args)]
pub struct Restart {
    /// The WebApp.
    name: String,
    /// Return once the restart is asked for.
    #[arg(long)]
    no_wait: bool,
    /// How long to wait until all pods are new.
    #[arg(long, value_name = "DURATION", default_value = "5m")]
    timeout: Duration,
}

/// Runs the command.
pub async fn run(command: Restart, global: &Global) -> Result<Verdict, Error> {
    let session = Session::open(&global.target).await?;
    let stamp = time::stamp(time::now());
    let app: WebApp =
        annotate::annotate(&session, OwnerKind::WebApp, &command.name, ANNOTATION_RESTARTED_AT, Some(&stamp)).await?;
    let id = format!("{}/{}", session.namespace(), app.name_any());
    if command.no_wait {
        output::print(&format!("WebApp {id} is asked to restart; `drover status` shows how it gets on.\n"))?;
        return Ok(Verdict::Good);
    }
    output::progress(&format!("WebApp {id} is asked to restart; waiting for at most {} …", command.timeout));
    let deployments: Api<Deployment> = Api::namespaced(session.client(), session.namespace());
    let name = rollout::deployment_name(&command.name);
    let mut last = Rollout::NotBegun;
    let action = format!("watch Deployment {}/{name}", session.namespace());
    let done = watch::until(&session, deployments, &name, &action, command.timeout.into(), |deployment| {
        let now = deployment.map_or(Rollout::NotBegun, |deployment| rollout::of(deployment, &stamp));
        if now != last {
            output::progress(&now.to_string());
        }
        last = now;
        (last == Rollout::Done).then_some(())
    })
    .await?;
    if done.is_some() {
        output::print(&format!("WebApp {id} is restarted.\n"))?;
        return Ok(Verdict::Good);
    }
    let apps: Api<WebApp> = Api::namespaced(session.client(), session.namespace());
    let app = session.ask("read the WebApp", apps.get(&command.name)).await?;
    output::print(&format!("{}\n", rollout::unfinished(&app, last, command.timeout)))?;
    Ok(Verdict::NotReady)
}
