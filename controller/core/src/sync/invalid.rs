//! What can be wrong with a DataSync's spec.

use crate::errand::Refusal;
use crate::schedule::InvalidSchedule;
use crate::trouble::{Mend, Trouble};
use crate::workload;

/// Why a spec cannot be carried out, each as one sentence that says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Not exactly one source.
    #[error("spec.source has {0} sources: write exactly one of s3, http or git")]
    Sources(usize),
    /// A percentage that is none.
    #[error("guard.maxShrink is {0:?}: write a percentage between 0% and 100%")]
    Percentage(String),
    /// A schedule that Kubernetes would not keep as it is meant.
    #[error("spec.schedule: {0}")]
    Schedule(#[from] InvalidSchedule),
    /// A name that is too long for what is made of it.
    #[error("the name {0} becomes a CronJob's: at most 47 characters")]
    Name(String),
    /// The errand would not take the order.
    #[error("spec: {0}")]
    Order(#[from] Refusal),
    /// The claim cannot be as the spec asks.
    #[error(transparent)]
    Claim(#[from] workload::Invalid),
}

impl From<Invalid> for Trouble {
    fn from(invalid: Invalid) -> Self {
        Self::new("InvalidSpec", invalid.to_string(), Mend::Spec)
    }
}
