//! `drover backup`: back a Database up now.

use clap::Args;
use drover_crds::{ANNOTATION_BACKUP_AT, Database, OwnerKind};

use super::global::Global;
use super::session::Session;
use super::{Error, Verdict, annotate, output, time};

/// Backs a Database up now, rather than at the next time of its schedule; the backup is restored and compared as each is.
#[derive(Debug, Args)]
pub struct Backup {
    /// The Database.
    name: String,
}

/// Runs the command.
pub async fn run(command: Backup, global: &Global) -> Result<Verdict, Error> {
    let session = Session::open(&global.target).await?;
    let stamp = time::stamp(time::now());
    let (name, namespace) = (&command.name, session.namespace());
    let database: Database =
        annotate::annotate(&session, OwnerKind::Database, name, ANNOTATION_BACKUP_AT, Some(&stamp)).await?;
    if database.spec.backup.is_none() {
        output::print(&format!(
            "Database {namespace}/{name} has no `spec.backup`, which says where backups go: the first one is made as soon as it has.\n"
        ))?;
        return Ok(Verdict::NotReady);
    }
    output::print(&format!(
        "Database {namespace}/{name} is asked for a backup now; `kubectl get database {name} --namespace {namespace} -w` shows what comes of it.\n"
    ))?;
    Ok(Verdict::Good)
}
