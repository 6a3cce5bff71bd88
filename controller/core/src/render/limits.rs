//! How much a commit may ask of the renderer.

use serde::{Deserialize, Serialize};

/// At most this many errors are told at once: a person mends the first few and pushes again.
pub const MAX_ERRORS: usize = 20;

/// Bounds on what is read from one folder of one commit. They exist so that no file, however made, costs more than it should; real
/// manifests stay far below them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Manifest files.
    pub files: usize,
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Bytes of all files together.
    pub total_bytes: u64,
    /// Documents that are not empty, in all files together; an item of a list counts as one.
    pub documents: usize,
    /// Mappings and lists inside each other.
    pub depth: usize,
    /// Bytes that anchors and aliases may add by being expanded, in all files together.
    pub alias_bytes: usize,
    /// Texts, numbers, lists and mappings in all files together: a mapping of three bytes takes half a kilobyte of memory.
    pub values: usize,
}

impl Default for Limits {
    /// 2,000 files of 1 MiB, 16 MiB together, 20,000 documents, depth 100 (JSON readers stop at 128), 4 MiB of aliases, 250,000 values
    /// (5 MiB of definitions have less than 100,000).
    fn default() -> Self {
        Self {
            files: 2_000,
            file_bytes: 1 << 20,
            total_bytes: 16 << 20,
            documents: 20_000,
            depth: 100,
            alias_bytes: 4 << 20,
            values: 250_000,
        }
    }
}
