//! `drover sync`: bring a DataSync up to date now.

use clap::Args;
use drover_crds::{ANNOTATION_RECONCILE_AT, DataSync, OwnerKind};

use super::global::Global;
use super::session::Session;
use super::{Error, Verdict, annotate, output, time};

/// Syncs a DataSync now, rather than at the next time of its schedule.
#[derive(Debug, Args)]
pub struct Sync {
    /// The DataSync.
    name: String,
}

/// Runs the command.
pub async fn run(command: Sync, global: &Global) -> Result<Verdict, Error> {
    let session = Session::open(&global.target).await?;
    let stamp = time::stamp(time::now());
    let name = &command.name;
    let _: DataSync =
        annotate::annotate(&session, OwnerKind::DataSync, name, ANNOTATION_RECONCILE_AT, Some(&stamp)).await?;
    let namespace = session.namespace();
    output::print(&format!(
        "DataSync {namespace}/{name} is asked to sync now; `kubectl get datasync {name} --namespace {namespace} -w` shows what happens.\n"
    ))?;
    Ok(Verdict::Good)
}
