//! The claim and what stands in it:
//!
//! ```text
//! .drover/lock              one sync at a time, whoever started it
//! .drover/sets/ID/          published sets, which nobody touches any more
//! .drover/manifests/ID.json what each of them holds
//! .drover/staging/          what is half done; the next sync begins by removing it
//! .drover/last.json         the last good result
//! .drover/published         leads to the published set, where it is published live
//! NAME                      leads to .drover/published/NAME
//! ```

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use drover_core::errand::{Kept, Last, Manifest, Reason, Refusal, is_set_id, to_remove};
use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with, statvfs, syncfs};
use tokio::time::{Instant, sleep};

use crate::clock;
use crate::failure::Final as _;

mod live;

/// How often a claim that another sync has is asked for.
const POLL: Duration = Duration::from_millis(100);

/// What a file's name and its line in the manifest take, in bytes.
const PER_FILE: u64 = 512;

/// What the links and notes of a set take, in bytes: they are written last, and must not be what does not fit.
const RESERVE: u64 = 64 << 10;

/// A claim that is ours until it is dropped.
pub struct Claim {
    root: PathBuf,
    /// Holds the lock.
    _lock: File,
}

impl Claim {
    /// Waits until no other sync has it.
    pub async fn lock(root: &Path, deadline: Instant) -> Result<Self, Refusal> {
        let unusable = || format!("the claim at {} cannot be written", root.display());
        if !root.is_dir() {
            return Err(Refusal::new(Reason::ClaimFails, format!("no claim is mounted at {}", root.display())));
        }
        let own = root.join(".drover");
        fs::create_dir_all(&own).or_final(Reason::ClaimFails, unusable())?;
        let lock = File::options().create(true).truncate(false).write(true).open(own.join("lock"));
        let lock = lock.or_final(Reason::ClaimFails, unusable())?;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() + 2 * POLL < deadline => sleep(POLL).await,
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let sentence = "another sync has had the claim for as long as this one may take: raise timeout, or sync less often";
                    return Err(Refusal::new(Reason::ClaimBusy, sentence));
                }
                Err(error) => return Err(error).or_final(Reason::ClaimFails, "the claim cannot be locked"),
            }
        }
        let claim = Self { root: root.to_owned(), _lock: lock };
        for folder in ["sets", "manifests"] {
            fs::create_dir_all(claim.own(folder)).or_final(Reason::ClaimFails, unusable())?;
        }
        claim.clear_staging()?;
        Ok(claim)
    }

    fn own(&self, name: &str) -> PathBuf {
        self.root.join(".drover").join(name)
    }

    /// Where a set is made before it is published.
    pub fn staging(&self) -> PathBuf {
        self.own("staging").join("set")
    }

    /// Where a published set is.
    pub fn set(&self, id: &str) -> PathBuf {
        self.own("sets").join(id)
    }

    fn manifest_file(&self, id: &str) -> PathBuf {
        self.own("manifests").join(format!("{id}.json"))
    }

    /// Leaves nothing half done behind, and an empty staging folder.
    pub fn clear_staging(&self) -> Result<(), Refusal> {
        let staging = self.own("staging");
        let removed = match fs::remove_dir_all(&staging) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        removed
            .and_then(|()| fs::create_dir_all(self.staging()))
            .or_final(Reason::ClaimFails, "what an earlier sync left half done in the claim cannot be removed")
    }

    /// The last good result, where its set is still whole.
    pub fn last(&self) -> Result<Option<(Last, Manifest)>, Refusal> {
        let Some(last) = read::<Last>(&self.own("last.json"))? else { return Ok(None) };
        if !is_set_id(&last.set) {
            return Ok(None);
        }
        Ok(self.manifest(&last.set)?.map(|manifest| (last, manifest)))
    }

    /// What a published set holds; `None` where there is no such set.
    pub fn manifest(&self, id: &str) -> Result<Option<Manifest>, Refusal> {
        if !self.set(id).is_dir() {
            return Ok(None);
        }
        read(&self.manifest_file(id))
    }

    /// Refuses what will not fit, with what is needed and what is free.
    pub fn refuse_without_room(&self, bytes: u64, files: u64) -> Result<(), Refusal> {
        let volume = statvfs(&self.root).or_final(Reason::ClaimFails, "the claim cannot be asked for its room")?;
        let free = volume.f_bavail.saturating_mul(volume.f_frsize);
        // What a file takes beside its bytes: the rest of its last block, a name, and a line of the manifest.
        let beside = files.saturating_mul(volume.f_frsize / 2 + PER_FILE).saturating_add(RESERVE);
        let needed = bytes.saturating_add(beside);
        if needed > free {
            let sentence = format!(
                "the set needs {needed} bytes and the claim has {free} free: make it larger, or keep fewer sets"
            );
            return Err(Refusal::new(Reason::NoSpace, sentence));
        }
        if volume.f_files > 0 && files > volume.f_favail {
            let sentence = format!(
                "the set needs {files} files and the claim has room for {} more: make it larger, or keep fewer sets",
                volume.f_favail
            );
            return Err(Refusal::new(Reason::NoSpace, sentence));
        }
        Ok(())
    }

    /// Makes what stands in the staging folder a published set: whole on the disk before it has its name.
    pub async fn keep(&self, manifest: &Manifest) -> Result<(), Refusal> {
        let failed = "the set cannot be written to the disk";
        let id = manifest.id();
        self.write(&self.manifest_file(&id), manifest, None)?;
        let volume = File::open(&self.root).or_final(Reason::ClaimFails, failed)?;
        let synced = tokio::task::spawn_blocking(move || syncfs(volume.as_fd())).await;
        synced.map_err(io::Error::other).and_then(|synced| Ok(synced?)).or_final(Reason::ClaimFails, failed)?;
        if self.set(&id).exists() {
            // Its manifest was damaged: this one takes its place in one step, also for readers.
            renameat_with(CWD, self.staging(), CWD, self.set(&id), RenameFlags::EXCHANGE)
                .or_final(Reason::ClaimFails, failed)?;
        } else {
            fs::rename(self.staging(), self.set(&id)).or_final(Reason::ClaimFails, failed)?;
        }
        sync_folder(&self.own("sets"))
    }

    /// Notes that a set which is there already is published again.
    pub fn note_again(&self, manifest: &Manifest) -> Result<(), Refusal> {
        self.write(&self.manifest_file(&manifest.id()), manifest, None)
    }

    /// Notes what the source calls the files of the published set now. When it was published stays as it is.
    pub fn note_names(&self, manifest: &Manifest) -> Result<(), Refusal> {
        let file = self.manifest_file(&manifest.id());
        let since = fs::metadata(&file).and_then(|file| file.modified()).ok();
        self.write(&file, manifest, since)
    }

    /// Notes a good result.
    pub fn note_last(&self, last: &Last) -> Result<(), Refusal> {
        self.write(&self.own("last.json"), last, None)?;
        sync_folder(&self.own("."))
    }

    fn write(&self, file: &Path, what: &impl serde::Serialize, dated: Option<SystemTime>) -> Result<(), Refusal> {
        let failed = "the claim cannot be written";
        let text = serde_json::to_vec(what).map_err(io::Error::from).or_final(Reason::ClaimFails, failed)?;
        let beside = self.own("staging").join("note");
        let written = || {
            let mut note = File::create(&beside)?;
            note.write_all(&text)?;
            if let Some(dated) = dated {
                note.set_modified(dated)?;
            }
            note.sync_all()?;
            fs::rename(&beside, file)
        };
        written().or_final(Reason::ClaimFails, failed)
    }

    /// Removes the sets that nobody can still be reading. What cannot be removed is told in the log and tried again by the next sync.
    pub fn prune(&self, published: &str, in_use: &[String], keep: u32, keep_for: u64) {
        let sets = match self.kept() {
            Ok(sets) => sets,
            Err(error) => return tracing::warn!(%error, "the claim's sets cannot be listed, so none is removed"),
        };
        let mut in_use: BTreeSet<&str> = in_use.iter().map(String::as_str).collect();
        // A sync that was killed may have led readers elsewhere than it noted.
        let live = fs::read_link(self.own("published")).ok();
        in_use.extend(live.as_deref().and_then(Path::file_name).and_then(OsStr::to_str));
        let now = clock::millis() / 1000;
        for id in to_remove(&sets, published, &in_use, keep, keep_for, now) {
            // By one step out of sight, so that nobody finds half a set.
            let gone = self.own("staging").join(&id);
            let removed = fs::rename(self.set(&id), &gone)
                .and_then(|()| fs::remove_file(self.manifest_file(&id)))
                .and_then(|()| fs::remove_dir_all(&gone));
            match removed {
                Ok(()) => tracing::info!(set = id, "removed"),
                Err(error) => tracing::warn!(set = id, %error, "cannot be removed"),
            }
        }
    }

    /// All sets, with when they were published: a manifest is written then.
    fn kept(&self) -> io::Result<Vec<Kept>> {
        let mut sets = Vec::new();
        for entry in fs::read_dir(self.own("sets"))? {
            let Ok(id) = entry?.file_name().into_string() else { continue };
            if is_set_id(&id) {
                let written = fs::metadata(self.manifest_file(&id)).and_then(|file| file.modified());
                let since = written.unwrap_or(SystemTime::UNIX_EPOCH).duration_since(UNIX_EPOCH);
                sets.push(Kept { id, published: since.map_or(0, |since| since.as_secs()) });
            }
        }
        Ok(sets)
    }
}

/// A file that cannot be made sense of counts as none: what it says is found out anew.
fn read<T: serde::de::DeserializeOwned>(file: &Path) -> Result<Option<T>, Refusal> {
    match fs::read(file) {
        Ok(text) => Ok(serde_json::from_slice(&text)
            .inspect_err(|error| tracing::warn!(%error, file = %file.display(), "unreadable, so made anew"))
            .ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).or_final(Reason::ClaimFails, "the claim cannot be read"),
    }
}

fn sync_folder(folder: &Path) -> Result<(), Refusal> {
    File::open(folder).and_then(|folder| folder.sync_all()).or_final(Reason::ClaimFails, "the claim cannot be written")
}
