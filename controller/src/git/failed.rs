//! Why a request to a child came to nothing.

use drover_fetch::Error;
use drover_fetch::references::Meaning;

/// A request that came to nothing.
#[derive(Clone, Debug)]
pub(super) struct Failed {
    pub error: Error,
    /// What a sync had to fetch for each reference, when it came so far that the server had listed its references.
    pub lacking: Option<Vec<Option<Meaning>>>,
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}
