//! `drover restart`: new pods of the same release.

use clap::Args;
use drover_crds::{ANNOTATION_RESTARTED_AT, Duration, QueueProcessor, WebApp};
use k8s_openapi::api::apps::v1::Deployment;
use kube::{Api, ResourceExt as _};

use super::app::{App, AppKind, AppName};
use super::global::Global;
use super::rollout::{self, Rollout};
use super::session::Session;
use super::{Error, Verdict, annotate, output, time, watch};

/// Replaces the pods of a WebApp or QueueProcessor by new ones of the same release.
///
/// They are replaced as in a release: old pods serve until new ones do, except where only one pod may hold the app's volume.
/// Waits until all are new.
#[derive(Debug, Args)]
pub struct Restart {
    /// The app: NAME, webapp/NAME or queueprocessor/NAME.
    #[arg(value_parser = AppName::read)]
    name: AppName,
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
    match command.name.kind(&session).await? {
        AppKind::WebApp => restart::<WebApp>(&session, &command).await,
        AppKind::QueueProcessor => restart::<QueueProcessor>(&session, &command).await,
    }
}

async fn restart<A: App>(session: &Session, command: &Restart) -> Result<Verdict, Error> {
    let (kind, name) = (A::KIND, &command.name.name);
    let stamp = time::stamp(time::now());
    let app: A = annotate::annotate(session, kind, name, ANNOTATION_RESTARTED_AT, Some(&stamp)).await?;
    let id = format!("{}/{}", session.namespace(), app.name_any());
    if command.no_wait {
        output::print(&format!("{kind} {id} is asked to restart; `drover status` shows how it gets on.\n"))?;
        return Ok(Verdict::Good);
    }
    output::progress(&format!("{kind} {id} is asked to restart; waiting for at most {} …", command.timeout));
    let deployments: Api<Deployment> = Api::namespaced(session.client(), session.namespace());
    let deployment = rollout::deployment_name(name);
    let mut last = Rollout::NotBegun;
    let action = format!("watch Deployment {}/{deployment}", session.namespace());
    let done = watch::until(session, deployments, &deployment, &action, command.timeout.into(), |found| {
        let now = found.map_or(Rollout::NotBegun, |found| rollout::of(found, &stamp));
        if now != last {
            output::progress(&now.to_string());
        }
        last = now;
        (last == Rollout::Done).then_some(())
    })
    .await?;
    if done.is_some() {
        output::print(&format!("{kind} {id} is restarted.\n"))?;
        return Ok(Verdict::Good);
    }
    let apps: Api<A> = Api::namespaced(session.client(), session.namespace());
    let app = session.ask(&format!("read the {kind}"), apps.get(name)).await?;
    output::print(&format!("{}\n", rollout::unfinished(&app, last, command.timeout)))?;
    Ok(Verdict::NotReady)
}
