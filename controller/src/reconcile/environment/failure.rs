//! What went wrong with an Environment, and what can mend it.

use drover_crds::{ObjectFailure, Owner};

use crate::cluster::ApiError;

/// Why an Environment is not as its spec asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// One CamelCase word.
    pub(super) reason: String,
    /// One sentence.
    pub(super) message: String,
    /// The end of that sentence, about the time: it changes while the failure stays the same.
    pub(super) outlook: String,
    /// What can mend it.
    pub(super) mended_by: MendedBy,
    /// Each thing that is wrong, where there are several.
    pub(super) failures: Vec<ObjectFailure>,
}

/// What can mend a failure, and so when it is worth looking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MendedBy {
    /// A new commit or another spec, which are events: looking again is useless.
    Commit,
    /// A person, where drover is not told: a Secret, a right, a repository.
    Person,
    /// A git host that fails now: its repository's own poll looks again, and tells.
    Host,
    /// Time, perhaps.
    Time,
    /// Others being done: nothing is wrong.
    Turn,
}

impl Failure {
    /// A failure of one thing.
    pub(super) fn new(reason: &str, message: String, mended_by: MendedBy) -> Self {
        Self { reason: reason.to_owned(), message, outlook: String::new(), mended_by, failures: Vec::new() }
    }

    /// Each thing that is wrong; what has no subject of its own is about `owner`.
    pub(super) fn each(&self, owner: &Owner) -> Vec<ObjectFailure> {
        if !self.failures.is_empty() {
            return self.failures.clone();
        }
        vec![ObjectFailure { object: owner.to_string(), reason: self.reason.clone(), message: self.message.clone() }]
    }

    /// What the API server answered.
    pub(super) fn of(error: &ApiError) -> Self {
        let mended_by = if error.is_terminal() { MendedBy::Person } else { MendedBy::Time };
        Self::new(error.label(), error.to_string(), mended_by)
    }
}
