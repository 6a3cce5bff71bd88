//! What happens to the objects of an Environment that is gone.
//!
//! No finalizer is used: deleting an Environment, or a whole namespace, never hangs on a controller that is not there. What is
//! to be deleted stands in the inventory, which outlives the Environment.

use drover_crds::DeletionPolicy;

use crate::cluster::inventory::{Inventories, Key};
use crate::cluster::{ApiError, Cluster, Sight, definition, namespace_is_going};
use crate::plan::InventoryEntry;
use crate::render::Stage;

/// Name of the definition of Environments.
pub(super) const CRD: &str = "environments.drover.dev";

/// Deletes or leaves the objects, as the Environment's policy was, and forgets the inventory.
pub(super) async fn clean_up(cluster: &Cluster, inventories: &Inventories, key: &Key) -> Result<(), ApiError> {
    let Some(record) = inventories.get(key).await else { return Ok(()) };
    let (namespace, name) = key;
    if record.on_deletion == DeletionPolicy::Orphan {
        tracing::info!(%namespace, %name, objects = record.entries.len(), "an Environment was deleted; its objects stay");
        return inventories.remove(key).await;
    }
    // `kubectl delete -f crds.yaml` deletes every Environment without anybody having meant its objects. It may be there again by
    // now, and drover may not have been running in between.
    let now = definition(&cluster.client(), CRD).await?;
    if now.is_none() || record.definition.is_some() && record.definition != now {
        tracing::warn!(%namespace, %name, "the definition of Environments was deleted, and this one with it: its objects stay");
        return inventories.remove(key).await;
    }
    // With the namespace went the account that drover acted as, and nearly all of the objects.
    if namespace_is_going(&cluster.client(), namespace).await? {
        return inventories.remove(key).await;
    }
    let acting = cluster.acting_as(namespace, &record.account);
    let label = drover_crds::Owner::new(drover_crds::OwnerKind::Environment, namespace, name).label();
    let mut entries: Vec<&InventoryEntry> = record.entries.iter().collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(Stage::of_key(&entry.key)));
    for entry in entries {
        let known = cluster.kinds().known().await.map_err(|error| acting.error(error, "discover", &entry.key))?;
        let Some(kind) = known.preferred(&entry.key.group, &entry.key.kind) else { continue };
        let live = match acting.watch(kind).await {
            Sight::Complete => cluster.index().live(&entry.key),
            Sight::Starting | Sight::Blind => acting.look(kind, &entry.key).await?,
        };
        // Only what still carries this Environment's label: another may have taken it over, a person may have detached it.
        if let Some(live) = live.filter(|live| live.owner == label) {
            acting.delete(&entry.key, &live.uid).await?;
        }
    }
    tracing::info!(%namespace, %name, objects = record.entries.len(), "an Environment was deleted, and its objects with it");
    inventories.remove(key).await
}
