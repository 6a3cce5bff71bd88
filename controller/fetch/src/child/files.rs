//! Reads manifests of a commit straight from the object database: nothing is checked out, no link is followed.

use std::path::Path;

use drover_core::branch::CommitId;
use drover_core::render::{Entry, EntryKind, Manifests, Store, is_manifest, read_file, read_folder, short};
use git2::{ErrorCode, ObjectType, Odb, Oid, Repository, Tree};

use super::{damaged, open};
use crate::commit::tree_id;
use crate::error::Error;
use crate::limits::Limits;
use crate::protocol::{ReadRequest, Response, TreeListing};

const LINK: i32 = 0o120_000;
const SUBMODULE: i32 = 0o160_000;
const FOLDER: i32 = 0o040_000;

/// `url` is for messages.
pub(super) fn read(
    path: &Path,
    url: &str,
    reads: &[ReadRequest],
    limits: &Limits,
) -> Result<(Response, Vec<Vec<u8>>), Error> {
    if !path.join("HEAD").exists() {
        let gone = reads.iter().map(|read| Err(Error::MissingCommit { commit: read.commit.to_string() })).collect();
        return Ok((Response::Read(gone), Vec::new()));
    }
    let repository = open(path)?;
    let odb = repository.odb().map_err(|error| damaged(&error))?;
    let objects = Objects { repository: &repository, odb: &odb, url };
    let mut bytes = Vec::new();
    let mut answers = Vec::with_capacity(reads.len());
    for read in reads {
        answers.push(objects.tree(read, limits, &mut bytes));
    }
    Ok((Response::Read(answers), bytes))
}

/// What is at each of `paths` of a commit; `url` is for messages.
pub(super) fn folders(path: &Path, url: &str, commit: &CommitId, paths: &[String]) -> Result<Response, Error> {
    if !path.join("HEAD").exists() {
        return Err(Error::MissingCommit { commit: commit.to_string() });
    }
    let repository = open(path)?;
    let odb = repository.odb().map_err(|error| damaged(&error))?;
    let objects = Objects { repository: &repository, odb: &odb, url };
    // Why one cannot be read is said to who reads it.
    let found = paths.iter().map(|path| objects.locate(commit, path).ok().map(|(_, _, id)| tree_id(id)));
    Ok(Response::Folders(found.collect()))
}

struct Objects<'a> {
    repository: &'a Repository,
    odb: &'a Odb<'a>,
    url: &'a str,
}

impl<'a> Objects<'a> {
    /// What is asked for; the files' bytes are added to `bytes`.
    fn tree(&self, read: &ReadRequest, limits: &Limits, bytes: &mut Vec<Vec<u8>>) -> Result<TreeListing, Error> {
        let (path, mode, id) = self.locate(&read.commit, &read.path)?;
        let tree = tree_id(id);
        if read.known_tree.as_ref() == Some(&tree) {
            return Ok(TreeListing { id: tree, files: None, skipped: Vec::new() });
        }
        let Manifests { files, skipped } = if mode == FOLDER {
            read_folder(self, &id, &path, &read.path, &limits.manifests)?
        } else {
            let file = read_file(self, &id, &path, &limits.manifests)?;
            Manifests { files: vec![file], skipped: Vec::new() }
        };
        let listed = files.iter().map(|file| (file.path.clone(), file.bytes.len() as u64)).collect();
        bytes.extend(files.into_iter().map(|file| file.bytes));
        Ok(TreeListing { id: tree, files: Some(listed), skipped })
    }

    /// The folder or manifest file at `path`, with its path in the form that the files' paths begin with.
    fn locate(&self, commit: &CommitId, path: &str) -> Result<(String, i32, Oid), Error> {
        let missing = |advice: &str| Error::NoSuchPath {
            path: short(path),
            commit: commit.short().to_owned(),
            advice: advice.to_owned(),
        };
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") {
            return Err(missing(", which may not leave the repository with `..`"));
        }
        let id = Oid::from_str(commit.as_str()).expect("a CommitId is 40 hexadecimal digits");
        let commit = self.repository.find_commit(id).map_err(|error| match error.code() {
            ErrorCode::NotFound => Error::MissingCommit { commit: commit.to_string() },
            _ => damaged(&error),
        })?;
        let (mut mode, mut id) = (FOLDER, commit.tree_id());
        for part in &parts {
            if mode != FOLDER {
                return Err(missing(""));
            }
            let tree = self.folder_of(id)?;
            let entry = tree.get_name(part).ok_or_else(|| missing(""))?;
            (mode, id) = (entry.filemode(), entry.id());
            if mode == LINK || mode == SUBMODULE {
                return Err(missing(&format!(
                    ", because {} is a symbolic link or a submodule, and neither is followed",
                    short(part)
                )));
            }
        }
        let last = parts.last().copied().unwrap_or_default();
        if mode != FOLDER && !is_manifest(last) {
            return Err(missing(", which must be a folder or a file that ends in .yaml, .yml or .json"));
        }
        Ok((parts.join("/"), mode, id))
    }

    /// The folder of that id. What was read by its id is what was fetched: if it is no folder, the repository is at fault.
    fn folder_of(&self, id: Oid) -> Result<Tree<'a>, Error> {
        self.repository.find_tree(id).map_err(|error| match self.odb.read(id) {
            Ok(object) if object.kind() == ObjectType::Tree => self.unsound(error.message().to_owned()),
            Ok(object) => self.unsound(format!("a folder is a {}", object.kind().str())),
            Err(error) => damaged(&error),
        })
    }

    fn unsound(&self, detail: String) -> Error {
        Error::Unsound { url: self.url.to_owned(), detail }
    }
}

impl Store for Objects<'_> {
    type Node = Oid;
    type Error = Error;

    fn entries(&self, folder: &Oid, most: usize) -> Result<Vec<Entry<Oid>>, Error> {
        let tree = self.folder_of(*folder)?;
        let kind = |mode| match mode {
            FOLDER => EntryKind::Folder,
            SUBMODULE => EntryKind::Submodule,
            LINK => EntryKind::Link,
            _ => EntryKind::File,
        };
        let entries = tree.iter().take(most).map(|entry| Entry {
            name: entry.name_bytes().to_vec(),
            kind: kind(entry.filemode()),
            node: entry.id(),
        });
        Ok(entries.collect())
    }

    fn size(&self, file: &Oid) -> Result<u64, Error> {
        let (size, _) = self.odb.read_header(*file).map_err(|error| damaged(&error))?;
        Ok(size as u64)
    }

    fn bytes(&self, file: &Oid, path: &str, size: u64) -> Result<Vec<u8>, Error> {
        let object = self.odb.read(*file).map_err(|error| damaged(&error))?;
        if object.len() as u64 != size {
            return Err(Error::DamagedCache { detail: format!("the file {} has another size", short(path)) });
        }
        if object.kind() != ObjectType::Blob {
            return Err(self.unsound(format!("{} is a {} and no file", short(path), object.kind().str())));
        }
        Ok(object.data().to_vec())
    }

    fn target(&self, link: &Oid) -> String {
        let target = self.odb.read(*link).map(|object| String::from_utf8_lossy(object.data()).into_owned());
        target.unwrap_or_default()
    }
}
