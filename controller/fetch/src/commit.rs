//! What is read of a commit.

use drover_core::branch::{CommitId, TreeId};
use drover_core::render::SourceFile;

/// A folder of a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The id of its content.
    pub id: TreeId,
    /// Its manifest files in the order of their paths; `None` when the content is the one already known.
    pub files: Option<Vec<SourceFile>>,
    /// Paths that look like manifests and were not read, because they are symbolic links, submodules or not text in their names.
    pub skipped: Vec<String>,
}

/// The commit that libgit2 calls by that name.
pub(crate) fn commit_id(id: git2::Oid) -> CommitId {
    CommitId::parse(&id.to_string()).expect("git names a commit by 40 digits")
}

/// The folder or file that libgit2 calls by that name.
pub(crate) fn tree_id(id: git2::Oid) -> TreeId {
    TreeId::parse(&id.to_string()).expect("git names a folder by 40 digits")
}

/// What libgit2 calls that commit.
pub(crate) fn oid(commit: &CommitId) -> git2::Oid {
    git2::Oid::from_str(commit.as_str()).expect("a CommitId is 40 hexadecimal digits")
}
