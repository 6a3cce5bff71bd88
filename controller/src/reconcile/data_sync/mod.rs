//! `DataSync`: a volume that is kept equal to data which lives elsewhere.
//!
//! 1. [`validate`]: the spec, with every default filled in (pure);
//! 2. [`children`]: the claim, the order and the CronJob (pure), written down and sent ([`owned`]);
//! 3. [`follow`]: the commit that a git source leads to, which the pollers of [`Repositories`] keep known;
//! 4. [`jobs`]: which syncs ran and run, read of their Jobs, and one made where the spec or a person asks for it;
//! 5. [`sync`]: what a person reads and is told (pure).
//!
//! The work itself is an errand's ([`drover_core::errand`]), in a Job of the namespace: it knows no API server, and ends with its result.

mod follow;
mod jobs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use drover_core::news::News;
use drover_core::render::Object;
use drover_core::sync::{
    self, Catch, Due, ErrandImage, Invalid, Rejection, Request, SyncChildren, children, due, validate,
};
use drover_core::trouble::Trouble;
use drover_core::workload::App;
use drover_crds::{ANNOTATION_RECONCILE_AT, synced_claim};
use drover_crds::{DataSync, DataSyncStatus, Key, Owner, OwnerKind, Publish};
use kube::ResourceExt as _;

pub use self::follow::refresh;
use super::repository::Dereferenced;
use crate::cluster::Cluster;
use crate::cluster::inventory::Inventories;
use crate::driver::Next;
use crate::git::Repositories;
use crate::owned::{self, Owned, Parent};
use crate::rollout::dereference;
use crate::turn::{Draft, Ended, Gone, It, Kind, TURN};

/// The children of `sync`, without a cluster: for `drover render`.
pub fn build_all(sync: &DataSync, namespace: &str, image: &ErrandImage) -> Result<Vec<Object>, Invalid> {
    let namespace = sync.namespace().unwrap_or_else(|| namespace.to_owned());
    let app = App { kind: OwnerKind::DataSync, namespace, name: sync.name_any(), uid: sync.uid() };
    let valid = validate(&app, &sync.spec, &BTreeMap::new())?;
    Ok(children(&valid, image).in_order().into_iter().flatten().collect())
}

/// Makes the turns of DataSyncs.
pub struct DataSyncs {
    image: ErrandImage,
    repositories: Repositories,
    inventories: Arc<Inventories>,
}

/// What is remembered of a DataSync between two turns.
#[derive(Default)]
pub struct Memory {
    repository: Option<Dereferenced>,
}

impl DataSyncs {
    /// Whose errands run from `image`, whose commits are found by `repositories`, and whose children are written down in `inventories`.
    pub fn new(image: ErrandImage, repositories: Repositories, inventories: Arc<Inventories>) -> Self {
        Self { image, repositories, inventories }
    }
}

impl Kind for DataSyncs {
    type Object = DataSync;
    type Status = DataSyncStatus;
    type Memory = Memory;

    const OWNER: OwnerKind = OwnerKind::DataSync;
    const ACTION: &'static str = "Sync";

    async fn turn(
        &self,
        it: &It<'_, Self>,
        memory: &mut Memory,
        draft: &mut Draft<DataSyncStatus>,
    ) -> Result<Ended, Trouble> {
        let kinds = SyncChildren::KINDS.in_order().map(|child| (child.group, child.kind));
        if !it.sees(kinds.into_iter().chain([("batch", "Job")])).await {
            return Ok(Ended::Unsaid(Next::Later(TURN)));
        }
        let Some(definition) = it.definition().await? else { return Ok(Ended::Unsaid(Next::Retry)) };
        let Key { namespace, name } = it.key().clone();
        let app = App { kind: OwnerKind::DataSync, namespace, name, uid: it.object.uid() };
        let claim_name = synced_claim(&app.name);
        let claims = dereference::claims_named(&it.acting, &app, [claim_name.clone()].into()).await?;
        let mut valid = validate(&app, &it.object.spec, &claims)?;
        if it.object.spec.publish == Publish::Rollout {
            // What is published, or is put back where an app does not run with that, stays too while no pod mounts it.
            let DataSyncStatus { published, before, .. } = &draft.status;
            let mut in_use: BTreeSet<String> = published.iter().chain(before).map(|set| set.set.clone()).collect();
            in_use.extend(jobs::sets_in_use(&it.acting, &app, &claim_name).await?);
            valid.order.in_use = in_use.into_iter().collect();
        }

        let owned = Owned { cluster: it.cluster, inventories: &self.inventories, acting: &it.acting, owner: it.owner };
        let parent = Parent { owned, definition };
        let mut objects: Vec<Object> = children(&valid, &self.image).in_order().into_iter().flatten().collect();
        parent.mark(&mut objects);
        let plan = parent.plan(&objects, &BTreeSet::new()).await?;
        owned.refuse_foreign(&objects, |_| true).await?;
        parent.write_ahead(&plan).await?;
        parent.carry_out(&plan, &objects).await?;

        let (before, now) = (draft.status.clone(), it.now());
        let status = &mut draft.status;
        let runs = jobs::runs(&it.acting, &app, now.0.as_second()).await?;
        let claim = it.cluster.index().live(&dereference::claim_key(&app, &claim_name)).map(|live| live.uid);
        let asked = it.annotation(ANNOTATION_RECONCILE_AT);
        let generation = it.generation().unwrap_or_default();
        let (followed, look_again) = follow::follow(it, &self.repositories, &mut memory.repository).await?;
        let request = claim
            .as_deref()
            .zip(followed.asks_for())
            .map(|(claim, commit)| Request::of(&valid, generation, claim, asked, commit));
        let rejection = Rejection::of(it.object);
        sync::note(status, &runs, request.as_ref().map(|request| request.id.as_str()), rejection.as_ref());
        sync::note_next(&valid, status, &before, it.generation(), now.0);
        let (mut again, mut look_at_the_clock) = (None, None);
        if let Some((request, claim)) = request.zip(claim) {
            match due(&valid, request, status, status.running.is_some(), now.0.as_second()) {
                Due::No => match sync::catch_up(&valid, status, now.0) {
                    Catch::Nothing => {}
                    Catch::Look(time) => look_at_the_clock = Some(time),
                    Catch::Up(missed) => {
                        let job = sync::made_up_job(&valid, &self.image, missed, &claim);
                        // Its end is still to be noted where it is there already.
                        if !runs.iter().any(|run| Some(&run.job) == job.metadata.name.as_ref()) {
                            owned::make_job(&it.acting, it.owner, &job).await?;
                        }
                    }
                },
                Due::In(wait) => again = Some(wait),
                Due::Now(request) => {
                    let job = sync::job(&valid, &self.image, &request);
                    owned::make_job(&it.acting, it.owner, &job).await?;
                }
            }
        }
        let trouble = runs.iter().find_map(|run| run.trouble.as_deref());
        let (outcome, look) = sync::conclude(&valid, status, trouble, &followed, it.generation(), &now);
        let told = sync::clock_change(&valid, now.0);
        told.note(&mut status.conditions, it.generation(), &now);
        let next = again
            .into_iter()
            .chain(look)
            .chain(look_again)
            .min()
            .map_or(Next::Await, |wait: Duration| Next::After(wait));
        Ok(Ended::Said { outcome, next: next.by(look_at_the_clock, now.0).by(told.again, now.0) })
    }

    fn show(_status: &mut DataSyncStatus, _owner: &Owner, _trouble: Option<&Trouble>) {}

    fn news(before: &DataSyncStatus, after: &DataSyncStatus) -> Vec<News> {
        sync::news(before, after)
    }

    async fn clean_up(&self, gone: &Gone<'_, Self>) -> Result<(), Trouble> {
        self.repositories.unsubscribe(gone.owner);
        owned::clean_up_children(gone.cluster, &self.inventories, gone.owner, SyncChildren::rank).await
    }

    async fn left_behind(&self, _: &Cluster) -> Vec<Key> {
        self.inventories.keys(OwnerKind::DataSync)
    }
}
