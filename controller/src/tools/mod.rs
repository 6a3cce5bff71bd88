//! Programs of others that read files of a repository, each run by [`confined`](crate::confined) without files and network of its own.
//!
//! Knows neither Kubernetes nor git.

mod sops;

pub use sops::{Sops, Unopened};
