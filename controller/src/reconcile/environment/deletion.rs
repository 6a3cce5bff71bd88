//! What happens to the objects of an Environment that is gone. What pruning guards is guarded here too.
//!
//! No finalizer is used: deleting an Environment, or a whole namespace, never hangs on a controller that is not there. What is
//! to be deleted stands in the inventory, which outlives the Environment.

use drover_core::plan::{Fate, InventoryEntry, Knowledge, LiveView, Remover, fate, left_behind};
use drover_core::render::{ObjectKey, Stage};
use drover_core::trouble::{Mend, Trouble};
use drover_crds::{DeletionPolicy, Key, Owner, OwnerKind};

use super::peers::Peers;
use crate::cluster::inventory::Inventories;
use crate::cluster::{Acting, ApiError, Cluster, Sight, definition, namespace_is_going};

/// Why the cleaning up is not done yet.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfinished {
    /// The API server did not do what it was asked.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Another Environment is looked at in a moment.
    #[error("it is not known yet whether {by} wants {object}")]
    NotYetKnown {
        /// Which object.
        object: ObjectKey,
        /// The Environment.
        by: String,
    },
}

impl From<Unfinished> for Trouble {
    fn from(unfinished: Unfinished) -> Self {
        match unfinished {
            Unfinished::Api(error) => error.into(),
            wait @ Unfinished::NotYetKnown { .. } => Self::new("HandOver", wait.to_string(), Mend::Turn),
        }
    }
}

/// Deletes or leaves the objects, as the Environment's policy was. What it left though the policy says that all goes, each in a
/// sentence; the inventory is to be forgotten then.
pub(super) async fn clean_up(
    cluster: &Cluster,
    inventories: &Inventories,
    peers: &Peers,
    key: &Key,
) -> Result<Vec<String>, Unfinished> {
    let Some(record) = inventories.get(key).await else { return Ok(Vec::new()) };
    let Key { namespace, name } = key;
    if record.on_deletion == DeletionPolicy::Orphan {
        tracing::info!(%namespace, %name, objects = record.entries.len(), "an Environment was deleted; its objects stay");
        return Ok(Vec::new());
    }
    // `kubectl delete -f crds.yaml` deletes every Environment without anybody having meant its objects. It may be there again by
    // now, and drover may not have been running in between.
    let now = definition(&cluster.client(), &OwnerKind::Environment.definition()).await?;
    if now.is_none() || record.definition.is_some() && record.definition != now {
        tracing::warn!(%namespace, %name, "the definition of Environments was deleted, and this one with it: its objects stay");
        return Ok(Vec::new());
    }
    // With the namespace went the account that drover acted as, and nearly all of the objects.
    if namespace_is_going(&cluster.client(), namespace).await? {
        return Ok(Vec::new());
    }
    let acting = cluster.acting_as(namespace, &record.account);
    let owner = Owner::of(OwnerKind::Environment, key);
    let label = owner.label();
    // Nobody can be asked to confirm any more: whoever means what is guarded deletes it.
    let remover = Remover { namespace, owner_label: &label, confirmed: false };
    let mut entries: Vec<&InventoryEntry> = record.entries.iter().collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(Stage::of_key(&entry.key)));
    let mut left = Vec::new();
    for entry in entries {
        let mut known = known(cluster, &acting, &entry.key).await?;
        if let Knowledge::Present(view) = &mut known {
            view.elsewhere = peers.claim(key, None, &entry.key);
        }
        match fate(entry, &known, &remover) {
            Fate::Delete(uid) => acting.delete(&entry.key, &uid).await?,
            Fate::Release(uid) => match acting.release(&owner, &entry.key, &uid).await {
                Err(error) if !error.is_terminal() => return Err(error.into()),
                _ => {}
            },
            Fate::Guarded(loss) => left.push(left_behind(&entry.key, loss)),
            Fate::MayBeWanted(by) => {
                let why = format!("{by} follows the same and cannot be read, so it may want it");
                left.push(left_behind(&entry.key, &why));
            }
            Fate::AskAgain(by) => return Err(Unfinished::NotYetKnown { object: entry.key.clone(), by }),
            Fate::HandOver(by) => tracing::info!(%namespace, %name, object = %entry.key, %by, "handed over"),
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
