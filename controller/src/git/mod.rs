//! Git: follows repositories and reads their files. Everything that touches a repository is done by `drover_fetch` in a child process
//! with limits; what others ask is answered from memory.
//!
//! Knows neither Kubernetes nor what is in the files.

mod apart;
mod cache;
mod failed;
mod folders;
mod head;
mod leisure;
mod poller;
mod pools;
mod process;
mod reader;
mod registry;
mod repositories;
mod schedule;
mod shared;
pub mod webhook;

pub use drover_fetch::{
    Address, Auth, Credential, Error, Limits, Scheme, Tree, answer, child_main, known_hosts, protocol, references,
};
pub use head::{Head, outlook};
pub use registry::Subscription;
pub use repositories::Repositories;
pub use schedule::Again;
pub use shared::Config;
