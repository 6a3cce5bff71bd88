//! What the errand `restore-conclude` is asked to do.

use serde::{Deserialize, Serialize};

use crate::backup::Check;
use crate::engine::Engine;
use crate::errand::{Reason, Refusal, is_hex};

/// An order, as the JSON file that the errand reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreOrder {
    /// What the folder is called after: eight hexadecimal digits.
    pub name: String,
    /// What kind of server it is loaded into.
    #[serde(default, skip_serializing_if = "Engine::is_first")]
    pub engine: Engine,
    /// How a sentence names what is loaded. Without it, it is the backup that was taken out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dump: Option<String>,
    /// What the restored database must answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<Check>,
}

impl RestoreOrder {
    /// Reads an order and checks it.
    ///
    /// # Errors
    /// What is none of this version's.
    pub fn read(json: &[u8]) -> Result<Self, Refusal> {
        let bad = |why: String| {
            Refusal::new(Reason::BadOrder, format!("the order cannot be read ({why}): it is not one of this version's"))
        };
        let order: Self = serde_json::from_slice(json).map_err(|error| bad(error.to_string()))?;
        if !is_hex(&order.name, 8) {
            return Err(bad("its name is not eight hexadecimal digits".to_owned()));
        }
        Ok(order)
    }
}
