//! Git: follows repositories and reads their files. Everything that touches a repository happens in a child process with
//! limits; what others ask is answered from memory.
//!
//! Knows neither Kubernetes nor what is in the files.

mod address;
pub mod answer;
mod apart;
mod cache;
mod child;
mod commit;
mod credential;
mod error;
mod failed;
mod head;
pub mod known_hosts;
mod limits;
mod poller;
mod pools;
mod process;
pub mod protocol;
mod reader;
pub mod references;
mod registry;
mod repositories;
mod schedule;
mod shared;
pub mod webhook;

pub use address::{Address, Scheme};
pub use child::child_main;
pub use commit::Tree;
pub use credential::{Auth, Credential};
pub use error::Error;
pub use head::{Head, outlook};
pub use limits::Limits;
pub use registry::Subscription;
pub use repositories::Repositories;
pub use schedule::Again;
pub use shared::Config;
