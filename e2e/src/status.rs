//! Reading conditions.

use drover_crds::condition::{READY, STALLED, get};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

/// What `Ready` says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ready {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// One word.
    pub reason: String,
    /// One sentence.
    pub message: String,
    /// Whether nothing more happens until a person changes something.
    pub stalled: bool,
}

/// What `Ready` says, or that it says nothing yet.
pub fn ready(conditions: &[Condition]) -> Result<Ready, String> {
    let ready = get(conditions, READY).ok_or("no condition Ready yet")?;
    Ok(Ready {
        status: ready.status.clone(),
        reason: ready.reason.clone(),
        message: ready.message.clone(),
        stalled: get(conditions, STALLED).is_some_and(|stalled| stalled.status == "True"),
    })
}
