//! A rollout that is disturbed, and what must come out of it all the same.
//!
//! A campaign runs one [`Rollout`] undisturbed, and then again and again with something in its way: the controller killed, a
//! request failing, the API server gone. What is compared is the [`Outcome`]: the objects as they are in the end, and what was
//! created and deleted on the way there, by the API server's own log.

#[allow(clippy::module_inception)] // the page of the room's name
mod campaign;
mod disturbance;
mod ledger;
mod outcome;
mod rollout;
mod supervisor;
mod versions;

pub use campaign::Campaign;
pub use disturbance::{Disturbance, Point};
pub use ledger::Ledger;
pub use outcome::Outcome;
pub use rollout::{Disturbed, Rollout};
pub use supervisor::Supervisor;
pub use versions::Versions;
