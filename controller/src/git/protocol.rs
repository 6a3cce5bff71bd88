//! What the controller and its git child say to each other: a length, JSON, and after a response the files' bytes.
//!
//! Everything goes through pipes, because a command line is readable by every process of the machine.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use drover_crds::Reference;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::commit::{CommitId, CommitInfo, TreeId};
use super::credential::Auth;
use super::error::Error;
use super::limits::Limits;

/// The largest JSON part of a message.
pub(super) const MAX_MESSAGE: u32 = 16 << 20;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// The bare repository that is the cache.
    pub repository: PathBuf,
    /// For messages, and to connect to.
    pub url: String,
    pub limits: Limits,
    pub operation: Operation,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Operation {
    Sync { host: String, port: u16, user: String, auth: Auth, references: Vec<Reference> },
    Read { reads: Vec<ReadRequest> },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReadRequest {
    pub commit: CommitId,
    pub path: String,
    pub known_tree: Option<TreeId>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Response {
    /// One answer per reference, in the order of the request, and how many packs the cache has now.
    Synced {
        answers: Vec<Result<CommitInfo, Error>>,
        packs: usize,
    },
    /// One answer per reading, in the order of the request; the bytes of all files follow.
    Read(Vec<Result<TreeListing, Error>>),
    Failed(Error),
}

/// A tree whose files' bytes follow the message.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct TreeListing {
    pub id: TreeId,
    pub files: Option<Vec<(String, u64)>>,
    pub skipped: Vec<String>,
}

/// A message in the form that goes through the pipe.
pub(super) fn encode<T: Serialize>(message: &T) -> io::Result<Vec<u8>> {
    let json = serde_json::to_vec(message)?;
    let length = u32::try_from(json.len()).ok().filter(|length| *length <= MAX_MESSAGE);
    let length = length.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the message is too long"))?;
    Ok([&length.to_be_bytes()[..], &json].concat())
}

pub(super) fn write<T: Serialize>(output: &mut impl Write, message: &T) -> io::Result<()> {
    output.write_all(&encode(message)?)
}

pub(super) fn read<T: DeserializeOwned>(input: &mut impl Read) -> io::Result<T> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > MAX_MESSAGE {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the message is too long"));
    }
    let mut json = vec![0; length as usize];
    input.read_exact(&mut json)?;
    Ok(serde_json::from_slice(&json)?)
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

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read::<Response>(&mut bytes.as_slice());
        }
    }
}
