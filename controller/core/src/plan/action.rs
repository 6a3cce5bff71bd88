//! What a plan says about one wanted object.

use crate::render::ObjectKey;

/// What to do with a wanted object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Send it.
    Apply {
        /// Whether fields that another manager holds are taken over. Never the first time.
        force: bool,
        /// Why it is sent.
        why: Why,
    },
    /// It is live as last sent.
    Keep,
    /// It is not as last sent, and the drift policy says to report that and leave it.
    Drifted,
    /// It is being deleted: to be sent again when it is gone.
    Await,
    /// Another Environment has it, and it is known in a moment whether that still wants it: not sent yet.
    Settle(String),
    /// Another owner applies it: not sent.
    Conflict(Conflict),
}

/// Why an object is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was not there, or was not applied by this Environment.
    New,
    /// What is wanted differs from what was last sent.
    Changed,
    /// Somebody else changed or deleted it.
    Drifted,
    /// Another Environment had it and does not want it any more.
    HandedOver,
    /// What is there could not be asked.
    Unknown,
}

/// Two owners want one object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{key} is applied by {}, so it was not touched: remove it from one of the two", owner_of(.owner_label)
)]
pub struct Conflict {
    /// Which object.
    pub key: ObjectKey,
    /// The label of the owner that has it.
    pub owner_label: String,
}

/// Who an owner label speaks of, as a person would say it. A label that had to be cut shows what is left.
pub fn owner_of(label: &str) -> String {
    let mut parts = label.splitn(3, '.');
    match (parts.next(), parts.next(), parts.next()) {
        (Some("env"), Some(namespace), Some(name)) => format!("Environment {namespace}/{name}"),
        (Some("app"), Some(namespace), Some(name)) => format!("WebApp {namespace}/{name}"),
        _ => format!("another owner (label {}={label})", drover_crds::LABEL_OWNER),
    }
}

#[cfg(test)]
mod tests {
    use drover_crds::{Owner, OwnerKind};

    use super::*;

    #[test]
    fn an_owner_is_named_as_its_label_was_made() {
        for kind in [OwnerKind::Environment, OwnerKind::WebApp] {
            let owner = Owner::new(kind, "shop", "prod.eu");
            assert_eq!(owner_of(&owner.label()), owner.to_string());
        }
        assert!(owner_of("somebody").contains("drover.dev/owner=somebody"));
    }
}
