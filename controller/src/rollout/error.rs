//! Why a release cannot go on.

use crate::cluster::ApiError;
use crate::driver::Next;
use crate::registry;

/// Why a release cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something cannot be read or written.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A record's name is taken by something else.
    #[error(
        "ControllerRevision {namespace}/{name} exists already and is not this release: delete it, and drover writes its own"
    )]
    ForeignRecord {
        /// The namespace.
        namespace: String,
        /// The name.
        name: String,
    },
    /// The image cannot be resolved.
    #[error("{error}")]
    Registry {
        /// Why.
        error: registry::Error,
        /// When to look again: the registry is asked ever less often, and who asked is told when it has answered.
        next: Next,
    },
}

impl Error {
    /// Whether trying again cannot help before a person changes something.
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Api(error) => error.is_terminal(),
            // It may be left from a deleted app of this name, and about to go.
            Self::ForeignRecord { .. } => false,
            Self::Registry { error, .. } => error.is_terminal(),
        }
    }

    /// One word for conditions.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Api(error) => error.label(),
            Self::ForeignRecord { .. } => "OwnedByAnother",
            Self::Registry { error, .. } => error.label(),
        }
    }

    /// When to look again, where that is known.
    pub fn next(&self) -> Option<Next> {
        match self {
            Self::Registry { next, .. } => Some(*next),
            Self::Api(_) | Self::ForeignRecord { .. } => None,
        }
    }
}
