//! Where a repository is, and what the library for its format does there.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use drover_core::errand::{Reason, Refusal};
use rustic_core::{BytesList, ErrorKind, FileType, Id, ReadBackend, RusticError, RusticResult, WriteBackend};
use sha2::{Digest as _, Sha256};

use super::{hex, words};

pub use bucket::Bucket;
pub use folder::Folder;

mod bucket;
mod folder;

/// The most damaged files that a sentence names.
const MOST_NAMED: usize = 3;

/// Where a repository is. A file of it is never changed: it is written whole, or removed.
pub trait Place: Send + Sync + 'static {
    /// How a sentence names it.
    fn name(&self) -> String;

    /// All files of a kind, with their sizes in bytes.
    fn list(&self, kind: FileType) -> Result<Vec<(Id, u32)>, Refusal>;

    /// A file, or so many bytes of it from an offset on.
    fn read(&self, kind: FileType, id: &Id, range: Option<(u32, u32)>) -> Result<Bytes, Refusal>;

    /// Makes a file; `false` where it is the configuration, and somebody else made one.
    fn write(&self, kind: FileType, id: &Id, content: Bytes) -> Result<bool, Refusal>;

    /// Removes a file, if it is there.
    fn remove(&self, kind: FileType, id: &Id) -> Result<(), Refusal>;

    /// Waits until whoever made the configuration at the same moment has done so too, where the place cannot refuse a second one.
    fn settle(&self) {}

    /// Whether the configuration is there. An error says nothing of that.
    fn is_there(&self, kind: FileType) -> Result<bool, Refusal> {
        Ok(!self.list(kind)?.is_empty())
    }

    /// Whether there is anything that only a repository has.
    fn holds_any(&self) -> Result<bool, Refusal> {
        Ok(self.is_there(FileType::Snapshot)? || self.is_there(FileType::Index)? || self.is_there(FileType::Pack)?)
    }
}

/// A file's path below the repository, as restic has it.
pub fn path(kind: FileType, id: &Id) -> String {
    let name = hex(id);
    match kind {
        FileType::Config => "config".to_owned(),
        FileType::Pack => format!("data/{}/{name}", &name[..2]),
        FileType::Index | FileType::Key | FileType::Snapshot => format!("{}/{name}", kind.dirname()),
    }
}

/// A place as the library wants it. It remembers what went wrong there: the library tells of it in words of its own, or not at all.
pub struct Store {
    place: Box<dyn Place>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    fault: Option<Refusal>,
    /// The keys that this process made.
    own_keys: Vec<Id>,
    /// The configuration that this process made.
    own_config: Option<Bytes>,
    shown_key: Option<Id>,
    is_second: bool,
}

impl Store {
    pub fn new(place: Box<dyn Place>) -> Self {
        Self { place, state: Mutex::default() }
    }

    pub fn place(&self) -> &dyn Place {
        self.place.as_ref()
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on no other key is listed.
    pub fn show_only_key(&self, id: Option<Id>) {
        self.state().shown_key = id;
    }

    /// What went wrong first since the last time.
    pub fn take_fault(&self) -> Option<Refusal> {
        self.state().fault.take()
    }

    /// Whether a configuration was there when this process made one.
    pub fn somebody_else_made_it(&self) -> bool {
        self.state().is_second
    }

    /// Removes the keys that this process made: they fit nothing.
    pub fn remove_own_keys(&self) -> Result<(), Refusal> {
        let keys = std::mem::take(&mut self.state().own_keys);
        keys.iter().try_for_each(|id| self.place.remove(FileType::Key, id))
    }

    /// Where the place cannot refuse a second configuration, the last one counts.
    pub fn settle(&self) -> Result<(), Refusal> {
        let Some(own) = self.state().own_config.clone() else { return Ok(()) };
        self.place.settle();
        if self.place.read(FileType::Config, &Id::default(), None)? != own {
            tracing::info!(place = self.place.name(), "somebody else made the repository at the same moment");
            self.remove_own_keys()?;
        }
        Ok(())
    }

    /// Why something did not work: what the place said, or which files are not what they were.
    pub fn refusal(&self, error: &RusticError, what: &str) -> Refusal {
        if let Some(refusal) = self.take_fault() {
            return Refusal { sentence: format!("{what}: {}", refusal.sentence), ..refusal };
        }
        tracing::warn!("{what}: {}", error.display_log());
        let damaged = match self.damaged() {
            Ok(damaged) => damaged,
            Err(refusal) => return refusal,
        };
        let place = self.place.name();
        let sentence = match damaged.as_slice() {
            [] => format!("{what}: {} (in {place})", words(error)),
            files => {
                let named = files.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", ");
                let more = files.len().saturating_sub(MOST_NAMED);
                let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                format!(
                    "{what}: the repository in {place} is damaged, and {named}{more} no longer what it was: put it back from where you copy backups to, or move it away and run `restic rebuild-index`, and the next backup stores anew what it held"
                )
            }
        };
        Refusal::new(Reason::RepositoryDamaged, sentence)
    }

    /// The files that do not hold what they are called after.
    fn damaged(&self) -> Result<Vec<String>, Refusal> {
        let mut damaged = Vec::new();
        for kind in [FileType::Index, FileType::Snapshot, FileType::Pack] {
            for (id, _) in self.place.list(kind)? {
                let content = self.place.read(kind, &id, None)?;
                if hex::encode(Sha256::digest(&content)) != hex(&id) {
                    damaged.push(path(kind, &id));
                }
            }
        }
        Ok(damaged)
    }

    fn noted<T>(&self, done: Result<T, Refusal>) -> RusticResult<T> {
        done.map_err(|refusal| {
            let error = RusticError::new(ErrorKind::Backend, refusal.sentence.clone());
            self.state().fault.get_or_insert(refusal);
            error
        })
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.place.name())
    }
}

impl ReadBackend for Store {
    fn location(&self) -> String {
        self.place.name()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        let mut all = self.noted(self.place.list(kind))?;
        let shown = self.state().shown_key;
        if kind == FileType::Key {
            all.retain(|(id, _)| shown.is_none_or(|shown| shown == *id));
        }
        Ok(all)
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        self.noted(self.place.read(kind, id, None))
    }

    fn read_partial(&self, kind: FileType, id: &Id, _: bool, offset: u32, length: u32) -> RusticResult<Bytes> {
        self.noted(self.place.read(kind, id, Some((offset, length))))
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        path(kind, id)
    }
}

impl WriteBackend for Store {
    fn write_bytes(&self, kind: FileType, id: &Id, _: bool, content: BytesList) -> RusticResult<()> {
        let parts = content.into_vec();
        let content = match <[Bytes; 1]>::try_from(parts) {
            Ok([whole]) => whole,
            Err(parts) => parts.concat().into(),
        };
        if kind == FileType::Key {
            self.state().own_keys.push(*id);
        }
        let is_made = self.noted(self.place.write(kind, id, content.clone()))?;
        if kind == FileType::Config {
            // An answer that was lost on its way makes us the second to ourselves.
            let is_ours = is_made || self.noted(self.place.read(kind, id, None))? == content;
            let mut state = self.state();
            if !is_ours {
                state.is_second = true;
                return Err(RusticError::new(ErrorKind::Backend, "somebody else made the repository"));
            }
            state.own_config = Some(content);
        }
        Ok(())
    }

    fn remove(&self, kind: FileType, id: &Id, _: bool) -> RusticResult<()> {
        self.noted(self.place.remove(kind, id))
    }
}
