//! A folder of a mounted claim:
//!
//! ```text
//! restic/     the repository, which restic reads
//! .lock       one process writes at a time
//! .staging/   what is half written; the next run begins by removing it
//! ```

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;
use std::time::{Duration, Instant};

use bytes::Bytes;
use drover_core::errand::{Reason, Refusal};
use rustic_core::{FileType, Id};
use rustix::fs::{Advice, CWD, FlockOperation, RenameFlags, fadvise, flock, renameat_with};

use super::{Place, path};
use crate::failure::Final as _;

/// How often a claim that another run has is asked for.
const POLL: Duration = Duration::from_millis(100);

const UNREADABLE: &str = "the backups on the claim cannot be read";
const UNWRITABLE: &str = "the backups on the claim cannot be written";

/// A folder that is ours until it is dropped.
pub struct Folder {
    repository: PathBuf,
    staging: PathBuf,
    /// Holds the lock.
    _lock: File,
}

impl Folder {
    /// Waits until no other run has the claim.
    pub fn lock(claim: &Path, deadline: Instant) -> Result<Self, Refusal> {
        if !claim.is_dir() {
            return Err(Refusal::new(Reason::ClaimFails, format!("no claim is mounted at {}", claim.display())));
        }
        let lock = File::options().create(true).truncate(false).write(true).open(claim.join(".lock"));
        let lock = lock.or_final(Reason::ClaimFails, UNWRITABLE)?;
        loop {
            match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => break,
                Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() + 2 * POLL < deadline => std::thread::sleep(POLL),
                Err(rustix::io::Errno::WOULDBLOCK) => {
                    let sentence = "another backup has had the claim for as long as this one may take: wait for it, or delete its Job";
                    return Err(Refusal::new(Reason::ClaimBusy, sentence));
                }
                Err(error) => return Err(error).or_final(Reason::ClaimFails, "the claim cannot be locked"),
            }
        }
        let (repository, staging) = (claim.join("restic"), claim.join(".staging"));
        match fs::remove_dir_all(&staging) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed.or_final(Reason::ClaimFails, UNWRITABLE)?,
        }
        fs::create_dir(&staging).or_final(Reason::ClaimFails, UNWRITABLE)?;
        Ok(Self { repository, staging, _lock: lock })
    }

    fn file(&self, kind: FileType, id: &Id) -> PathBuf {
        self.repository.join(path(kind, id))
    }

    fn collect(folder: &Path, depth: u32, into: &mut Vec<(Id, u32)>) -> io::Result<()> {
        let entries = match fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            if depth > 0 && entry.file_type()?.is_dir() {
                Self::collect(&entry.path(), depth - 1, into)?;
            }
            let Some(id) = entry.file_name().to_str().and_then(|name| Id::from_str(name).ok()) else { continue };
            // One that another run removed meanwhile is not there.
            let Ok(size) = entry.metadata().map(|found| found.len()) else { continue };
            into.push((id, size.try_into().unwrap_or(u32::MAX)));
        }
        Ok(())
    }
}

impl Place for Folder {
    fn name(&self) -> String {
        "the claim".to_owned()
    }

    fn list(&self, kind: FileType) -> Result<Vec<(Id, u32)>, Refusal> {
        if kind == FileType::Config {
            return match fs::metadata(self.repository.join("config")) {
                Ok(found) => Ok(vec![(Id::default(), found.len().try_into().unwrap_or(u32::MAX))]),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
                Err(error) => Err(error).or_final(Reason::ClaimFails, UNREADABLE),
            };
        }
        let mut all = Vec::new();
        let folder = self.repository.join(kind.dirname());
        Self::collect(&folder, u32::from(kind == FileType::Pack), &mut all).or_final(Reason::ClaimFails, UNREADABLE)?;
        Ok(all)
    }

    fn read(&self, kind: FileType, id: &Id, range: Option<(u32, u32)>) -> Result<Bytes, Refusal> {
        let read = || match range {
            None => fs::read(self.file(kind, id)),
            Some((offset, length)) => {
                let mut content = vec![0; length as usize];
                File::open(self.file(kind, id))?.read_exact_at(&mut content, offset.into())?;
                Ok(content)
            }
        };
        match read() {
            Ok(content) => Ok(content.into()),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof) => {
                let file = path(kind, id);
                let sentence = format!(
                    "the repository on the claim is damaged, and {file} gone or cut: put it back from where you copy backups to, or move it away and run `restic rebuild-index`, and the next backup stores anew what it held"
                );
                Err(Refusal::of(Reason::RepositoryDamaged, &file, sentence))
            }
            Err(error) => Err(error).or_final(Reason::ClaimFails, format!("{UNREADABLE} ({})", path(kind, id))),
        }
    }

    fn write(&self, kind: FileType, id: &Id, content: Bytes) -> Result<bool, Refusal> {
        let (file, staged) = (self.file(kind, id), self.staging.join(path(kind, id).replace('/', "-")));
        let written = || {
            let mut beside = File::create(&staged)?;
            beside.write_all(&content)?;
            beside.sync_all()?;
            // So that what is read again comes from the disk.
            let _ = fadvise(&beside, 0, None, Advice::DontNeed);
            if let Some(folder) = file.parent() {
                fs::create_dir_all(folder)?;
                let flags = if kind == FileType::Config { RenameFlags::NOREPLACE } else { RenameFlags::empty() };
                renameat_with(CWD, &staged, CWD, &file, flags)?;
                File::open(folder)?.sync_all()?;
            }
            Ok::<_, io::Error>(())
        };
        match written() {
            Err(error) if kind == FileType::Config && error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            written => written.or_final(Reason::ClaimFails, UNWRITABLE).map(|()| true),
        }
    }

    fn remove(&self, kind: FileType, id: &Id) -> Result<(), Refusal> {
        match fs::remove_file(self.file(kind, id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.or_final(Reason::ClaimFails, UNWRITABLE),
        }
    }
}
