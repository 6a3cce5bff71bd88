//! Which files of a folder are read, in which order, and when it is too much: the same for a commit and for a folder on disk.

use serde::{Deserialize, Serialize};

use super::error::{amount, short};
use super::limits::Limits;
use super::manifests::is_manifest;
use super::source_file::SourceFile;

/// Folders within folders; deeper ones are not a system's manifests.
const MAX_DEPTH: usize = 64;
/// Bytes of a path below the root: each object that a file holds keeps it.
const MAX_PATH: usize = 1024;
/// Entries looked at below one path, manifests or not.
const MAX_ENTRIES: usize = 200_000;
/// Skipped paths that are named; more say nothing new.
const MAX_SKIPPED: usize = 100;

/// Why a folder's manifests are not read; each is explained by its sentence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[allow(missing_docs)] // of the fields
pub enum Unreadable {
    /// One file is over the limit.
    #[error(
        "the file {path} has {} and at most {} are read of one file: split it, or keep it out of spec.source.path",
        amount(*size),
        amount(*limit)
    )]
    FileTooLarge { path: String, size: u64, limit: u64 },
    /// Too many files, or too many bytes in all.
    #[error("the path {path} holds more than {limit}: narrow spec.source.path")]
    TooMuch { path: String, limit: String },
    /// A link in place of a manifest. What it leads to is not in the folder, and may be anywhere.
    #[error(
        "{path} is a symbolic link to {target}, and links are not followed: commit the file itself in its place, or keep the link out of spec.source.path"
    )]
    Link { path: String, target: String },
}

impl Unreadable {
    /// One CamelCase word: the reason of a condition.
    pub fn label(&self) -> &'static str {
        match self {
            Self::FileTooLarge { .. } => "FileTooLarge",
            Self::TooMuch { .. } => "TooManyFiles",
            Self::Link { .. } => "SymbolicLink",
        }
    }
}

/// What an entry of a folder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A file.
    File,
    /// A symbolic link.
    Link,
    /// A repository within the repository.
    Submodule,
}

/// An entry of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<N> {
    /// Its name, which need not be text.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// What the store knows it by.
    pub node: N,
}

impl<N> Entry<N> {
    /// What its path is ordered by among those of the same folder: a folder's is the beginning of other paths.
    fn place(&self) -> impl Iterator<Item = u8> {
        let end = (self.kind == EntryKind::Folder).then_some(b'/');
        self.name.iter().copied().chain(end)
    }
}

/// Where folders and files are read from.
pub trait Store {
    /// A folder, file or link in it.
    type Node;
    /// Why it cannot be read.
    type Error: From<Unreadable>;

    /// What is in a folder, in any order; of more than `most` entries any `most`.
    ///
    /// # Errors
    /// The store's own.
    fn entries(&self, folder: &Self::Node, most: usize) -> Result<Vec<Entry<Self::Node>>, Self::Error>;

    /// How many bytes a file has.
    ///
    /// # Errors
    /// The store's own.
    fn size(&self, file: &Self::Node) -> Result<u64, Self::Error>;

    /// The bytes of the file at `path`, which are `size` as far as the store knows.
    ///
    /// # Errors
    /// The store's own.
    fn bytes(&self, file: &Self::Node, path: &str, size: u64) -> Result<Vec<u8>, Self::Error>;

    /// What a link leads to.
    fn target(&self, link: &Self::Node) -> String;
}

/// The manifests of a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manifests {
    /// In the order of their paths.
    pub files: Vec<SourceFile>,
    /// Paths that may hold manifests and were not read: submodules, and files whose name is no text.
    pub skipped: Vec<String>,
}

/// Reads the manifests of the folder `node`, and of folders in it but hidden ones. `path` is what the files' paths begin with, without a
/// `/` at its end, and `root` is the folder as a person named it.
///
/// # Errors
/// The store's own, and where it is too much, or a link stands in place of a manifest: to leave that out in silence would be to remove
/// what the file in its place had applied.
pub fn read_folder<S: Store>(
    store: &S,
    node: &S::Node,
    path: &str,
    root: &str,
    limits: &Limits,
) -> Result<Manifests, S::Error> {
    let mut reading = Reading { store, root, limits, entries: 0, total: 0, read: Manifests::default() };
    reading.folder(node, path, 0)?;
    Ok(reading.read)
}

/// Reads the file `node`, whose path is `path`.
///
/// # Errors
/// The store's own, and where it is too large.
pub fn read_file<S: Store>(store: &S, node: &S::Node, path: &str, limits: &Limits) -> Result<SourceFile, S::Error> {
    let fits = |size| match limits.file_bytes {
        limit if size > limit => Err(Unreadable::FileTooLarge { path: short(path), size, limit }),
        _ => Ok(size),
    };
    let size = fits(store.size(node)?)?;
    let bytes = store.bytes(node, path, size)?;
    // The store of a pipe learns its size by reading it.
    fits(bytes.len() as u64)?;
    Ok(SourceFile { path: path.to_owned(), bytes })
}

struct Reading<'a, S> {
    store: &'a S,
    root: &'a str,
    limits: &'a Limits,
    entries: usize,
    total: u64,
    read: Manifests,
}

impl<S: Store> Reading<'_, S> {
    fn folder(&mut self, node: &S::Node, path: &str, depth: usize) -> Result<(), S::Error> {
        if depth > MAX_DEPTH {
            return Err(self.too_much(format!("{MAX_DEPTH} folders within each other")));
        }
        let left = MAX_ENTRIES - self.entries;
        let mut entries = self.store.entries(node, left + 1)?;
        if entries.len() > left {
            return Err(self.too_much(format!("{MAX_ENTRIES} files and folders")));
        }
        self.entries += entries.len();
        // So that the paths of all files are in their order.
        entries.sort_by(|a, b| a.place().cmp(b.place()));
        for entry in entries {
            let name = String::from_utf8_lossy(&entry.name);
            if name.starts_with('.') {
                continue;
            }
            let below = if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
            if below.len() > MAX_PATH {
                return Err(self.too_much(format!("paths of {MAX_PATH} bytes")));
            }
            match entry.kind {
                EntryKind::Folder => self.folder(&entry.node, &below, depth + 1)?,
                EntryKind::Submodule => self.skip(below),
                _ if !is_manifest(&name) => {}
                EntryKind::Link => {
                    let target = self.store.target(&entry.node);
                    let target = target.chars().filter(|c| !c.is_control()).take(100).collect();
                    return Err(Unreadable::Link { path: below, target }.into());
                }
                EntryKind::File if std::str::from_utf8(&entry.name).is_err() => self.skip(below),
                EntryKind::File => self.file(&entry.node, &below)?,
            }
        }
        Ok(())
    }

    fn file(&mut self, node: &S::Node, path: &str) -> Result<(), S::Error> {
        if self.read.files.len() == self.limits.files {
            return Err(self.too_much(format!("{} files", self.limits.files)));
        }
        let left = self.limits.total_bytes - self.total;
        let size = self.store.size(node)?;
        if size > left && size <= self.limits.file_bytes {
            return Err(self.too_much(format!("{} of manifests", amount(self.limits.total_bytes))));
        }
        let file = read_file(self.store, node, path, self.limits)?;
        self.total += size;
        self.read.files.push(file);
        Ok(())
    }

    fn skip(&mut self, path: String) {
        if self.read.skipped.len() < MAX_SKIPPED {
            self.read.skipped.push(path);
        }
    }

    fn too_much(&self, limit: String) -> S::Error {
        let path = if self.root.trim_matches(['/', '.']).is_empty() { "/" } else { self.root };
        Unreadable::TooMuch { path: short(path), limit }.into()
    }
}
