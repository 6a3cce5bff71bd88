//! How much of everything a repository may use.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Bounds for one child process and for what it hands back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Wall clock for one sync; the child is killed then.
    pub sync_timeout: Duration,
    /// Wall clock for one reading of files; the child is killed then.
    pub read_timeout: Duration,
    /// Memory of the child that is not the mapping of a file, in bytes: packs are mapped, and the kernel can do without them.
    pub memory: u64,
    /// The memory with which a child begins, in bytes. Nearly all need less; those that need more, up to `memory`, run one at a time,
    /// so that many at once do not take the memory of the controller.
    pub usual_memory: u64,
    /// Bytes received in one fetch, and the size of any file the child writes.
    pub download: u64,
    /// Git objects received in one fetch.
    pub objects: usize,
    /// Packs in a cache: each fetch adds one, and with more than this it is fetched anew, in one.
    pub packs: usize,
    /// What is read below a path.
    pub manifests: drover_core::render::Limits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            sync_timeout: Duration::from_mins(1),
            read_timeout: Duration::from_secs(30),
            memory: 512 << 20,
            usual_memory: 32 << 20,
            download: 512 << 20,
            objects: 1_000_000,
            packs: 50,
            manifests: drover_core::render::Limits::default(),
        }
    }
}
