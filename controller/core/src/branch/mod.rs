//! A branch that is followed: what Environments want of each other's objects, and what a person reads and is told of them.

mod commit;
mod decryption;
mod depends;
mod judged;
mod moment;
mod news;
mod peers;
mod refused;
mod status;
mod variables;

pub use commit::{CommitId, CommitInfo, TreeId};
pub use decryption::{AgeKeys, Keys, Secrets};
pub use depends::{
    Waiters, awaited, circular, in_a_circle, is_held_back, own_object, unmet, unreadable, unserved, waiting,
};
pub use judged::{in_force, is_told, judged_before, occasion, speaks_of};
pub use moment::Moment;
pub use news::{applied, news, put_back};
pub use peers::Peers;
pub use refused::{not_applied, several};
pub use status::{AppliedNow, BLIND_POLL, Findings, Reached, conclude, listed, note, show};
pub use variables::{Brought, hide, hide_in};
