//! The errands of a backup. In the pod's work folder stand
//!
//! ```text
//! dump/         the dump, and what was in the database: the script `dump` writes both
//! restored/     the same, as it came out of the repository
//! stored.json   what was stored
//! proof/        what came of loading it: the script `prove` writes it
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use drover_core::backup::{BackupName, BackupOrder, BackupResult, Repository};
use drover_core::errand::{Reason, Refusal};
use serde::{Deserialize, Serialize};
use tokio::runtime::{Handle, Runtime};

use crate::clock;
use crate::failure::Final as _;
use crate::repository::{Backups, Bucket, Folder, Key};
use crate::s3;
use crate::secret::Secret;
use crate::stop::told_to_stop;
use crate::web::Web;

mod conclude;
mod restore;
mod store;
mod take;

pub use conclude::conclude;
pub use restore::conclude as restored;
pub use store::store;
pub use take::take;

/// What an errand of a backup is given.
pub struct Given {
    pub order: PathBuf,
    pub work: PathBuf,
    pub claim: Option<PathBuf>,
    pub secret: Option<PathBuf>,
    pub key: Option<PathBuf>,
    pub allow_loopback: bool,
}

/// An errand of a backup at its work.
pub struct Errand {
    pub order: BackupOrder,
    pub work: PathBuf,
    given: Given,
    runtime: Handle,
    deadline: Instant,
}

/// What one container of a backup tells the next.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Note {
    pub name: BackupName,
    pub id: String,
    pub added_bytes: u64,
    /// Milliseconds since 1970, when the restore began.
    pub restoring_since: u64,
}

impl Errand {
    /// The repository.
    pub fn open(&self, make: bool) -> Result<Backups, Refusal> {
        let key = Key::read(&self.order, self.given.key.as_deref())?;
        match &self.order.repository {
            Repository::Claim => {
                let claim = self.given.claim.as_deref().unwrap_or(Path::new("/backup"));
                Backups::open(Folder::lock(claim, self.deadline)?, &self.order, &key, make)
            }
            Repository::S3(place) => {
                let secret = self.given.secret.as_deref().map(Secret::read).transpose()?.unwrap_or_default();
                let web = Web::new(&secret, self.given.allow_loopback)?;
                let bucket = s3::Bucket::new(&web, &place.as_source(), &secret, self.deadline.into())?;
                let bucket = Bucket::new(bucket, &place.bucket, &place.prefix, self.runtime.clone());
                Backups::open(bucket, &self.order, &key, make)
            }
        }
    }

    fn note(&self) -> PathBuf {
        self.work.join("stored.json")
    }
}

/// Runs `work` to its end, or until it is told to stop, or the time is up.
pub fn run<T: Send + 'static>(
    given: Given,
    work: impl FnOnce(&Errand) -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let text = fs::read(&given.order)
        .or_final(Reason::BadOrder, format!("the order {} cannot be read", given.order.display()))?;
    let order = BackupOrder::read(&text)?;
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| Refusal::new(Reason::BadOrder, "the TLS provider is installed already: a defect in drover"))?;
    let runtime = Runtime::new().or_final(Reason::ClaimFails, "threads cannot be started")?;
    let patience = Duration::from_secs(order.timeout_seconds);
    let seconds = order.timeout_seconds;
    let errand = Errand {
        order,
        work: given.work.clone(),
        given,
        runtime: runtime.handle().clone(),
        deadline: Instant::now() + patience,
    };
    let done = runtime.block_on(async {
        tokio::select! {
            biased;
            () = told_to_stop() => Err(Refusal::new(Reason::Stopped, "the backup was told to stop, and what was there stays")),
            done = tokio::task::spawn_blocking(move || work(&errand)) => done.unwrap_or_else(|_| {
                Err(Refusal::new(Reason::ClaimFails, "the backup ended by a defect in drover, which the log of its pod shows"))
            }),
            () = tokio::time::sleep(patience) => {
                let sentence = format!("the backup was not done within {seconds} s: raise backup.timeout");
                Err(Refusal::new(Reason::TimedOut, sentence))
            }
        }
    });
    // What waits for a disk or a server is not waited for.
    runtime.shutdown_background();
    done
}

/// A result of what did not come to its end, about the backup that was stored before, where one was.
pub fn failed(refusal: &Refusal, work: &Path) -> BackupResult {
    let note: Option<Note> =
        fs::read(work.join("stored.json")).ok().and_then(|text| serde_json::from_slice(&text).ok());
    BackupResult { name: note.map(|note| note.name), ..BackupResult::failed(refusal) }
}

/// A file that a script of the same pod wrote, as far as it is believed to have been that long.
fn read_up_to(path: &Path, most: u64) -> Result<Option<String>, Refusal> {
    use std::io::Read as _;
    let failed = format!("{} cannot be read", path.display());
    let file = match fs::File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.or_final(Reason::ClaimFails, &failed)?,
    };
    let mut content = Vec::new();
    file.take(most).read_to_end(&mut content).or_final(Reason::ClaimFails, &failed)?;
    Ok(Some(String::from_utf8_lossy(&content).into_owned()))
}

/// Makes a folder anew, empty.
fn make_empty(folder: &Path) -> Result<(), Refusal> {
    let failed = "the work folder cannot be written";
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        removed => removed.or_final(Reason::ClaimFails, failed)?,
    }
    fs::create_dir(folder).or_final(Reason::ClaimFails, failed)
}

/// Milliseconds since 1970.
fn now_millis() -> u64 {
    clock::millis()
}
