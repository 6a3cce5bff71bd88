//! `drover restore`: a backup of a Database, into a new one or in place of its data.

use std::io::{BufRead as _, IsTerminal as _};

use clap::{ArgGroup, Args};
use drover_core::backup::BackupName;
use drover_core::restore::Wish;
use drover_crds::{ANNOTATION_RESTORE, CLI_MANAGER, Database, DatabaseInit, InitFromBackup, KeptBackup, OwnerKind};
use kube::Api;
use kube::api::PostParams;

use super::annotate::{annotate, found};
use super::global::Global;
use super::session::Session;
use super::{Error, Verdict, output, time};
use crate::cluster::is_conflict;

/// Restores a backup of a Database. It is loaded beside what is there, and compared with what was backed up, before anything takes it.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("target").required(true).args(["into", "in_place"])))]
pub struct Restore {
    /// The Database whose backup it is.
    name: String,
    /// Which backup: `kubectl get database NAME -o jsonpath='{.status.backups}'` lists them. Default: the newest that is verified.
    #[arg(long)]
    backup: Option<BackupName>,
    /// Make a new Database of that name, which begins with it. Nothing else changes.
    #[arg(long, value_name = "NEW")]
    into: Option<String>,
    /// Put it in place of what the Database holds now: what was written since the backup is lost.
    #[arg(long)]
    in_place: bool,
    /// The Database's name once more, in place of being asked for it.
    #[arg(long, value_name = "NAME", requires = "in_place")]
    confirm: Option<String>,
}

/// Runs the command.
pub async fn run(command: Restore, global: &Global) -> Result<Verdict, Error> {
    let session = Session::open(&global.target).await?;
    let namespace = session.namespace().to_owned();
    let databases: Api<Database> = Api::namespaced(session.client(), &namespace);
    let action = format!("read Database {namespace}/{}", command.name);
    let answer = session.ask(&action, async { Ok(databases.get(&command.name).await) }).await?;
    let database = found(&session, OwnerKind::Database, &command.name, &action, answer).await?;
    let backup = choose(&database, &namespace, &command)?;
    match &command.into {
        Some(new) => into_new(&session, &databases, &database, &backup.name, new).await,
        None => in_place(&session, backup, &command).await,
    }
}

/// The backup that is meant, as the status lists it.
fn choose<'a>(database: &'a Database, namespace: &str, command: &Restore) -> Result<&'a KeptBackup, Error> {
    let kept = database.status.as_ref().map(|status| status.backups.as_slice()).unwrap_or_default();
    let name = &command.name;
    let chosen = match &command.backup {
        Some(backup) => kept.iter().find(|kept| kept.name == backup.as_str()),
        None => kept.iter().find(|kept| kept.verified.is_some()),
    };
    chosen.ok_or_else(|| {
        let sentence = match &command.backup {
            Some(backup) => format!("Database {namespace}/{name} has no backup {backup}"),
            None => format!("Database {namespace}/{name} has no backup that is verified"),
        };
        let names: Vec<&str> = kept.iter().map(|kept| kept.name.as_str()).collect();
        let hint = if names.is_empty() {
            format!("its status lists none: `drover status {name}` says how it goes with its backups")
        } else {
            format!("name one of {} with --backup", names.join(", "))
        };
        Error::Usage { sentence, hint }
    })
}

async fn into_new(
    session: &Session,
    databases: &Api<Database>,
    database: &Database,
    backup: &str,
    new: &str,
) -> Result<Verdict, Error> {
    let (namespace, of) = (session.namespace(), database.metadata.name.clone().unwrap_or_default());
    let mut spec = database.spec.clone();
    // The names within stay what they were: rows and rights belong to them.
    let name = spec.database.take().unwrap_or_else(|| of.replace('-', "_"));
    spec.user = Some(spec.user.unwrap_or_else(|| name.clone()));
    spec.database = Some(name);
    spec.backup = None;
    spec.init = Some(DatabaseInit {
        from_backup: Some(InitFromBackup { database: Some(of), backup: Some(backup.to_owned()) }),
        ..DatabaseInit::default()
    });
    let params = PostParams { field_manager: Some(CLI_MANAGER.to_owned()), ..PostParams::default() };
    let action = format!("create Database {namespace}/{new}");
    let made = session.ask(&action, async { Ok(databases.create(&params, &Database::new(new, spec)).await) }).await?;
    match made {
        Ok(_) => {}
        Err(error) if is_conflict(&error) => {
            return Err(Error::Usage {
                sentence: format!("there is a Database {namespace}/{new} already, which is left alone"),
                hint: "choose another name".to_owned(),
            });
        }
        Err(error) => return Err(session.explain(&error, &action)),
    }
    output::print(&format!(
        "Database {namespace}/{new} is made, which begins with backup {backup} and has no backups of its own; `drover status {new}` shows how it goes. To keep it, write it to git.\n"
    ))?;
    Ok(Verdict::Good)
}

async fn in_place(session: &Session, backup: &KeptBackup, command: &Restore) -> Result<Verdict, Error> {
    let (namespace, name) = (session.namespace(), &command.name);
    if backup.verified.is_none() {
        output::warn(&format!(
            "backup {} is not verified: it is loaded and compared first, and may not come back",
            backup.name
        ));
    }
    confirm(namespace, name, &backup.name, command.confirm.as_deref())?;
    let at = time::stamp(time::now());
    let parsed: BackupName = backup.name.parse().map_err(|bad| Error::Usage {
        sentence: format!("Database {namespace}/{name}: {bad}"),
        hint: "name the backup with --backup".to_owned(),
    })?;
    let wish = Wish::written(&parsed, &at);
    let _: Database = annotate(session, OwnerKind::Database, name, ANNOTATION_RESTORE, Some(&wish)).await?;
    output::print(&format!(
        "Backup {} of Database {namespace}/{name} is loaded now, beside what is there; when it is compared, the server is started anew with it. `kubectl get database {name} --namespace {namespace} -w` shows what comes of it.\n",
        backup.name
    ))?;
    Ok(Verdict::Good)
}

/// A person types the name: what is lost by this is lost.
fn confirm(namespace: &str, name: &str, backup: &str, given: Option<&str>) -> Result<(), Error> {
    let typed = match given {
        Some(given) => given.to_owned(),
        None if std::io::stdin().is_terminal() => {
            output::progress(&format!(
                "What was written to Database {namespace}/{name} since {backup} is lost. Type its name to go on:"
            ));
            let mut line = String::new();
            let read = std::io::stdin().lock().read_line(&mut line);
            read.map_err(|source| Error::Io { what: "standard input".to_owned(), done: "read", source })?;
            line.trim().to_owned()
        }
        None => String::new(),
    };
    if typed == name {
        return Ok(());
    }
    Err(Error::Usage {
        sentence: format!(
            "nothing is restored: what was written to Database {namespace}/{name} since {backup} would be lost, and its name was not typed"
        ),
        hint: format!("on a terminal the name is asked for; elsewhere write `--confirm {name}`"),
    })
}
