//! Releases, pure: what a release is, what comes next, and what the cluster says about it.

mod record;
mod rollout;
mod step;

pub use record::{Release, ReleaseData, Wanted, carried_pods};
pub use rollout::{Observation, Rollout, is_late, observe, pull_state};
pub use step::{Pull, State, Step, next};
