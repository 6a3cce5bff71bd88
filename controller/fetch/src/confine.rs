//! How much a child may use, set by itself.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

/// Bounds that the kernel holds a process to, and all that it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Memory that is not the mapping of a file, in bytes.
    pub memory: u64,
    /// The largest file that it may write, in bytes.
    pub file: u64,
    /// Seconds of processor time; it is ended then.
    pub processor: u64,
}

/// Limits this process, for good.
///
/// # Errors
/// The system's.
pub fn limit(limits: &Limits) -> io::Result<()> {
    for (resource, limit) in [
        (Resource::Core, 0), // a core dump would hold what is secret
        (Resource::Data, limits.memory),
        (Resource::Fsize, limits.file),
        (Resource::Cpu, limits.processor),
    ] {
        setrlimit(resource, Rlimit { current: Some(limit), maximum: Some(limit) })?;
    }
    Ok(())
}
