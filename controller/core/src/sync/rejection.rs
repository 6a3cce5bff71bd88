//! A set that an app could not run with: the one before is put back for all that mount the data. It stands in an annotation of the
//! DataSync, and counts for that set alone: other data is published again.

use std::fmt;

use drover_crds::{ANNOTATION_REJECT_SET, DataSync};
use serde::{Deserialize, Serialize};

use crate::errand::is_set_id;

/// The longest reason that is kept, in characters.
const LONGEST: usize = 500;

/// What `drover.dev/reject-set` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejection {
    /// The set.
    pub set: String,
    /// Who could not run with it.
    pub by: String,
    /// What happened to its pods.
    pub why: String,
}

impl Rejection {
    /// `by` cannot run with that set.
    pub fn new(set: &str, by: impl fmt::Display, why: &str) -> Self {
        Self { set: set.to_owned(), by: by.to_string(), why: why.chars().take(LONGEST).collect() }
    }

    /// The one that stands at `sync`; `None` for what [`fmt::Display`] does not write.
    pub fn of(sync: &DataSync) -> Option<Self> {
        let text = sync.metadata.annotations.as_ref()?.get(ANNOTATION_REJECT_SET)?;
        serde_json::from_str(text).ok().filter(|rejection: &Self| is_set_id(&rejection.set))
    }

    /// Why the set is not published.
    pub(super) fn sentence(&self) -> String {
        let Self { set, by, why } = self;
        format!(
            "set {set} is not published, because {by} does not run with it: {why}; put other data at the source, or take the annotation drover.dev/reject-set away to publish it all the same"
        )
    }
}

/// As the annotation has it.
impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}
