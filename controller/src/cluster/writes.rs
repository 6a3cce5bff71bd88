//! What holds for every write, wherever it is looked at.

use std::time::Duration;

/// The longest a write may take. It is begun only while the lease holds for longer.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(4);

/// A write was not sent: the lease could not be renewed, so another replica may be the leader by now.
#[derive(Debug, thiserror::Error)]
#[error("this replica does not hold the lease now, so nothing is written")]
pub struct NotLeader;
