//! What is there of what an owner wants, or once applied.

use std::collections::{BTreeSet, HashMap, HashSet};

use drover_core::plan::{Elsewhere, InventoryEntry, Knowledge, LiveView};
use drover_core::render::ObjectKey;
use drover_crds::Owner;
use futures::StreamExt as _;

use super::Owned;
use crate::cluster::discovery::Kind;
use crate::cluster::{Acting, ApiError, Cluster, Live, Sight};

/// Objects of one owner that are asked for at once.
const PARALLEL: usize = 16;

/// What can be seen of a kind, by group and kind.
pub type Sights = HashMap<(String, String), (Kind, Sight)>;

impl Owned<'_> {
    /// Makes sure that every kind in question is watched; while the first listing of one is under way, its owner is called when that has
    /// ended. In question are those of `wanted`, each an apiVersion and a kind, and those of `entries`.
    pub async fn sights<'k>(
        &self,
        wanted: impl Iterator<Item = (&'k str, &'k str)>,
        entries: &[InventoryEntry],
    ) -> Result<Sights, kube::Error> {
        let known = self.cluster.kinds().known().await?;
        let mut kinds: HashMap<(String, String), Kind> = HashMap::new();
        for (api_version, kind) in wanted {
            let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
            if let Some(found) = known.exact(api_version, kind) {
                kinds.insert((group.to_owned(), kind.to_owned()), found.clone());
            }
        }
        for entry in entries {
            let name = (entry.key.group.clone(), entry.key.kind.clone());
            if !kinds.contains_key(&name)
                && let Some(found) = known.preferred(&name.0, &name.1)
            {
                kinds.insert(name, found.clone());
            }
        }
        let watched = kinds.into_iter().map(|(name, kind)| {
            let sight = self.acting.watch(&kind, self.owner);
            (name, (kind, sight))
        });
        Ok(watched.collect())
    }

    /// What is known of every object in question: from the index, or asked as the account where drover may not watch. `counted` are
    /// those of `wanted` that say how many replicas there are.
    pub async fn look(
        &self,
        sights: &Sights,
        wanted: &BTreeSet<&ObjectKey>,
        counted: &HashSet<ObjectKey>,
        entries: &[InventoryEntry],
    ) -> HashMap<ObjectKey, Knowledge> {
        let left = entries.iter().filter(|entry| !wanted.contains(&entry.key));
        let left: HashMap<&ObjectKey, bool> = left.map(|entry| (&entry.key, entry.uid.is_none())).collect();
        let keys: BTreeSet<&ObjectKey> = wanted.iter().copied().chain(left.keys().copied()).collect();
        let mut known = HashMap::with_capacity(keys.len());
        let mut asking = Vec::new();
        for key in keys {
            let is_counted = counted.contains(key);
            match sights.get(&(key.group.clone(), key.kind.clone())) {
                Some((kind, sight)) => {
                    let shown = self.cluster.index().live(key);
                    let is_doubted = shown.is_none() && left.get(key).copied().unwrap_or_default();
                    if *sight == Sight::Complete && !is_doubted {
                        known.insert(key.clone(), self.knowledge(key, shown, is_counted).await);
                    } else {
                        asking.push(self.asked(kind, *sight, key, is_counted));
                    }
                }
                // The kind is not served: it may come with these very objects.
                None => {
                    known.insert(key.clone(), Knowledge::Unknown);
                }
            }
        }
        let mut asking = futures::stream::iter(asking).buffer_unordered(PARALLEL);
        while let Some((key, knowledge)) = asking.next().await {
            known.insert(key.clone(), knowledge);
        }
        known
    }

    async fn asked<'k>(
        &self,
        kind: &Kind,
        sight: Sight,
        key: &'k ObjectKey,
        is_counted: bool,
    ) -> (&'k ObjectKey, Knowledge) {
        let knowledge = match ask(self.cluster, self.acting, kind, sight, key).await {
            Ok(live) => self.knowledge(key, live, is_counted).await,
            Err(_) => Knowledge::Unknown,
        };
        (key, knowledge)
    }

    /// What a plan needs of a live object, and of one that ran to its end and is gone.
    async fn knowledge(&self, key: &ObjectKey, live: Option<Live>, is_counted: bool) -> Knowledge {
        let Some(live) = live else {
            return self.cluster.index().ended(key).map_or(Knowledge::Absent, Knowledge::Ended);
        };
        let is_counted = is_counted && !live.holds_replicas();
        // Where nobody can say, nothing is taken for drift.
        let autoscaled = is_counted && self.acting.autoscaled(self.owner, key).await.unwrap_or(true);
        Knowledge::Present(view(live, autoscaled))
    }
}

/// What is there under the key of an entry that is to be deleted. What cannot be asked is an error, so that it is asked again.
pub(super) async fn known(
    cluster: &Cluster,
    acting: &Acting,
    owner: &Owner,
    entry: &InventoryEntry,
) -> Result<Knowledge, ApiError> {
    let key = &entry.key;
    let Some(kind) = acting.kind_of(key, "discover").await? else { return Ok(Knowledge::Absent) };
    let sight = acting.watch(&kind, owner);
    let shown = cluster.index().live(key);
    let is_doubted = shown.is_none() && entry.uid.is_none();
    let live =
        if sight == Sight::Complete && !is_doubted { shown } else { ask(cluster, acting, &kind, sight, key).await? };
    Ok(live.map_or(Knowledge::Absent, |live| Knowledge::Present(view(live, false))))
}

/// Asks for an object that is not watched, or that is doubted: its watch does not show it and it is not wanted any more, but nobody saw
/// an answer to its first apply. That may have made it all the same, which a watch tells only later.
async fn ask(
    cluster: &Cluster,
    acting: &Acting,
    kind: &Kind,
    sight: Sight,
    key: &ObjectKey,
) -> Result<Option<Live>, ApiError> {
    let asked = acting.look(kind, key).await;
    if sight == Sight::Complete {
        // What the account may not see it is unlikely to have made: then it is as the watch says.
        return if asked.as_ref().is_err_and(ApiError::is_terminal) { Ok(None) } else { asked };
    }
    let live = asked?;
    match &live {
        Some(live) => cluster.index().observed(key.clone(), live.clone()),
        None => cluster.index().gone(key, None),
    }
    Ok(live)
}

fn view(live: Live, autoscaled: bool) -> LiveView {
    LiveView {
        ended: live.ended(),
        fields: Some(live.held(autoscaled)).filter(|fields| *fields != 0),
        uid: live.uid,
        applied: live.applied,
        owner_label: Some(live.owner).filter(|owner| !owner.is_empty()),
        deleting: live.deleting,
        prune_disabled: live.prune_disabled,
        generated: live.generated,
        elsewhere: Elsewhere::Nothing,
    }
}
