//! A file of a commit, as the git room hands it over.

/// A file's path from the repository's root, and its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Path from the repository's root, with `/`.
    pub path: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}
