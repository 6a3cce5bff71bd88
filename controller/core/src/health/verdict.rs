//! What can be said of an object.

use super::fields::bounded;

/// What an object's status says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// It is as its spec asks.
    Current,
    /// It is on the way.
    InProgress {
        /// What is still missing.
        message: String,
    },
    /// It will not get there by itself.
    Failed {
        /// One CamelCase word.
        reason: String,
        /// What went wrong.
        message: String,
    },
}

impl Health {
    /// What is said of it, if anything.
    pub fn message_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Current => None,
            Self::InProgress { message } | Self::Failed { message, .. } => Some(message),
        }
    }

    // Both quote what anybody wrote into a status. An owner's status quotes it again, perhaps one that is quoted here in turn.
    pub(super) fn in_progress(message: impl AsRef<str>) -> Self {
        Self::InProgress { message: bounded(message.as_ref()) }
    }

    pub(super) fn failed(reason: impl AsRef<str>, message: impl AsRef<str>) -> Self {
        Self::Failed { reason: bounded(reason.as_ref()), message: bounded(message.as_ref()) }
    }
}
