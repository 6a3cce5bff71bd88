//! A folder of a commit, file by file: fetched without history, listed, and read as it is asked for.

use std::path::Path;

use drover_core::branch::CommitInfo;
use drover_core::errand::{Leaf, LeafKind};
use drover_core::render::short;
use drover_crds::Reference;
use git2::{ErrorCode, ObjectType, Oid, Repository};
use jiff::Timestamp;

use crate::address::Address;
use crate::child::{Connection, damaged, open, sync};
use crate::commit::oid;
use crate::credential::Credential;
use crate::error::Error;
use crate::limits::Limits;
use crate::protocol::Response;

const LINK: i32 = 0o120_000;
const SUBMODULE: i32 = 0o160_000;
const FOLDER: i32 = 0o040_000;
const PROGRAM: i32 = 0o100_755;
/// Folders within folders.
const MAX_DEPTH: usize = 64;
/// The largest that a link's target may be, in bytes.
const LONGEST_TARGET: u64 = 4096;

/// Which folder of which commit.
#[derive(Clone, Debug)]
pub struct Wish {
    /// The repository.
    pub address: Address,
    /// Who asks.
    pub credential: Credential,
    /// What leads to the commit.
    pub reference: Reference,
    /// The folder; the whole repository where it is empty.
    pub path: String,
    /// How much may be fetched, in how many bytes and objects.
    pub limits: Limits,
}

/// A commit that was fetched, and what its folder holds.
pub struct Checkout {
    repository: Repository,
    url: String,
    /// The commit.
    pub commit: CommitInfo,
    /// All that is in the folder but folders, with paths below it.
    pub leaves: Vec<Leaf>,
}

impl Checkout {
    /// Fetches into the folder `cache`, which is the caller's and empty; certificates are looked for where the environment says. `most`
    /// leaves are listed at most, and one more where there are more. Blocks.
    ///
    /// # Errors
    /// Why it cannot be fetched, as a sentence for a person.
    pub fn fetch(wish: &Wish, cache: &Path, most: usize, now: fn() -> Timestamp) -> Result<Self, Error> {
        let Wish { address, credential, reference, path, limits } = wish;
        credential.suits(address)?;
        let url = address.to_string();
        let (host, port, user, auth) = (address.host(), address.port(), address.user(), credential.auth());
        let connection = Connection { url: &url, host, port, user, auth, limits, now };
        let answers = match sync(cache, &connection, std::slice::from_ref(reference), &[None], |_| ())? {
            Response::Synced { answers, .. } => answers,
            _ => Vec::new(),
        };
        let nothing = || Error::Child { url: url.clone(), detail: "it found nothing".to_owned() };
        let commit = answers.into_iter().next().flatten().ok_or_else(nothing)??;
        let repository = open(cache)?;
        let mut checkout = Self { repository, url, commit, leaves: Vec::new() };
        checkout.leaves = checkout.list(path, most)?;
        Ok(checkout)
    }

    /// The bytes of the leaf of that id, which is no submodule.
    ///
    /// # Errors
    /// The repository is at fault.
    pub fn read(&self, leaf: &Leaf) -> Result<Vec<u8>, Error> {
        let odb = self.repository.odb().map_err(|error| damaged(&error))?;
        let id = Oid::from_str(&leaf.id).map_err(|error| damaged(&error))?;
        let object = odb.read(id).map_err(|error| damaged(&error))?;
        if object.kind() != ObjectType::Blob || object.len() as u64 != leaf.size {
            return Err(self.unsound(format!("{} is no file of {} bytes", short(&leaf.name()), leaf.size)));
        }
        Ok(object.data().to_vec())
    }

    fn list(&self, path: &str, most: usize) -> Result<Vec<Leaf>, Error> {
        let mut leaves = Vec::new();
        let mut folders = vec![(Vec::new(), self.locate(path)?, 0)];
        while let Some((before, id, depth)) = folders.pop() {
            let tree = self.repository.find_tree(id).map_err(|error| self.unsound(error.message().to_owned()))?;
            for entry in &tree {
                let name = entry.name_bytes();
                let whole = if before.is_empty() { name.to_vec() } else { [&before[..], b"/", name].concat() };
                match entry.filemode() {
                    FOLDER if depth < MAX_DEPTH => folders.push((whole, entry.id(), depth + 1)),
                    FOLDER => {
                        let name = short(&String::from_utf8_lossy(&whole));
                        return Err(self.unsound(format!("{name} is deeper than {MAX_DEPTH} folders")));
                    }
                    mode => leaves.push(self.leaf(whole, mode, entry.id())?),
                }
                if leaves.len() > most {
                    return Ok(leaves);
                }
            }
        }
        Ok(leaves)
    }

    fn leaf(&self, path: Vec<u8>, mode: i32, id: Oid) -> Result<Leaf, Error> {
        let mut leaf = Leaf { path, kind: LeafKind::Submodule, size: 0, id: id.to_string() };
        if mode == SUBMODULE {
            return Ok(leaf);
        }
        let odb = self.repository.odb().map_err(|error| damaged(&error))?;
        let (size, _) = odb.read_header(id).map_err(|error| damaged(&error))?;
        leaf.size = size as u64;
        leaf.kind = match mode {
            LINK if leaf.size > LONGEST_TARGET => {
                return Err(self.unsound(format!("the link {} is {} bytes long", short(&leaf.name()), leaf.size)));
            }
            LINK => LeafKind::Link(self.read(&leaf)?),
            PROGRAM => LeafKind::Program,
            _ => LeafKind::File,
        };
        Ok(leaf)
    }

    /// The folder at `path`.
    fn locate(&self, path: &str) -> Result<Oid, Error> {
        let missing = |advice: &str| Error::NoSuchPath {
            path: short(path),
            commit: self.commit.id.short().to_owned(),
            advice: advice.to_owned(),
        };
        let commit = self.repository.find_commit(oid(&self.commit.id)).map_err(|error| damaged(&error))?;
        let tree = commit.tree().map_err(|error| damaged(&error))?;
        if path.is_empty() {
            return Ok(tree.id());
        }
        let entry = tree.get_path(Path::new(path)).map_err(|error| match error.code() {
            ErrorCode::NotFound => missing(""),
            _ => damaged(&error),
        })?;
        match entry.filemode() {
            FOLDER => Ok(entry.id()),
            _ => Err(missing(", which must be a folder")),
        }
    }

    fn unsound(&self, detail: String) -> Error {
        Error::Unsound { url: self.url.clone(), detail }
    }
}
