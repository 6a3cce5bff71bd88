//! What happens to the objects of an Environment that is gone. What pruning guards is guarded here too.
//!
//! No finalizer is used: deleting an Environment, or a whole namespace, never hangs on a controller that is not there. What is
//! to be deleted stands in the inventory, which outlives the Environment.

use drover_crds::DeletionPolicy;

use crate::cluster::inventory::{Inventories, Key};
use crate::cluster::{Acting, ApiError, Cluster, Sight, definition, namespace_is_going};
use crate::plan::{Fate, InventoryEntry, Knowledge, LiveView, Remover, fate, left_behind};
use crate::render::{ObjectKey, Stage};

/// Name of the definition of Environments.
pub(super) const CRD: &str = "environments.drover.dev";

/// Deletes or leaves the objects, as the Environment's policy was. What it left though the policy says that all goes, each in a
/// sentence; the inventory is to be forgotten then.
pub(super) async fn clean_up(cluster: &Cluster, inventories: &Inventories, key: &Key) -> Result<Vec<String>, ApiError> {
    let Some(record) = inventories.get(key).await else { return Ok(Vec::new()) };
    let (namespace, name) = key;
    if record.on_deletion == DeletionPolicy::Orphan {
        tracing::info!(%namespace, %name, objects = record.entries.len(), "an Environment was deleted; its objects stay");
        return Ok(Vec::new());
    }
    // `kubectl delete -f crds.yaml` deletes every Environment without anybody having meant its objects. It may be there again by
    // now, and drover may not have been running in between.
    let now = definition(&cluster.client(), CRD).await?;
    if now.is_none() || record.definition.is_some() && record.definition != now {
        tracing::warn!(%namespace, %name, "the definition of Environments was deleted, and this one with it: its objects stay");
        return Ok(Vec::new());
    }
    // With the namespace went the account that drover acted as, and nearly all of the objects.
    if namespace_is_going(&cluster.client(), namespace).await? {
        return Ok(Vec::new());
    }
    let acting = cluster.acting_as(namespace, &record.account);
    let label = drover_crds::Owner::new(drover_crds::OwnerKind::Environment, namespace, name).label();
    // Nobody can be asked to confirm any more: whoever means what is guarded deletes it.
    let remover = Remover { namespace, owner_label: &label, confirmed: false };
    let mut entries: Vec<&InventoryEntry> = record.entries.iter().collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(Stage::of_key(&entry.key)));
    let mut left = Vec::new();
    for entry in entries {
        match fate(entry, &known(cluster, &acting, &entry.key).await?, &remover) {
            Fate::Delete(uid) => acting.delete(&entry.key, &uid).await?,
            Fate::Guarded(loss) => left.push(left_behind(&entry.key, loss)),
            Fate::Leave | Fate::CannotAsk => {}
        }
    }
    tracing::info!(%namespace, %name, objects = record.entries.len(), ?left, "an Environment was deleted, and its objects with it");
    Ok(left)
}

/// What is there under that key. What cannot be asked is an error, so that it is asked again.
async fn known(cluster: &Cluster, acting: &Acting, key: &ObjectKey) -> Result<Knowledge, ApiError> {
    let Some(kind) = acting.kind_of(key, "discover").await? else { return Ok(Knowledge::Absent) };
    let live = match acting.watch(&kind).await {
        Sight::Complete => cluster.index().live(key),
        Sight::Starting | Sight::Blind => acting.look(&kind, key).await?,
    };
    Ok(live.map_or(Knowledge::Absent, |live| {
        Knowledge::Present(LiveView {
            uid: live.uid,
            owner_label: Some(live.owner).filter(|owner| !owner.is_empty()),
            deleting: live.deleting,
            prune_disabled: live.prune_disabled,
            ..LiveView::default()
        })
    }))
}
