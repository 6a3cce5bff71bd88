//! What happens to the objects of an owner that is gone. What pruning guards is guarded here too.
//!
//! Neither finalizers nor owner references are used: the first would make a deletion hang while no controller runs, the second would
//! delete the objects when the owner's definition is deleted. What is to be deleted stands in the inventory, which outlives the owner
//! and the controller that saw it go.

use drover_core::plan::{Elsewhere, Fate, InventoryEntry, Knowledge, Mandate, Remover, fate, left_behind};
use drover_core::render::ObjectKey;
use drover_core::trouble::{Mend, Trouble};
use drover_crds::{ANNOTATION_DEFINITION, DeletionPolicy, Owner};

use super::sight::known;
use crate::cluster::inventory::Inventories;
use crate::cluster::{Acting, ApiError, Cluster, definition, namespace_is_going};

/// Why the cleaning up is not done yet.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// The API server did not do what it was asked.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Another owner is looked at in a moment.
    #[error("it is not known yet whether {by} wants {object}")]
    NotYetKnown {
        /// Which object.
        object: ObjectKey,
        /// The other owner.
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

/// What an owner left, and how it is cleaned up.
pub struct Estate<'a> {
    /// The cluster.
    pub cluster: &'a Cluster,
    /// All inventories.
    pub inventories: &'a Inventories,
    /// Who is gone.
    pub owner: &'a Owner,
    /// What its deletion may take.
    pub mandate: Mandate,
    /// What other owners say of an object.
    pub elsewhere: &'a (dyn Fn(&ObjectKey) -> Elsewhere + Sync),
    /// When an object goes: the lower, the earlier.
    pub rank: fn(&ObjectKey) -> usize,
}

/// Deletes what an owner left whose objects were made from its spec, and forgets it. `rank` says when an object goes: the lower, the
/// earlier.
///
/// # Errors
///
/// The first thing that could not be done; it is to be tried again.
pub async fn clean_up_children(
    cluster: &Cluster,
    inventories: &Inventories,
    owner: &Owner,
    rank: fn(&ObjectKey) -> usize,
) -> Result<(), Trouble> {
    let mandate = Mandate::Children { app_is_gone: true };
    let elsewhere = |_: &ObjectKey| Elsewhere::Nothing;
    clean_up(&Estate { cluster, inventories, owner, mandate, elsewhere: &elsewhere, rank }).await?;
    Ok(inventories.remove(owner).await?)
}

/// Deletes or leaves the objects, as the owner's policy was. What cannot be deleted now keeps nothing else from going: it would serve
/// on. What it left though the policy says that all goes, each in a sentence; the inventory is to be forgotten then.
///
/// # Errors
///
/// The first thing that could not be done; it is to be tried again.
pub async fn clean_up(estate: &Estate<'_>) -> Result<Vec<String>, Unfinished> {
    let &Estate { cluster, inventories, owner, mandate, elsewhere: _, rank } = estate;
    let Some(record) = inventories.confirmed(owner).await? else { return Ok(Vec::new()) };
    let objects = record.entries.len();
    if record.on_deletion == DeletionPolicy::Orphan {
        tracing::info!(%owner, objects, "it was deleted; its objects stay");
        return Ok(Vec::new());
    }
    // `kubectl delete -f crds.yaml` deletes every owner without anybody having meant its objects. It may be there again by now, and
    // drover may not have been running in between.
    let now = definition(&cluster.client(), &owner.kind.definition()).await?;
    let Some(definition) = now.filter(|now| record.definition.as_ref().is_none_or(|before| before == now)) else {
        tracing::warn!(%owner, "the definition of {}s was deleted, and this one with it: its objects stay", owner.kind);
        return Ok(Vec::new());
    };
    // With the namespace went the account that drover acted as, and nearly all of the objects.
    if namespace_is_going(&cluster.client(), &owner.key.namespace).await? {
        return Ok(Vec::new());
    }
    let acting = cluster.acting_as(&owner.key.namespace, &record.account);
    let label = owner.label();
    let remover = Remover { namespace: &owner.key.namespace, owner_label: &label, mandate };
    let mut entries: Vec<&InventoryEntry> = record.entries.iter().collect();
    entries.sort_by_key(|entry| rank(&entry.key));
    let (mut left, mut unfinished) = (Vec::new(), None);
    for entry in entries {
        match remove(estate, &acting, &remover, &definition, entry).await {
            Ok(told) => left.extend(told),
            Err(error) => {
                unfinished.get_or_insert(error);
            }
        }
    }
    if let Some(error) = unfinished {
        return Err(error);
    }
    tracing::info!(%owner, objects, ?left, "it was deleted, and its objects with it");
    Ok(left)
}

/// Does what is to be done about one object. A sentence where it stays though all should go.
async fn remove(
    estate: &Estate<'_>,
    acting: &Acting,
    remover: &Remover<'_>,
    definition: &str,
    entry: &InventoryEntry,
) -> Result<Option<String>, Unfinished> {
    let (owner, key) = (estate.owner, &entry.key);
    let mut known = known(estate.cluster, acting, owner, entry).await?;
    if let Knowledge::Present(view) = &mut known {
        view.elsewhere = (estate.elsewhere)(key);
    }
    match fate(entry, &known, remover) {
        Fate::Delete(uid) => {
            if is_of_before(acting, remover.mandate, definition, key).await? {
                tracing::warn!(%owner, object = %key, "the definition of {}s was deleted and made anew: what was made before stays", owner.kind);
            } else {
                acting.delete(key, &uid).await?;
            }
        }
        Fate::Release(uid) => match acting.release(owner, key, &uid).await {
            Err(error) if !error.is_terminal() => return Err(error.into()),
            _ => {}
        },
        Fate::Guarded(loss) => return Ok(Some(left_behind(key, loss))),
        Fate::MayBeWanted(by) => {
            let why = format!("{by} follows the same and cannot be read, so it may want it");
            return Ok(Some(left_behind(key, &why)));
        }
        Fate::AskAgain(by) => return Err(Unfinished::NotYetKnown { object: key.clone(), by }),
        Fate::HandOver(by) => tracing::info!(%owner, object = %key, %by, "handed over"),
        Fate::Leave | Fate::CannotAsk => {}
    }
    Ok(None)
}

/// Whether a child was applied under another definition than that of now: then its app went with that, without being meant.
async fn is_of_before(acting: &Acting, mandate: Mandate, definition: &str, key: &ObjectKey) -> Result<bool, ApiError> {
    if !matches!(mandate, Mandate::Children { .. }) {
        return Ok(false);
    }
    let under = acting.annotation(key, ANNOTATION_DEFINITION).await?;
    Ok(under.is_some_and(|under| under != definition))
}
