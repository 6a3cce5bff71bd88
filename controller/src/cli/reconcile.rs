//! `drover reconcile`: look at git now.

use clap::Args;
use drover_crds::{ANNOTATION_RECONCILE_AT, Environment, OwnerKind};

use super::global::Global;
use super::session::Session;
use super::{Error, Verdict, annotate, output, time};

/// Looks at the git repository of an Environment now, rather than at the next poll, and applies what is new.
#[derive(Debug, Args)]
pub struct Reconcile {
    /// The Environment.
    name: String,
}

/// Runs the command.
pub async fn run(command: Reconcile, global: &Global) -> Result<Verdict, Error> {
    let session = Session::open(&global.target).await?;
    let _: Environment = annotate::annotate(
        &session,
        OwnerKind::Environment,
        &command.name,
        ANNOTATION_RECONCILE_AT,
        Some(&time::stamp(time::now())),
    )
    .await?;
    output::print(&format!(
        "Environment {}/{} is asked to look at its repository now; `drover status {} -w` shows what happens.\n",
        session.namespace(),
        command.name,
        command.name
    ))?;
    Ok(Verdict::Good)
}
