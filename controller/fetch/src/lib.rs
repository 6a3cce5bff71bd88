//! What is said to a git server, and what is read of the repository that it fills. The controller has it done by a child process under
//! limits (`child_main`, [`protocol`]); an errand, which is alone in its container, does it itself ([`checkout`]).
//!
//! Knows neither Kubernetes nor what is in the files.

pub mod answer;
pub mod checkout;
pub mod confine;

mod address;
mod child;
mod commit;
mod credential;
mod error;
pub mod known_hosts;
mod limits;
pub mod protocol;
pub mod references;

pub use address::{Address, Scheme};
pub use child::child_main;
pub use commit::Tree;
pub use credential::{Auth, Credential};
pub use error::Error;
pub use limits::Limits;
