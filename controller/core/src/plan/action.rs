//! What a plan says about one wanted object.

use drover_crds::{LABEL_OWNER, Labelled, Owner};

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
    /// It is as last sent, but lacks keys that drover fills: these alone are sent.
    Incomplete,
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

/// Who an owner label speaks of, as a person would say it.
pub fn owner_of(label: &str) -> String {
    match Owner::parse(label) {
        Some(Labelled::By(owner)) => owner.to_string(),
        Some(Labelled::Cut(kind)) => format!("the {kind} with the label {LABEL_OWNER}={label}"),
        None => format!("another owner (label {LABEL_OWNER}={label})"),
    }
}

#[cfg(test)]
mod tests {
    use drover_crds::OwnerKind;

    use super::*;

    #[test]
    fn an_owner_is_named_as_its_label_was_made() {
        for kind in OwnerKind::ALL {
            let owner = Owner::new(kind, "shop", "prod.eu");
            assert_eq!(owner_of(&owner.label()), owner.to_string());
        }
        let cut = Owner::new(OwnerKind::WebApp, "shop", "x".repeat(60)).label();
        assert_eq!(owner_of(&cut), format!("the WebApp with the label drover.dev/owner={cut}"));
        assert!(owner_of("somebody").contains("drover.dev/owner=somebody"));
    }
}
