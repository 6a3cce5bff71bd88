//! The command line from its arguments to its exit code.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use drover_core::backup::{BackupName, BackupResult, Ended};
use drover_core::errand::{Outcome, Reason, Refusal, Source, SyncOrder, SyncResult, slot};
use drover_core::restore::{Loaded, RestoreResult};
use rustix::fs::Mode;
use tracing_subscriber::EnvFilter;

use crate::databases::Server;
use crate::failure::Final as _;
use crate::secret::Secret;
use crate::stop::told_to_stop;
use crate::{assets, backup, clock, databases, git, logs, sync};

#[derive(Parser)]
#[command(version, about = "What drover does inside a Job")]
struct Program {
    #[command(subcommand)]
    errand: Errand,
}

#[derive(Subcommand)]
enum Errand {
    /// Make a folder equal to data that lives elsewhere
    Sync(Sync),
    /// Remove access logs whose days are long over
    PruneLogs(PruneLogs),
    /// Copy the files of an image to a folder of their own, and remove those of old releases
    KeepAssets(KeepAssets),
    /// Store a dump of a database in a repository, and take it out again
    BackupStore(Backup),
    /// Say what came of a backup, and remove those that are not kept
    BackupConclude(Backup),
    /// Take a backup out of a repository
    BackupTake {
        #[command(flatten)]
        backup: Backup,
        /// Which one. Default: the newest that is proven
        #[arg(long, value_name = "NAME")]
        name: Option<BackupName>,
    },
    /// Judge what was loaded into a database, and put it in its place
    RestoreConclude(Restored),
    /// Wait until databases can be connected to
    AwaitDatabases(AwaitDatabases),
}

#[derive(Args)]
struct AwaitDatabases {
    /// For how long at most
    #[arg(long, value_name = "SECONDS")]
    within_seconds: u64,
    /// The databases: what each is called, and where it is
    #[arg(required = true, value_name = "NAME=HOST:PORT")]
    servers: Vec<Server>,
}

#[derive(Args)]
struct Restored {
    /// The order, as JSON
    #[arg(long, value_name = "FILE")]
    order: PathBuf,
    /// The folder that the containers of the pod share
    #[arg(long, value_name = "DIR")]
    work: PathBuf,
    /// The mounted claim of the database
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Where the result goes: the container's termination message
    #[arg(long, value_name = "FILE")]
    result: PathBuf,
}

#[derive(Args)]
struct KeepAssets {
    /// The folder of the files
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    /// The mounted claim
    #[arg(long, value_name = "DIR")]
    claim: PathBuf,
    /// What the folder is called
    #[arg(long, value_name = "SET", value_parser = set)]
    set: String,
    /// Folders that stay beside it
    #[arg(long, value_name = "SET", value_parser = set)]
    keep: Vec<String>,
}

fn set(text: &str) -> Result<String, &'static str> {
    if assets::is_set(text) { Ok(text.to_owned()) } else { Err("a set is called by ten hexadecimal digits") }
}

#[derive(Args)]
struct Backup {
    /// The order, as JSON
    #[arg(long, value_name = "FILE")]
    order: PathBuf,
    /// The folder that the containers of the pod share
    #[arg(long, value_name = "DIR")]
    work: PathBuf,
    /// Where the result goes: the container's termination message
    #[arg(long, value_name = "FILE")]
    result: PathBuf,
    /// The mounted claim
    #[arg(long, value_name = "DIR")]
    claim: Option<PathBuf>,
    /// The mounted Secret of the bucket
    #[arg(long, value_name = "DIR")]
    secret: Option<PathBuf>,
    /// The mounted Secret with the key
    #[arg(long, value_name = "DIR")]
    key: Option<PathBuf>,
    /// Buckets may be on this machine: for tests
    #[arg(long, hide = true)]
    allow_loopback: bool,
}

impl Backup {
    fn given(&self) -> backup::Given {
        backup::Given {
            order: self.order.clone(),
            work: self.work.clone(),
            claim: self.claim.clone(),
            secret: self.secret.clone(),
            key: self.key.clone(),
            allow_loopback: self.allow_loopback,
        }
    }

    /// What did not succeed is told; what is on its way to the next container is not.
    fn done<T>(&self, done: Result<T, Refusal>) -> ExitCode {
        match done {
            Ok(_) => ExitCode::SUCCESS,
            Err(refusal) => self.tell(&backup::failed(&refusal, &self.work)),
        }
    }

    fn tell(&self, result: &BackupResult) -> ExitCode {
        tracing::info!(ended = ?result.ended, reason = result.reason, "{}", result.message);
        if let Err(error) = fs::write(&self.result, result.to_text()) {
            tracing::error!(%error, file = %self.result.display(), "the result cannot be written");
            return ExitCode::FAILURE;
        }
        if result.ended == Ended::Proven { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

#[derive(Args)]
struct PruneLogs {
    /// The folder of the logs
    #[arg(long, value_name = "DIR")]
    folder: PathBuf,
    /// For how many days a log is kept after its own
    #[arg(long, value_name = "N")]
    keep_days: u32,
}

#[derive(Args)]
struct Sync {
    /// The order, as JSON
    #[arg(long, value_name = "FILE")]
    order: PathBuf,
    /// The mounted claim
    #[arg(long, value_name = "DIR")]
    claim: PathBuf,
    /// Where the result goes: the container's termination message
    #[arg(long, value_name = "FILE")]
    result: PathBuf,
    /// The mounted Secret
    #[arg(long, value_name = "DIR")]
    secret: Option<PathBuf>,
    /// The Job of a schedule that this is: what a clock change repeats is done once
    #[arg(long, value_name = "JOB", requires = "time_zone")]
    scheduled: Option<String>,
    /// The time zone of that schedule
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Sources may be on this machine: for tests
    #[arg(long, hide = true)]
    allow_loopback: bool,
}

/// Runs the errand. The exit code is 0 where what is published is what the source holds.
pub fn main() -> ExitCode {
    let Program { errand } = Program::parse();
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info,rustic_core=warn"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).json().flatten_event(true).init();
    match errand {
        Errand::Sync(arguments) => sync_a_claim(&arguments),
        Errand::PruneLogs(arguments) => prune_logs(&arguments),
        Errand::KeepAssets(arguments) => keep_assets(&arguments),
        Errand::BackupStore(arguments) => arguments.done(backup::run(arguments.given(), backup::store)),
        Errand::BackupConclude(arguments) => match backup::run(arguments.given(), backup::conclude) {
            Ok(result) => arguments.tell(&result),
            Err(refusal) => arguments.done::<()>(Err(refusal)),
        },
        Errand::BackupTake { backup: arguments, name } => {
            arguments.done(backup::run(arguments.given(), move |errand| backup::take(errand, name.as_ref())))
        }
        Errand::RestoreConclude(arguments) => restored(&arguments),
        Errand::AwaitDatabases(arguments) => await_databases(&arguments),
    }
}

fn await_databases(AwaitDatabases { within_seconds, servers }: &AwaitDatabases) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: the wait for a database cannot be begun: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        tokio::select! {
            ended = databases::reached(servers, Duration::from_secs(*within_seconds)) => ended,
            () = told_to_stop() => Err("the wait for a database was told to stop".to_owned()),
        }
    });
    // A name that is being looked up is not waited for.
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            // In words, since people read it in a status.
            eprintln!("error: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn restored(arguments: &Restored) -> ExitCode {
    let result = backup::restored(&arguments.order, &arguments.work, &arguments.data)
        .unwrap_or_else(|refusal| RestoreResult::failed(&refusal));
    tracing::info!(ended = ?result.ended, reason = result.reason, "{}", result.message);
    if let Err(error) = fs::write(&arguments.result, result.to_text()) {
        tracing::error!(%error, file = %arguments.result.display(), "the result cannot be written");
        return ExitCode::FAILURE;
    }
    if result.ended == Loaded::Failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn keep_assets(KeepAssets { from, claim, set, keep }: &KeepAssets) -> ExitCode {
    match assets::keep(from, claim, set, keep) {
        Ok(kept) => {
            tracing::info!(set, files = kept.files, linked = kept.linked, removed = kept.removed, "the files are kept");
            ExitCode::SUCCESS
        }
        Err(error) => {
            // In words, since people read it in a status.
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn prune_logs(PruneLogs { folder, keep_days }: &PruneLogs) -> ExitCode {
    let today = clock::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    match logs::prune(folder, *keep_days, today) {
        Ok(removed) => {
            tracing::info!(removed, keep_days, "old access logs are removed");
            ExitCode::SUCCESS
        }
        Err(error) => {
            tracing::error!(%error, folder = %folder.display(), "old access logs cannot be removed");
            ExitCode::FAILURE
        }
    }
}

fn sync_a_claim(arguments: &Sync) -> ExitCode {
    // Folders 0755 and files 0644, whoever started it: consumers are other users.
    rustix::process::umask(Mode::WGRP | Mode::WOTH);
    let result = errand(arguments);
    let code = match result.outcome {
        Outcome::Published | Outcome::Unchanged => ExitCode::SUCCESS,
        Outcome::Refused | Outcome::Failed => ExitCode::FAILURE,
    };
    tracing::info!(outcome = ?result.outcome, reason = result.reason, set = result.set, "{}", result.message);
    // In place, since the file of a termination message is a mount.
    if let Err(error) = fs::write(&arguments.result, result.to_text()) {
        tracing::error!(%error, file = %arguments.result.display(), "the result cannot be written");
        return ExitCode::FAILURE;
    }
    code
}

fn errand(arguments: &Sync) -> SyncResult {
    let prepared = read_order(&arguments.order).and_then(|order| {
        let secret = if matches!(order.source, Source::Git(_)) {
            git::prepare(arguments.secret.as_deref())?;
            // A repository has other keys, and reads them itself.
            Secret::default()
        } else {
            arguments.secret.as_deref().map(Secret::read).transpose()?.unwrap_or_default()
        };
        rustls::crypto::ring::default_provider()
            .install_default()
            .map_err(|_| Refusal::new(Reason::BadOrder, "the TLS provider is installed already: a defect in drover"))?;
        let runtime = tokio::runtime::Runtime::new().or_final(Reason::ClaimFails, "threads cannot be started")?;
        Ok((order, secret, runtime))
    });
    match prepared {
        Ok((order, secret, runtime)) => {
            let result = runtime.block_on(async {
                let (job, zone) = (arguments.scheduled.as_deref(), arguments.time_zone.as_deref());
                let slot = job.zip(zone).and_then(|(job, zone)| slot(job, zone));
                let secret = (&secret, arguments.secret.as_deref());
                sync::run(&order, slot, secret, &arguments.claim, arguments.allow_loopback, told_to_stop()).await
            });
            // The disk may be slow to take what was not published after all: nobody waits for it.
            runtime.shutdown_background();
            result
        }
        Err(refusal) => SyncResult::refused(&refusal),
    }
}

fn read_order(file: &Path) -> Result<SyncOrder, Refusal> {
    let text = fs::read(file).or_final(Reason::BadOrder, format!("the order {} cannot be read", file.display()))?;
    SyncOrder::read(&text)
}
