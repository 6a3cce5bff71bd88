//! Reads manifests of a commit straight from the object database: nothing is checked out, no link is followed.

use std::path::Path;

use drover_core::render::short;
use git2::{ErrorCode, ObjectType, Odb, Oid, Repository, Tree};

use super::{damaged, open};
use crate::git::commit::{CommitId, TreeId};
use crate::git::error::{Error, amount};
use crate::git::limits::Limits;
use crate::git::protocol::{ReadRequest, Response, TreeListing};

const LINK: i32 = 0o120_000;
const SUBMODULE: i32 = 0o160_000;
const FOLDER: i32 = 0o040_000;
/// Folders within folders; deeper ones are not a system's manifests.
const MAX_DEPTH: usize = 64;
/// Bytes of a path below the repository's root: each object that a file holds keeps it.
const MAX_PATH: usize = 1024;
/// Entries looked at below one path, manifests or not.
const MAX_ENTRIES: usize = 200_000;
/// Skipped paths that are named; more say nothing new.
const MAX_SKIPPED: usize = 100;

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
    let mut bytes = Vec::new();
    let mut answers = Vec::with_capacity(reads.len());
    for read in reads {
        let mut reading = Reading::new(&repository, &odb, limits, url, &read.path);
        let answer = reading.tree(read);
        if answer.is_ok() {
            bytes.append(&mut reading.bytes);
        }
        answers.push(answer);
    }
    Ok((Response::Read(answers), bytes))
}

struct Reading<'a> {
    repository: &'a Repository,
    odb: &'a Odb<'a>,
    limits: &'a Limits,
    url: &'a str,
    root: &'a str,
    entries: usize,
    total: u64,
    files: Vec<(String, u64)>,
    bytes: Vec<Vec<u8>>,
    skipped: Vec<String>,
}

impl<'a> Reading<'a> {
    fn new(repository: &'a Repository, odb: &'a Odb<'a>, limits: &'a Limits, url: &'a str, root: &'a str) -> Self {
        Self {
            repository,
            odb,
            limits,
            url,
            root,
            entries: 0,
            total: 0,
            files: Vec::new(),
            bytes: Vec::new(),
            skipped: Vec::new(),
        }
    }

    fn tree(&mut self, read: &ReadRequest) -> Result<TreeListing, Error> {
        let (path, mode, id) = self.locate(&read.commit, &read.path)?;
        let tree = TreeId::from(id);
        if read.known_tree.as_ref() == Some(&tree) {
            return Ok(TreeListing { id: tree, files: None, skipped: Vec::new() });
        }
        if mode == FOLDER {
            self.folder(id, &path, 0)?;
        } else {
            self.file(id, path)?;
        }
        Ok(TreeListing {
            id: tree,
            files: Some(std::mem::take(&mut self.files)),
            skipped: std::mem::take(&mut self.skipped),
        })
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

    fn folder(&mut self, id: Oid, path: &str, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(self.too_much(format!("{MAX_DEPTH} folders within each other")));
        }
        let tree = self.folder_of(id)?;
        for entry in &tree {
            self.entries += 1;
            if self.entries > MAX_ENTRIES {
                return Err(self.too_much(format!("{MAX_ENTRIES} files and folders")));
            }
            let name = String::from_utf8_lossy(entry.name_bytes());
            if name.starts_with('.') {
                continue;
            }
            let below = if path.is_empty() { name.to_string() } else { format!("{path}/{name}") };
            if below.len() > MAX_PATH {
                return Err(self.too_much(format!("paths of {MAX_PATH} bytes")));
            }
            match entry.filemode() {
                FOLDER => self.folder(entry.id(), &below, depth + 1)?,
                SUBMODULE => self.skip(below),
                _ if !is_manifest(&name) => {}
                LINK => return Err(self.link(entry.id(), below)),
                _ if std::str::from_utf8(entry.name_bytes()).is_err() => self.skip(below),
                _ => self.file(entry.id(), below)?,
            }
        }
        Ok(())
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

    fn file(&mut self, id: Oid, path: String) -> Result<(), Error> {
        if self.files.len() == self.limits.files {
            return Err(self.too_much(format!("{} files", self.limits.files)));
        }
        let (size, kind) = self.odb.read_header(id).map_err(|error| damaged(&error))?;
        let size = size as u64;
        if size > self.limits.file_bytes {
            return Err(Error::FileTooLarge { path: short(&path), size, limit: self.limits.file_bytes });
        }
        self.total += size;
        if self.total > self.limits.total_bytes {
            return Err(self.too_much(format!("{} of manifests", amount(self.limits.total_bytes))));
        }
        let object = self.odb.read(id).map_err(|error| damaged(&error))?;
        if object.len() as u64 != size {
            return Err(Error::DamagedCache { detail: format!("the file {} has another size", short(&path)) });
        }
        if kind != ObjectType::Blob {
            return Err(self.unsound(format!("{} is a {} and no file", short(&path), kind.str())));
        }
        self.files.push((path, size));
        self.bytes.push(object.data().to_vec());
        Ok(())
    }

    /// To leave a link out in silence would be to remove what the file in its place had applied.
    fn link(&self, id: Oid, path: String) -> Error {
        let target = self.odb.read(id).map(|object| String::from_utf8_lossy(object.data()).into_owned());
        let target = target.unwrap_or_default().chars().filter(|c| !c.is_control()).take(100).collect();
        Error::Link { path, target }
    }

    fn skip(&mut self, path: String) {
        if self.skipped.len() < MAX_SKIPPED {
            self.skipped.push(path);
        }
    }

    fn too_much(&self, limit: String) -> Error {
        let path = if self.root.trim_matches(['/', '.']).is_empty() { "/" } else { self.root };
        Error::TooMuch { path: short(path), limit }
    }
}

fn is_manifest(name: &str) -> bool {
    !name.starts_with('.') && Path::new(name).extension().is_some_and(|e| e == "yaml" || e == "yml" || e == "json")
}
