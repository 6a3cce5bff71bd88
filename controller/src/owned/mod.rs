//! What one of drover's objects owns: looked at, written down before it is made, sent, and deleted only because it is written down.
//!
//! [`Owned::carry_out`] does what a plan says, for all kinds of owners, and [`clean_up`] what is to be done when one is gone.
//! [`Parent`] plans for owners whose objects are made from their specs.

mod carry;
mod deletion;
mod foreign;
mod job;
mod parent;
mod sight;
#[cfg(test)]
mod tests;

use drover_core::plan::InventoryEntry;
use drover_crds::Owner;

pub use carry::{Carried, Party};
pub use deletion::{Estate, Unfinished, clean_up, clean_up_children};
pub use foreign::ApplyError;
pub use job::make_job;
pub use parent::Parent;
pub use sight::Sights;

use crate::cluster::inventory::{Inventories, Record};
use crate::cluster::{Acting, ApiError, Cluster};

/// An owner, and what its objects are brought about with.
#[derive(Clone, Copy)]
pub struct Owned<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// All inventories.
    pub inventories: &'a Inventories,
    /// The account that it is done as.
    pub acting: &'a Acting,
    /// The owner.
    pub owner: &'a Owner,
}

impl Owned<'_> {
    /// Writes the inventory: `entries` where they changed, and else what it says already, where the rest of it is not as in `terms`.
    pub async fn write(&self, entries: Option<Vec<InventoryEntry>>, terms: Record) -> Result<(), ApiError> {
        let before = self.inventories.get(self.owner).unwrap_or_default();
        let entries = match entries {
            Some(entries) => entries,
            None if before.same_but_objects(&terms) || before.entries.is_empty() => return Ok(()),
            None => before.entries.clone(),
        };
        self.inventories.put(self.owner, Record { entries, ..terms }).await
    }
}
