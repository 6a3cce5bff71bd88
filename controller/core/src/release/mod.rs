//! Pure: what a release is, what comes next, what the cluster says about it, and what a person reads of it.

mod assets;
mod hold;
mod job_state;
mod jobs;
mod news;
mod planned;
mod pods;
mod pull;
mod record;
pub mod reference;
mod rollout;
pub mod status;
mod step;
mod tag;
#[cfg(test)]
mod tests;
mod uptime;

pub use assets::asset_sets;
pub use hold::{Hold, NoTarget, target};
pub use job_state::{JobState, job_state, never_began, vanished};
pub use jobs::{Beginning, JobPlan};
pub use news::news;
pub use planned::{JobEnd, JobEnds, LastRun, PlannedAssets, PlannedJob};
pub use pods::{node_to_pull_to, of_release, proven, served_since};
pub use pull::{Pull, pull_state};
pub use record::{Release, ReleaseData, Standing, Wanted, carried_pods, record_name, record_reference};
pub use rollout::{Asked, Observation, Rollout, is_late, observe, overdue};
pub use step::{Ground, Harm, Jobs, State, Step, next};
pub use tag::{Sight, follow};
pub use uptime::{Sleep, Uptime, is_waking, uptime, wake};
