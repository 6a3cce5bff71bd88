//! How much a commit may ask of the renderer.

/// Bounds on what is read from one commit. They exist so that no file, however made, costs more than it should; real
/// manifests stay far below them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of one file.
    pub file_bytes: usize,
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
    /// 16 MiB a file (the largest bundles of definitions are 5 MiB), 20,000 documents, depth 100 (JSON readers stop at 128),
    /// 4 MiB of aliases, 250,000 values (5 MiB of definitions have less than 100,000).
    fn default() -> Self {
        Self { file_bytes: 16 << 20, documents: 20_000, depth: 100, alias_bytes: 4 << 20, values: 250_000 }
    }
}
