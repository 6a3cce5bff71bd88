//! A branch that is followed: what Environments want of each other's objects, and what a person reads and is told of them.

mod commit;
mod news;
mod peers;
mod status;
mod variables;

pub use commit::{CommitId, CommitInfo, TreeId};
pub use news::{applied, news, put_back};
pub use peers::Peers;
pub use status::{AppliedNow, BLIND_POLL, Findings, Reached, conclude, listed, note, show};
pub use variables::Brought;
