//! The objects of an owner that are made from its spec. Its inventory is written when the set of them changes, and else left alone. So
//! it does not say which fields each had after the last apply: what this process has not sent is sent anew.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use drover_core::plan::{self, Answer, Guards, InventoryEntry, Knowledge, Plan};
use drover_core::render::{Object, ObjectKey, Stage};
use drover_crds::{ANNOTATION_DEFINITION, DEFAULT_SERVICE_ACCOUNT, DeletionPolicy, ObjectFailure};
use futures::future::try_join_all;

use super::{Carried, Owned, Party};
use crate::cluster::ApiError;
use crate::cluster::inventory::Record;

/// An owner whose objects are made from its spec.
#[derive(Clone, Copy)]
pub struct Parent<'a> {
    /// The owner.
    pub owned: Owned<'a>,
    /// The uid of the owner's definition.
    pub definition: &'a str,
}

/// What is to be done.
pub struct Intent {
    /// With the objects that are wanted, and those that are not.
    pub plan: Plan,
    /// What is written down and left alone.
    left_alone: Vec<InventoryEntry>,
}

/// Nobody has anything to say.
impl Party for Parent<'_> {}

impl Parent<'_> {
    /// Notes on each object under which definition it is applied: it goes with its owner only under the same.
    pub fn mark(&self, objects: &mut [Object]) {
        for object in objects {
            object.set_annotation(ANNOTATION_DEFINITION, self.definition);
        }
    }

    /// What is to be done for these to be all that there are, but for those that are `left_alone`: they stay as they are, where they are.
    ///
    /// # Panics
    ///
    /// Never: an owner has children, and all that it does not want may go.
    pub async fn plan(&self, objects: &[Object], left_alone: &BTreeSet<ObjectKey>) -> Result<Intent, ApiError> {
        let Owned { cluster, inventories, acting, owner } = self.owned;
        let record = inventories.confirmed(owner).await?.unwrap_or_default();
        let is_left_alone = |entry: &InventoryEntry| left_alone.contains(&entry.key);
        let (left_alone, mut entries) = record.entries.iter().cloned().partition::<Vec<_>, _>(is_left_alone);
        let desired: Vec<plan::Desired> = objects
            .iter()
            .map(|object| plan::Desired { key: object.key(), hash: acting.hash(object), stage: Stage::of(object) })
            .collect();
        let wanted: BTreeSet<&ObjectKey> = desired.iter().map(|object| &object.key).collect();
        // To have no pods is the owner's word: an autoscaler that starts some is somebody who changes what was set.
        let has_some = |object: &&Object| object.replicas().is_some_and(|replicas| replicas > 0);
        let counted: HashSet<ObjectKey> = objects.iter().filter(has_some).map(Object::key).collect();
        let kinds = objects.iter().map(|object| (object.api_version(), object.kind()));
        let sights = self.owned.sights(kinds, &entries).await;
        let sights = sights.map_err(|error| acting.error(error, "discover", &desired[0].key))?;
        let mut known = self.owned.look(&sights, &wanted, &counted, &entries).await;
        for entry in entries.iter_mut().filter(|entry| wanted.contains(&entry.key)) {
            let sent = cluster.index().live(&entry.key).and_then(|live| live.sent);
            *entry = InventoryEntry { fields: sent, ..InventoryEntry::ahead(entry.key.clone()) };
        }
        let sent: HashSet<&ObjectKey> = entries.iter().filter(|e| e.fields.is_some()).map(|e| &e.key).collect();
        for (key, knowledge) in &mut known {
            if let Knowledge::Present(view) = knowledge
                && !sent.contains(key)
            {
                view.applied = Some(String::new());
            }
        }
        let look = |key: &ObjectKey| known.get(key).cloned().unwrap_or(Knowledge::Unknown);
        let plan = plan::plan(&desired, look, &entries, &Guards::of_children(owner));
        let plan = plan.expect("an owner has children, and all that it does not want may go");
        Ok(Intent { plan, left_alone })
    }

    /// Asks the API server whether it would take those of these objects that are to be sent, so that not half of them are. One alone is
    /// asked for by sending it.
    pub async fn rehearse(&self, intent: &Intent, objects: impl Iterator<Item = &Object>) -> Result<(), ApiError> {
        let Owned { acting, owner, .. } = self.owned;
        let changed: BTreeSet<&ObjectKey> = intent.plan.applies().map(|step| &step.key).collect();
        let changed: Vec<&Object> = objects.filter(|object| changed.contains(&object.key())).collect();
        if changed.len() > 1 {
            try_join_all(changed.into_iter().map(|object| acting.rehearse(owner, object))).await?;
        }
        Ok(())
    }

    /// Writes down what the plan is about to make. To be called before anything of it is done.
    pub async fn write_ahead(&self, intent: &Intent) -> Result<(), ApiError> {
        let entries = intent.plan.write_ahead.as_ref().map(|entries| self.entries(entries, intent));
        self.owned.write(entries, self.terms()).await
    }

    /// Does what the plan says with these objects, and writes down what went.
    ///
    /// # Errors
    ///
    /// The first thing that could not be done.
    pub async fn carry_out(&self, intent: &Intent, objects: &[Object]) -> Result<Carried, ApiError> {
        let plan = &intent.plan;
        let by_key = objects.iter().map(|object| (object.key(), object)).collect::<HashMap<_, _>>();
        let mut carried = self.owned.carry_out(self, plan, &by_key, &[]).await;
        // What was refused may be taken the next time, so it stays written down: only what went leaves.
        let finished = plan.finished(|_| Some(Answer::Unknown), |key| carried.pruned.contains(key));
        let before = self.owned.inventories.get(self.owned.owner).unwrap_or_default();
        let finished = finished.map(|entries| self.entries(&entries, intent));
        let fewer = finished.filter(|entries| entries.len() < before.entries.len());
        let written = self.owned.write(fewer, self.terms()).await;
        if !carried.failures.is_empty() {
            return Err(carried.failures.swap_remove(0).1);
        }
        written?;
        // It changed hands since it was looked at.
        match plan.conflicts().next() {
            Some(conflict) => Err(ApiError::Changed { object: conflict.key.to_string() }),
            None => Ok(carried),
        }
    }

    /// The wars over the objects that are written down, as sentences, and when to look again.
    pub fn wars(&self) -> (Vec<ObjectFailure>, Option<Duration>) {
        let record = self.owned.inventories.get(self.owned.owner).unwrap_or_default();
        self.owned.acting.wars(self.owned.owner, record.entries.iter().map(|entry| &entry.key))
    }

    /// Entries as they are stored: with the uids that are known by now, where the owner has fields of the object, and those that are left
    /// alone.
    fn entries(&self, entries: &[InventoryEntry], intent: &Intent) -> Vec<InventoryEntry> {
        let label = self.owned.owner.label();
        let uid = |key: &ObjectKey| {
            let live = self.owned.cluster.index().live(key)?;
            (live.owner == label && live.fields != 0).then_some(live.uid)
        };
        let stored = |entry: &InventoryEntry| InventoryEntry {
            uid: uid(&entry.key).or_else(|| entry.uid.clone()),
            ..InventoryEntry::ahead(entry.key.clone())
        };
        let mut all: Vec<_> = entries.iter().map(stored).chain(intent.left_alone.iter().cloned()).collect();
        all.sort_by(|one, other| one.key.cmp(&other.key));
        all
    }

    /// The inventory beside the objects.
    fn terms(&self) -> Record {
        Record {
            entries: Vec::new(),
            on_deletion: DeletionPolicy::Delete,
            account: DEFAULT_SERVICE_ACCOUNT.to_owned(),
            definition: Some(self.definition.to_owned()),
        }
    }
}
