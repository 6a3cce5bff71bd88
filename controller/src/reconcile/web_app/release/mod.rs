//! Releases, pure: what a release is, what comes next, and what the cluster says about it.

mod record;
mod rollout;
mod step;
#[cfg(test)]
mod tests;

pub use record::{Release, ReleaseData, Standing, Wanted, carried_pods};
pub use rollout::{Asked, Observation, Rollout, is_late, observe, pull_state};
pub use step::{Harm, Pull, State, Step, next};
