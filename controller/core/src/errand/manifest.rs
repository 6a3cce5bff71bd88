//! What a set holds and what it is called.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::result::is_hex;

/// How many hexadecimal digits name a set.
const ID_LENGTH: usize = 20;

/// One file of a set, and where it came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct File {
    /// The entry of the order's paths that gave it: a key, a prefix, an address.
    pub entry: String,
    /// The key or address that it was read from.
    pub key: String,
    /// Where it is in the set, with `/` between folders.
    pub path: String,
    /// In bytes.
    pub size: u64,
    /// The source's own name for this content, with its quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// When it last changed, in the source's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<String>,
    /// The digest of its bytes, in hexadecimal, where the source names no content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The type that the source gives it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
}

impl File {
    /// What tells this content from another of the same size: the digest where there is one, the source's name for it, or the time.
    pub fn identity(&self) -> &str {
        self.sha256.as_deref().or(self.etag.as_deref()).or(self.modified.as_deref()).unwrap_or_default()
    }

    /// Whether `other` holds the same bytes in the same place, so that neither needs to be fetched again.
    pub fn is_same_as(&self, other: &Self) -> bool {
        self.path == other.path
            && self.key == other.key
            && self.size == other.size
            && !self.identity().is_empty()
            && self.identity() == other.identity()
    }
}

/// All files of a set, by path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Manifest {
    files: Vec<File>,
}

impl Manifest {
    /// In whatever order they come.
    pub fn new(mut files: Vec<File>) -> Self {
        files.sort_by(|a, b| a.path.cmp(&b.path));
        Self { files }
    }

    /// By path.
    pub fn files(&self) -> &[File] {
        &self.files
    }

    /// The file at this path.
    pub fn at(&self, path: &str) -> Option<&File> {
        self.files.binary_search_by(|file| file.path.as_str().cmp(path)).ok().map(|at| &self.files[at])
    }

    /// Adds what the source calls the types of the files at these places.
    pub fn set_content_types(&mut self, types: impl IntoIterator<Item = (usize, String)>) {
        for (at, content_type) in types {
            if let Some(file) = self.files.get_mut(at) {
                file.content_type = Some(content_type);
            }
        }
    }

    /// Takes from `other` the types of the files that are the same.
    pub fn inherit_content_types(&mut self, other: &Self) {
        for file in self.files.iter_mut().filter(|file| file.content_type.is_none()) {
            let known = other.at(&file.path).filter(|known| known.is_same_as(file));
            file.content_type = known.and_then(|known| known.content_type.clone());
        }
    }

    /// The sizes of all files together.
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size))
    }

    /// The digest of paths, sizes and contents: the same data gives the same, wherever it comes from and whenever.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        for file in &self.files {
            for part in [file.path.as_str(), file.identity()] {
                hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
                hash.update(part);
            }
            hash.update(file.size.to_be_bytes());
        }
        format!("sha256:{}", hex::encode(hash.finalize()))
    }

    /// The name of the set, from its digest.
    pub fn id(&self) -> String {
        self.digest()["sha256:".len()..][..ID_LENGTH].to_owned()
    }

    /// The names at the top of the set.
    pub fn top_names(&self) -> BTreeSet<&str> {
        self.files.iter().filter_map(|file| file.path.split('/').next()).collect()
    }
}

/// Whether it is what [`Manifest::id`] gives.
pub fn is_set_id(name: &str) -> bool {
    is_hex(name, ID_LENGTH)
}

/// The last result that was good, as it stands in the claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Last {
    /// The published set.
    pub set: String,
    /// When the source was last seen to hold it, in milliseconds since 1970.
    pub at: u64,
    /// The commit that it was seen in, of a git source.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// The time of the schedule that was done last, as [`slot`](super::slot()) has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
}
