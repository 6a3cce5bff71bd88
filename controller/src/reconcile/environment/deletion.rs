//! What happens to the objects of an Environment that is gone, as far as that is a matter of Environments.

use std::sync::Mutex;

use drover_core::branch::Peers;
use drover_core::plan::Mandate;
use drover_core::render::{ObjectKey, Stage};
use drover_crds::{Key, Owner, OwnerKind};

use crate::cluster::Cluster;
use crate::cluster::inventory::Inventories;
use crate::owned::{self, Estate, Unfinished};
use crate::unpoisoned;

/// Deletes or leaves the objects, as the Environment's policy was ([`owned::clean_up`]).
pub(super) async fn clean_up(
    cluster: &Cluster,
    inventories: &Inventories,
    peers: &Mutex<Peers>,
    key: &Key,
) -> Result<Vec<String>, Unfinished> {
    let estate = Estate {
        cluster,
        inventories,
        owner: &Owner::of(OwnerKind::Environment, key),
        // Nobody can be asked to confirm any more: whoever means what is guarded deletes it.
        mandate: Mandate::Git { confirmed: false },
        elsewhere: &|object| unpoisoned::lock(peers).claim(key, None, object),
        rank,
    };
    owned::clean_up(&estate).await
}

/// The last stage goes first.
fn rank(key: &ObjectKey) -> usize {
    let stage = Stage::of_key(key);
    Stage::ALL.iter().rev().position(|each| *each == stage).unwrap_or_default()
}
