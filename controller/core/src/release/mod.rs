//! Pure: what a release is, what comes next, what the cluster says about it, and what a person reads of it.

mod news;
mod pods;
mod pull;
mod record;
mod rollout;
pub mod status;
mod step;
#[cfg(test)]
mod tests;

pub use news::news;
pub use pods::{node_to_pull_to, of_release, proven, served_since};
pub use pull::{Pull, pull_state};
pub use record::{Release, ReleaseData, Standing, Wanted, carried_pods, record_name};
pub use rollout::{Asked, Observation, Rollout, is_late, observe};
pub use step::{Harm, State, Step, next};
