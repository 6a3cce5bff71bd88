//! What the controller and its git child say to each other: a length, JSON, and after a response the files' bytes.
//!
//! Everything goes through pipes, because a command line is readable by every process of the machine.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use drover_core::render::SourceFile;
use drover_crds::Reference;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use drover_core::branch::{CommitId, CommitInfo, TreeId};

use super::commit::Tree;
use super::credential::Auth;
use super::error::Error;
use super::limits::Limits;
use super::references::Meaning;

/// The largest JSON part of a message.
pub const MAX_MESSAGE: u32 = 16 << 20;

/// What the controller asks for.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// The bare repository that is the cache.
    pub repository: PathBuf,
    /// For messages, and to connect to.
    pub url: String,
    /// How much the child may use.
    pub limits: Limits,
    /// What is to be done.
    pub operation: Operation,
}

/// What the child is to do.
#[derive(Debug, Serialize, Deserialize)]
pub enum Operation {
    /// Find what these references mean now, and fetch it.
    Sync {
        /// The server, for its keys and for messages.
        host: String,
        /// Its port.
        port: u16,
        /// The SSH user.
        user: String,
        /// Who drover is for the server.
        auth: Auth,
        /// What is followed.
        references: Vec<Reference>,
        /// For each of them: while it means this, and that is not in the cache, it is not fetched.
        left_out: Vec<Option<Meaning>>,
    },
    /// Read files from the cache.
    Read {
        /// Of these commits.
        reads: Vec<ReadRequest>,
    },
    /// Say what is at these paths of a commit in the cache, without reading it.
    Folders {
        /// The commit.
        commit: CommitId,
        /// Folders, or files.
        paths: Vec<String>,
    },
}

/// The manifests of one folder of one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadRequest {
    /// The commit.
    pub commit: CommitId,
    /// The folder, or a file.
    pub path: String,
    /// The tree whose files are known already.
    pub known_tree: Option<TreeId>,
}

impl Tree {
    /// Whether this can be the answer to that request: files are left out only when they are known.
    pub fn answers(&self, request: &ReadRequest) -> bool {
        self.files.is_some() || request.known_tree.as_ref() == Some(&self.id)
    }
}

/// What the child answers.
#[derive(Debug, Serialize, Deserialize)]
pub enum Response {
    /// What a sync says before it fetches: the server has answered, and these references, in the order of the request, lead to
    /// what has to be fetched.
    Listed(Vec<Option<Meaning>>),
    /// One answer per reference, in the order of the request, none for those that were left out; and how many packs the cache has
    /// now.
    Synced {
        /// What each reference leads to.
        answers: Vec<Option<Result<CommitInfo, Error>>>,
        /// How many packs there are.
        packs: usize,
    },
    /// One answer per reading, in the order of the request; the bytes of all files follow.
    Read(Vec<Result<TreeListing, Error>>),
    /// The id of what is at each path, in the order of the request; `None` where nothing can be read there.
    Folders(Vec<Option<TreeId>>),
    /// Nothing could be done.
    Failed(Error),
}

/// All that a sync answered.
#[derive(Debug, PartialEq, Eq)]
pub struct Synced {
    /// What each reference leads to; `None` for those that were left out.
    pub answers: Vec<Option<Result<CommitInfo, Error>>>,
    /// What had to be fetched for each.
    pub lacking: Vec<Option<Meaning>>,
    /// How many packs the cache has now.
    pub packs: usize,
}

/// A tree whose files' bytes follow the message.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TreeListing {
    /// The id of its content.
    pub id: TreeId,
    /// Path and size of each file; `None` when the content is the one already known.
    pub files: Option<Vec<(String, u64)>>,
    /// Paths that look like manifests and were not read.
    pub skipped: Vec<String>,
}

/// A message in the form that goes through the pipe.
pub fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(message)?;
    let length = u32::try_from(json.len()).ok().filter(|length| *length <= MAX_MESSAGE);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the message is too long"))?;
    Ok([&length.to_be_bytes()[..], &json].concat())
}

/// Sends a message.
pub fn write<T: Serialize>(output: &mut impl Write, message: &T) -> io::Result<()> {
    output.write_all(&encode(message)?)
}

/// Receives a message. Memory is taken for what has arrived, not for what its length claims.
pub fn read<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    let mut json = Vec::new();
    if input.take(length.into()).read_to_end(&mut json)? != length as usize {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&json)?)
}

/// The trees of a reading, with their files in the order of their paths. `bytes` is what followed the message: the content of
/// all files. `None` when that is shorter than the listings say.
pub fn trees(listings: Vec<Result<TreeListing, Error>>, mut bytes: &[u8]) -> Option<Vec<Result<Tree, Error>>> {
    let mut file = |(path, size): (String, u64)| {
        let (content, rest) = bytes.split_at_checked(usize::try_from(size).ok()?)?;
        bytes = rest;
        Some(SourceFile { path, bytes: content.to_vec() })
    };
    let mut tree = |TreeListing { id, files, skipped }| {
        let files = files.map(|files| {
            let mut read: Vec<SourceFile> = files.into_iter().map(&mut file).collect::<Option<_>>()?;
            read.sort_by(|a, b| a.path.cmp(&b.path));
            Some(read)
        });
        let files = match files {
            None => None,
            Some(files) => Some(files?),
        };
        Some(Tree { id, files, skipped })
    };
    listings
        .into_iter()
        .map(|listing| listing.map(&mut tree).map_or_else(|error| Some(Err(error)), |tree| tree.map(Ok)))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_message_arrives_as_it_was_sent() {
        let id = CommitId::parse(&"a".repeat(40)).expect("id");
        let sent = ReadRequest { commit: id, path: "deploy".into(), known_tree: None };
        let mut pipe = Vec::new();
        write(&mut pipe, &sent).expect("written");
        assert_eq!(read::<ReadRequest>(&mut pipe.as_slice()).expect("read"), sent);
        pipe.pop();
        assert!(read::<ReadRequest>(&mut pipe.as_slice()).is_err());
    }

    #[test]
    fn a_tree_without_files_answers_only_who_knows_it() {
        let id = |n: u8| TreeId::parse(&format!("{n:040x}")).expect("id");
        let request = |known_tree| ReadRequest {
            commit: CommitId::parse(&"a".repeat(40)).expect("id"),
            path: String::new(),
            known_tree,
        };
        let tree = |files| Tree { id: id(1), files, skipped: Vec::new() };
        assert!(tree(Some(Vec::new())).answers(&request(None)));
        assert!(tree(None).answers(&request(Some(id(1)))));
        assert!(!tree(None).answers(&request(Some(id(2)))));
        assert!(!tree(None).answers(&request(None)), "nobody could use it");
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read::<Response>(&mut bytes.as_slice());
        }
    }
}
