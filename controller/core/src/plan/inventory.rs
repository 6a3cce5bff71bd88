//! What an owner applied, as it is written down.

use serde::{Deserialize, Serialize};

use crate::render::ObjectKey;

/// One object that its owner applied, or is about to apply.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct InventoryEntry {
    /// Which object.
    #[serde(flatten)]
    pub key: ObjectKey,
    /// Its uid. `None` was written ahead: the object may have been created, but nobody has seen the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<String>,
    /// Hash of the set of fields that the owner's field manager held after the last apply, where that is written down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fields: Option<u64>,
    /// That it ran to its end, and with which content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<Ended>,
}

/// What ran to its end. It is not made again, whoever removes it, while it is wanted with the same content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ended {
    /// [`crate::render::applied_hash`] of what ran.
    pub hash: String,
    /// Whether it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

impl InventoryEntry {
    /// An entry for an object that is about to be applied for the first time.
    pub fn ahead(key: ObjectKey) -> Self {
        Self { key, uid: None, fields: None, ended: None }
    }
}
