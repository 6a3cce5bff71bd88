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
    /// Bytes that the anchors and aliases of one file may add to it by being expanded.
    pub alias_bytes: usize,
}

impl Default for Limits {
    /// 16 MiB a file (the largest bundles of definitions are 5 MiB), 20,000 documents, depth 100 (JSON readers stop at 128),
    /// 4 MiB of aliases.
    fn default() -> Self {
        Self { file_bytes: 16 << 20, documents: 20_000, depth: 100, alias_bytes: 4 << 20 }
    }
}
