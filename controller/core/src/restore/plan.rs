//! What a spec or a person wants to be loaded, with every default filled in.

use drover_crds::{self as crds, DatabaseInit, Duration};

use super::request::RestoreRequest;
use crate::backup::{BackupName, BadName, Check, ValidatedBackup};
use crate::errand::{Guard, HttpSource, PathPair, Publish, Refusal, S3Source, Source, SyncOrder, region};

/// How long a restore may take, in seconds, where the spec does not say.
const TIMEOUT: u64 = 2 * 3600;
/// What a dump is called that was fetched.
pub(super) const FETCHED: &str = "dump";

/// What is wrong with what a spec says of `init`, each as one sentence that says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidInit {
    /// Not exactly one.
    #[error(
        "spec.init names {0} things to load: write exactly one of fromBackup or fromDump, and of a dump exactly one of claim, s3 or http"
    )]
    Sources(usize),
    /// No name of a backup.
    #[error("spec.init.fromBackup.backup: {0}")]
    Name(#[from] BadName),
    /// There is nowhere to take it from.
    #[error(
        "spec.init.fromBackup names no other Database, and spec.backup does not say where this one's backups are: write one of the two"
    )]
    NoBackups,
    /// The errand would not take the order.
    #[error("spec.init.fromDump: {0}")]
    Order(#[from] Refusal),
}

/// What a Database begins with.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedInit {
    /// What is loaded.
    pub source: InitSource,
    /// How long that may take, in seconds.
    pub timeout_seconds: u64,
}

/// What is loaded, as a spec names it.
#[derive(Clone, Debug, PartialEq)]
pub enum InitSource {
    /// A backup of this Database, or of another in its namespace.
    Backup {
        /// The other one.
        database: Option<String>,
        /// Which. The newest that is proven, where it does not say.
        backup: Option<BackupName>,
    },
    /// A dump that somebody else made.
    Dump(DumpSource),
}

/// Where a dump is.
#[derive(Clone, Debug, PartialEq)]
pub enum DumpSource {
    /// A file on a claim.
    Claim {
        /// The claim.
        name: String,
        /// The file.
        path: String,
    },
    /// What an errand fetches.
    Fetched {
        /// What it is told.
        order: Box<SyncOrder>,
        /// The Secret that it reads the source with.
        secret: Option<String>,
        /// How a sentence names it.
        shown: String,
    },
}

/// What is loaded, and where that is.
#[derive(Clone, Debug, PartialEq)]
pub enum RestoreSource {
    /// A backup, of the Database that it was made of.
    Backup {
        /// Its backups.
        of: Box<ValidatedBackup>,
        /// Which. The newest that is proven, where it does not say.
        backup: Option<BackupName>,
    },
    /// A dump that somebody else made.
    Dump(DumpSource),
}

/// A restore.
#[derive(Clone, Debug, PartialEq)]
pub struct Restore {
    /// What asks for it.
    pub request: RestoreRequest,
    /// What is loaded.
    pub source: RestoreSource,
    /// How long that may take, in seconds.
    pub timeout_seconds: u64,
}

impl ValidatedInit {
    /// Checks what a spec says. `has_backups` tells whether it says where its own backups go.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(init: &DatabaseInit, has_backups: bool) -> Result<Self, InvalidInit> {
        let timeout_seconds = init.timeout.map_or(TIMEOUT, Duration::as_secs);
        let source = match (&init.from_backup, &init.from_dump) {
            (Some(from), None) => {
                if from.database.is_none() && !has_backups {
                    return Err(InvalidInit::NoBackups);
                }
                let backup = from.backup.as_deref().map(str::parse).transpose()?;
                InitSource::Backup { database: from.database.clone(), backup }
            }
            (None, Some(dump)) => InitSource::Dump(dump_source(dump, timeout_seconds)?),
            (backup, dump) => {
                return Err(InvalidInit::Sources(usize::from(backup.is_some()) + usize::from(dump.is_some())));
            }
        };
        Ok(Self { source, timeout_seconds })
    }
}

impl Restore {
    /// A backup of `of`, as a person asks for it.
    pub fn of_backup(request: RestoreRequest, of: ValidatedBackup, backup: BackupName) -> Self {
        let timeout_seconds = of.order.timeout_seconds;
        Self { request, source: RestoreSource::Backup { of: Box::new(of), backup: Some(backup) }, timeout_seconds }
    }

    /// What the restored database must answer.
    pub(super) fn checks(&self) -> &[Check] {
        match &self.source {
            RestoreSource::Backup { of, .. } => &of.order.checks,
            RestoreSource::Dump(_) => &[],
        }
    }
}

impl DumpSource {
    /// How a sentence names it.
    pub fn shown(&self) -> String {
        match self {
            Self::Claim { name, path } => format!("the dump {path} on claim {name}"),
            Self::Fetched { shown, .. } => format!("the dump {shown}"),
        }
    }
}

fn dump_source(dump: &crds::InitFromDump, timeout_seconds: u64) -> Result<DumpSource, InvalidInit> {
    let fetched = |source: Source, secret: Option<&crds::LocalObjectReference>, shown: String| {
        let order = SyncOrder {
            source,
            publish: Publish::Live,
            guard: Guard::default(),
            keep: 1,
            keep_for_seconds: 0,
            timeout_seconds,
            in_use: Vec::new(),
        };
        order.check()?;
        Ok(DumpSource::Fetched { order: Box::new(order), secret: secret.map(|secret| secret.name.clone()), shown })
    };
    match (&dump.claim, &dump.s3, &dump.http) {
        (Some(claim), None, None) => Ok(DumpSource::Claim { name: claim.name.clone(), path: claim.path.clone() }),
        (None, Some(s3), None) => {
            let source = Source::S3(S3Source {
                endpoint: s3.endpoint.clone(),
                region: region(s3.region.as_ref()),
                bucket: s3.bucket.clone(),
                prefix: None,
                paths: vec![PathPair { from: s3.key.clone(), to: FETCHED.to_owned() }],
                signed: s3.secret_ref.is_some(),
            });
            fetched(source, s3.secret_ref.as_ref(), format!("{} of bucket {}", s3.key, s3.bucket))
        }
        (None, None, Some(http)) => {
            let authenticated = http.secret_ref.is_some();
            let source = Source::Http(HttpSource { url: http.url.clone(), to: FETCHED.to_owned(), authenticated });
            // What follows a question mark may be a secret.
            let shown = http.url.split(['?', '#']).next().unwrap_or_default().to_owned();
            fetched(source, http.secret_ref.as_ref(), shown)
        }
        (claim, s3, http) => Err(InvalidInit::Sources(
            usize::from(claim.is_some()) + usize::from(s3.is_some()) + usize::from(http.is_some()),
        )),
    }
}
