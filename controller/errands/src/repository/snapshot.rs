//! One backup in a repository: a snapshot of two files, with the tag `proven` once a restore of it was checked.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use drover_core::backup::{BackupName, Kept};
use drover_core::engine::{DUMP_FILE, FACTS_FILE};
use drover_core::errand::{Reason, Refusal};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use rustic_core::repofile::{Metadata, Node, NodeType, SnapshotFile, SnapshotId, StringList};
use rustic_core::{BackupOptions, ParentOptions, ReadSource, ReadSourceEntry, RusticResult, SnapshotOptions};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Backups, hex};
use crate::failure::Final as _;

/// The tag of what came back as it was.
const PROVEN: &str = "proven";

/// A backup.
#[derive(Clone)]
pub struct Snapshot {
    pub name: BackupName,
    pub proof: Option<Proof>,
    pub(super) file: SnapshotFile,
    /// The same once more, as a run leaves it behind that is killed while it marks it.
    pub(super) twice: Vec<SnapshotId>,
}

/// What is written into a backup that came back as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    pub verified_at: Timestamp,
    pub took_seconds: u64,
    pub rows: u64,
}

/// What was stored.
pub struct Stored {
    pub snapshot: Snapshot,
    pub added_bytes: u64,
    pub contents: Contents,
}

/// The digests of the files of a backup, in the order in which they are stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contents(Vec<Content>);

/// The name of a file, its digest, and its size in bytes.
type Content = (&'static str, String, u64);

impl Snapshot {
    /// `None` for a snapshot that somebody else made.
    pub(super) fn of(file: SnapshotFile) -> Option<Self> {
        let name = file.tags.iter().find_map(|tag| tag.parse().ok())?;
        let is_proven = file.tags.contains(PROVEN);
        // Where a person put the tag, nothing says how it was proven.
        let proof = file.description.as_deref().filter(|_| is_proven).and_then(|text| serde_json::from_str(text).ok());
        Some(Self { name, proof, file, twice: Vec::new() })
    }

    /// When it was stored.
    pub fn at(&self) -> Timestamp {
        self.file.time.timestamp()
    }

    /// The size of the dump, in bytes.
    pub fn bytes(&self) -> u64 {
        self.file.summary.as_ref().map_or(0, |summary| summary.total_bytes_processed)
    }

    /// The id by which restic finds it.
    pub fn id(&self) -> String {
        hex(&self.file.id)
    }

    /// As a person is told of it.
    pub fn kept(&self) -> Kept {
        Kept {
            name: self.name.clone(),
            bytes: self.bytes(),
            verified_at: self.proof.as_ref().map(|proof| proof.verified_at),
            took_seconds: self.proof.as_ref().map(|proof| proof.took_seconds),
            rows: self.proof.as_ref().map(|proof| proof.rows),
        }
    }
}

impl Backups {
    /// Stores the two files of a folder.
    ///
    /// The library leaves out of a snapshot what it cannot read or write, and says so in its log alone: so what it holds is compared.
    pub fn store(&self, folder: &Path, now: Timestamp) -> Result<Stored, Refusal> {
        let at = self.free(now)?;
        let name = BackupName::of(at);
        let time = at.to_zoned(TimeZone::UTC);
        let tag = SnapshotOptions::default()
            .host(self.database.clone())
            .command("drover backup".to_owned())
            .time(time)
            .add_tags(name.as_str());
        let snapshot = self.done(tag.and_then(|options| options.to_snapshot()), "the backup cannot be described")?;
        let source = Source::of(folder, at)?;
        let index = self.done(self.again()?.to_indexed_ids(), "the repository's index cannot be read")?;
        // Nothing is believed unread because it has the size and time of a file that was stored before.
        let parents = ParentOptions::default().force(true);
        let options = BackupOptions::default().no_scan(true).parent_opts(parents);
        let paths = [PathBuf::from("/")];
        let stored = self.done(index.archive(&options, &source, snapshot, &paths), "the backup cannot be stored")?;
        if let Some(fault) = self.store.take_fault() {
            return Err(fault);
        }
        let added_bytes = stored.summary.as_ref().map_or(0, |summary| summary.data_added_packed);
        let contents = source.contents();
        let expected: u64 = source.files.iter().map(|file| file.size).sum();
        let read: u64 = contents.0.iter().map(|(_, _, size)| *size).sum();
        if contents.0.len() != source.files.len() || read != expected {
            let sentence = "the dump could not be read to its end when it was stored: the next backup tries again";
            return Err(Refusal::new(Reason::DumpCut, sentence));
        }
        let snapshot = self.with_a_name_of_its_own(stored)?;
        Ok(Stored { snapshot, added_bytes, contents })
    }

    /// The first second from `from` on that no backup is called after.
    fn free(&self, from: Timestamp) -> Result<Timestamp, Refusal> {
        let taken: Vec<BackupName> = self.list()?.into_iter().map(|snapshot| snapshot.name).collect();
        let mut at = Timestamp::from_second(from.as_second()).unwrap_or(from);
        while taken.contains(&BackupName::of(at)) {
            at = later(at, 1);
        }
        Ok(at)
    }

    /// What was stored, under a name that no other backup has. In a bucket two runs may take the same second: each looks after it has
    /// written, so the later one sees the other and takes another second, and then looks again.
    fn with_a_name_of_its_own(&self, stored: SnapshotFile) -> Result<Snapshot, Refusal> {
        let first = stored.id;
        let is_own = |other: &Snapshot| other.file.id == first || other.file.original == Some(first);
        let mut own = Snapshot::of(stored).expect("its tag is a name");
        loop {
            let (mine, others): (Vec<_>, Vec<_>) = self.all()?.into_iter().partition(is_own);
            own = mine.into_iter().find(|mine| mine.name == own.name).unwrap_or(own);
            if others.iter().all(|other| other.name != own.name) {
                return Ok(own);
            }
            // Two that saw each other go different ways.
            let apart = i64::from(hex(&own.file.id).bytes().fold(0_u8, u8::wrapping_add) % 60) + 1;
            let at = self.free(later(own.at(), apart))?;
            let name = BackupName::of(at);
            let mut renamed = own.file.clone();
            renamed.time = at.to_zoned(TimeZone::UTC);
            renamed.tags = name.as_str().parse().expect("a tag");
            renamed.original = Some(first);
            let failed = "the backup cannot be given a name of its own";
            self.done(self.repository.save_snapshots(vec![renamed.clone()]), failed)?;
            self.done(self.repository.delete_snapshots(&[own.file.id]), failed)?;
            own = Snapshot::of(renamed).expect("its tag is a name");
        }
    }

    /// Takes the files of a backup out again, into an empty folder. Returns what they hold.
    pub fn take_out(&self, snapshot: &Snapshot, into: &Path) -> Result<Contents, Refusal> {
        let failed = format!("the backup {} cannot be read", snapshot.name);
        let index = self.done(self.again()?.to_indexed(), &failed)?;
        let mut contents = Vec::new();
        for name in [DUMP_FILE, FACTS_FILE] {
            let node = self.done(index.node_from_snapshot_and_path(&snapshot.file, name), &failed)?;
            let file =
                File::create_new(into.join(name)).or_final(Reason::ClaimFails, "the work folder cannot be written")?;
            let mut digest = Digesting::new(io::BufWriter::with_capacity(1 << 20, file));
            let taken = index.dump(&node, &mut digest);
            // What the node's disk does not take says nothing of the repository.
            let written = digest.failed.take().map_or_else(|| digest.inner.flush(), Err);
            written.map_err(|error| no_room(&error))?;
            self.done(taken, &failed)?;
            if node.meta.size != digest.size {
                let sentence = format!("{failed}: its file {name} is shorter than it was");
                return Err(Refusal::new(Reason::RepositoryDamaged, sentence));
            }
            contents.push((name, hex::encode(digest.digest.finalize()), digest.size));
        }
        Ok(Contents(contents))
    }

    /// Marks a backup as proven: it is written anew with the mark, and then removed without it.
    pub fn mark(&self, snapshot: &Snapshot, proof: &Proof) -> Result<(), Refusal> {
        let mut marked = snapshot.file.clone();
        marked.tags.add_list(PROVEN.parse::<StringList>().expect("a tag"));
        marked.description = Some(serde_json::to_string(proof).expect("numbers are JSON"));
        let failed = "the backup cannot be marked as proven";
        self.done(self.repository.save_snapshots(vec![marked]), failed)?;
        self.done(self.repository.delete_snapshots(&[snapshot.file.id]), failed)
    }
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(at)
}

/// The files of a backup, as the library reads them.
struct Source {
    files: Vec<SourceFile>,
    read: Arc<Mutex<Vec<Content>>>,
}

#[derive(Clone)]
struct SourceFile {
    name: &'static str,
    path: PathBuf,
    size: u64,
    at: Timestamp,
}

impl Source {
    fn of(folder: &Path, at: Timestamp) -> Result<Self, Refusal> {
        let file = |name: &'static str| {
            let path = folder.join(name);
            let size = path.metadata().or_final(Reason::DumpCut, format!("there is no file {name} to store"))?.len();
            Ok(SourceFile { name, path, size, at })
        };
        Ok(Self { files: vec![file(DUMP_FILE)?, file(FACTS_FILE)?], read: Arc::default() })
    }

    /// What was read to its end.
    fn contents(&self) -> Contents {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        read.sort_by_key(|(name, _, _)| self.files.iter().position(|file| file.name == *name));
        Contents(read)
    }
}

impl ReadSource for Source {
    type Open = Reading;
    type Iter = std::vec::IntoIter<RusticResult<ReadSourceEntry<Reading>>>;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Self::Iter {
        let entry = |file: &SourceFile| {
            let metadata = Metadata { mode: Some(0o600), mtime: Some(file.at), size: file.size, ..Metadata::default() };
            let node = Node::new_node(file.name.as_ref(), NodeType::File, metadata);
            let open = Reading { file: file.clone(), open: None, read: Arc::clone(&self.read) };
            Ok(ReadSourceEntry { path: Path::new("/").join(file.name), node, open: Some(open) })
        };
        self.files.iter().map(entry).collect::<Vec<_>>().into_iter()
    }
}

/// A file that is read once.
struct Reading {
    file: SourceFile,
    open: Option<Digesting<File>>,
    read: Arc<Mutex<Vec<Content>>>,
}

impl Read for Reading {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let open = match &mut self.open {
            Some(open) => open,
            closed => closed.insert(Digesting::new(File::open(&self.file.path)?)),
        };
        let length = open.inner.read(buffer)?;
        open.digest.update(&buffer[..length]);
        open.size += length as u64;
        if length == 0 && !buffer.is_empty() {
            let done = (self.file.name, hex::encode(open.digest.clone().finalize()), open.size);
            let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
            if !read.contains(&done) {
                read.push(done);
            }
        }
        Ok(length)
    }
}

/// Digests what goes through it.
struct Digesting<T> {
    inner: T,
    digest: Sha256,
    size: u64,
    /// Why it could not be written.
    failed: Option<io::Error>,
}

impl<T> Digesting<T> {
    fn new(inner: T) -> Self {
        Self { inner, digest: Sha256::new(), size: 0, failed: None }
    }
}

fn no_room(error: &io::Error) -> Refusal {
    let sentence = format!(
        "what came out of the repository cannot be written to the pod's own folder, on the node's disk: {error}"
    );
    let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    Refusal::new(if is_full { Reason::NoSpace } else { Reason::ClaimFails }, sentence)
}

impl<T: Write> Write for Digesting<T> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(buffer).map_err(|error| {
            let told = io::Error::from(error.kind());
            self.failed.get_or_insert(error);
            told
        })?;
        self.digest.update(&buffer[..length]);
        self.size += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
