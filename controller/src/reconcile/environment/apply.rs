//! Step 4: the plan made and carried out, as [`owned`](crate::owned) does it, and what is known of the outcome.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drover_core::branch::{CommitInfo, Peers};
use drover_core::health::Health;
use drover_core::plan::{self, Action, Elsewhere, Guards, InventoryEntry, Knowledge, Occasion, Plan, Step};
use drover_core::render::{Object, ObjectKey, Stage};
use drover_core::trouble::{Mend, Trouble};
use drover_crds::{ANNOTATION_CONFIRM_PRUNE, Environment, Key, ObjectFailure, Owner};

use super::dereference::account;
use super::desired::{Bodies, Desired, Renderer, Wish, unavailable};
use super::entrusted::entrusted;
use crate::cluster::inventory::{Inventories, Record};
use crate::cluster::{AUTOSCALER, Acting, ApiError, Cluster, Sight};
use crate::owned::{Carried, Owned, Party, Sights};
use crate::unpoisoned;

/// What is to be carried out, and with what.
pub(super) struct Work<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) renderer: &'a Renderer,
    pub(super) inventories: &'a Inventories,
    pub(super) peers: &'a Mutex<Peers>,
    pub(super) acting: &'a Acting,
    pub(super) environment: &'a Environment,
    pub(super) key: &'a Key,
    pub(super) owner: &'a Owner,
    pub(super) commit: &'a CommitInfo,
    pub(super) desired: &'a Desired,
    /// Whether this commit was applied in full before.
    pub(super) occasion: Occasion,
    /// The uid of the definition of Environments, where the deletion of this one deletes objects.
    pub(super) definition: Option<&'a str>,
    /// Whether the commit still is the one to apply.
    pub(super) newest: &'a (dyn Fn() -> bool + Sync),
}

/// What was done.
pub(super) struct Done {
    /// How many objects were sent or removed.
    pub(super) changed: usize,
    /// Kinds that drover may not watch.
    pub(super) blind: Vec<String>,
    /// The health of each object.
    pub(super) health: Vec<(ObjectKey, Health)>,
    /// Objects that others changed, left as the drift policy says.
    pub(super) drifted: Vec<String>,
    /// Objects that others had changed, put back.
    pub(super) corrected: Vec<String>,
    /// Objects that others change again and again.
    pub(super) contested: Vec<ObjectFailure>,
    /// When to look at those again.
    pub(super) again: Option<Duration>,
    /// Objects that left git and stay for now, each with a sentence.
    pub(super) held: Vec<String>,
}

impl Party for Work<'_> {
    fn is_newest(&self) -> bool {
        (self.newest)()
    }

    async fn served(&self) -> Result<(), Trouble> {
        if !self.cluster.kinds().are_expected(self.owner) {
            return Ok(());
        }
        let Ok(known) = self.cluster.kinds().refresh().await else { return Ok(()) };
        match self.desired.kinds.iter().find(|(api_version, kind)| known.exact(api_version, kind).is_none()) {
            None => Ok(()),
            Some((_, kind)) => Err(Trouble::unseen(format!("{kind} is not served yet"))),
        }
    }

    async fn admit(&self, object: &Object) -> Result<(), ApiError> {
        entrusted(self.acting, self.environment, self.key, object).await
    }

    fn claim(&self, key: &ObjectKey) -> Elsewhere {
        unpoisoned::lock(self.peers).claim(self.key, Some(&self.commit.id), key)
    }
}

/// Carries the plan out. `None` when a newer commit came meanwhile: what was not done yet is left to it.
pub(super) async fn apply(work: &Work<'_>) -> Result<Option<Done>, Trouble> {
    let &Work { cluster, inventories, acting, owner, desired, .. } = work;
    let owned = Owned { cluster, inventories, acting, owner };
    let recorded = inventories.confirmed(owner).await?.unwrap_or_default();
    let sights = sights(work, &owned, &recorded.entries).await?;
    all_listed(work, &sights).await?;
    let wanted: BTreeSet<&ObjectKey> = desired.objects.iter().map(|object| &object.key).collect();
    let mut known = owned.look(&sights, &wanted, &desired.counted, &recorded.entries).await;
    ask_peers(work, &wanted, &mut known).await;
    let plan = plan::plan(
        &desired.objects,
        |key| known.get(key).cloned().unwrap_or(Knowledge::Unknown),
        &recorded.entries,
        &guards(work),
    )?;

    if owned.is_done(&plan) {
        // Nothing to send: the usual case. The rest tells whether anything is to be written.
        write(work, &owned, plan.finished(|_| None, |_| false)).await?;
        settled(&plan)?;
        return Ok(Some(done(work, &sights, &plan, &Carried::default())));
    }

    let defines = |steps: &[Step]| steps.iter().any(|step| matches!(step.action, Action::Apply { .. }));
    if !plan.stages.iter().any(|(stage, steps)| *stage == Stage::Definitions && defines(steps)) {
        work.served().await?;
    }
    let bodies = bodies(work, &plan).await?;
    let bodies = bodies.by_key();
    if let Some(ahead) = &plan.write_ahead {
        write(work, &owned, Some(ahead.clone())).await?;
    }
    let carried = owned.carry_out(work, &plan, &bodies, &recorded.entries).await;
    let answered = |key: &ObjectKey| carried.answers.get(key).cloned();
    write(work, &owned, plan.finished(answered, |key| carried.pruned.contains(key))).await?;
    if let Some(trouble) = trouble(&carried, &bodies) {
        return Err(trouble);
    }
    if carried.superseded {
        return Ok(None);
    }
    if let Some(unserved) = carried.unserved {
        return Err(unserved);
    }
    settled(&plan)?;
    // A kind whose first object was just made is watched from now on.
    let sights = self::sights(work, &owned, &[]).await?;
    Ok(Some(done(work, &sights, &plan, &carried)))
}

/// What could not be done. Where in the repository the object stands is told with it: most of what the API server refuses is corrected
/// there.
fn trouble(carried: &Carried, bodies: &HashMap<ObjectKey, &Object>) -> Option<Trouble> {
    let failed = carried.failures.iter().map(|(key, error)| {
        let origin = bodies.get(key).and_then(|object| object.origin.as_ref());
        let message = match origin.filter(|_| error.is_of_the_object()) {
            Some(origin) => format!("{origin}: {error}"),
            None => error.to_string(),
        };
        ObjectFailure { object: key.to_string(), reason: error.label().to_owned(), message }
    });
    // The answers came in any order: what is told of first is the same each time.
    let mut each: Vec<ObjectFailure> = failed.collect();
    each.sort_by(|a, b| a.object.cmp(&b.object));
    let first = each.first()?;
    let more = each.len() - 1;
    let sentence = if more == 0 { first.message.clone() } else { format!("{} (and {more} more)", first.message) };
    // Rights, quotas and webhooks are mended without a commit, what a spec says wrong only by one; either may be the case.
    let reason = first.reason.clone();
    Some(Trouble { each, ..Trouble::new(reason, sentence, Mend::Time) })
}

fn guards(work: &Work<'_>) -> Guards {
    let prune = work.environment.spec.prune.clone().unwrap_or_default();
    let percent = prune.max_fraction.as_deref().and_then(plan::percent).unwrap_or(plan::DEFAULT_MAX_PERCENT);
    let annotations = work.environment.metadata.annotations.as_ref();
    Guards {
        kind: work.owner.kind,
        namespace: work.key.namespace.clone(),
        name: work.key.name.clone(),
        path: work.environment.spec.source.path.clone().unwrap_or_default(),
        owner_label: work.owner.label(),
        commit: work.commit.id.to_string(),
        confirmation: annotations.and_then(|a| a.get(ANNOTATION_CONFIRM_PRUNE)).cloned(),
        prune: prune.enabled.unwrap_or(true),
        max_percent: percent,
        drift: work.environment.spec.drift.unwrap_or_default(),
        occasion: work.occasion,
    }
}

/// Makes sure that every kind in question is watched.
async fn sights(work: &Work<'_>, owned: &Owned<'_>, entries: &[InventoryEntry]) -> Result<Sights, Trouble> {
    let kinds = work.desired.kinds.iter().map(|(api_version, kind)| (api_version.as_str(), kind.as_str()));
    owned.sights(kinds, entries).await.map_err(|error| unavailable(&error))
}

/// Refuses to begin while the objects of a kind in question are being listed for the first time.
async fn all_listed(work: &Work<'_>, sights: &Sights) -> Result<(), Trouble> {
    let is_starting = |sight| sight == Sight::Starting;
    let mut starting = sights.iter().filter(|(_, (_, sight))| is_starting(*sight)).map(|((_, kind), _)| kind.clone());
    let mut first = starting.next();
    if !work.desired.counted.is_empty() {
        let known = work.cluster.kinds().known().await.map_err(|error| unavailable(&error))?;
        let autoscalers = known.preferred(AUTOSCALER.0, AUTOSCALER.1);
        if autoscalers.is_some_and(|kind| is_starting(work.acting.watch(kind, work.owner))) {
            first.get_or_insert_with(|| AUTOSCALER.1.to_owned());
        }
    }
    match first {
        None => Ok(()),
        Some(kind) => Err(Trouble::unseen(format!("{kind} is being listed for the first time"))),
    }
}

/// What the other Environments say of objects that changed hands, or may.
async fn ask_peers(work: &Work<'_>, wanted: &BTreeSet<&ObjectKey>, known: &mut HashMap<ObjectKey, Knowledge>) {
    let ours = work.owner.label();
    let mut deleted: HashMap<String, bool> = HashMap::new();
    for (key, knowledge) in known {
        let Knowledge::Present(view) = knowledge else { continue };
        let other = view.owner_label.as_deref().filter(|label| *label != ours);
        let is_wanted = wanted.contains(key);
        let elsewhere = unpoisoned::lock(work.peers).elsewhere(work.key, &work.commit.id, is_wanted, other, key);
        view.elsewhere = match (elsewhere, other) {
            (Some(elsewhere), _) => elsewhere,
            // Its objects stayed when it was deleted. That it is not known here is no proof.
            (None, Some(label)) => {
                if !deleted.contains_key(label) {
                    let is_deleted = matches!(work.cluster.owner_exists(label).await, Ok(false));
                    deleted.insert(label.to_owned(), is_deleted);
                }
                if deleted[label] { Elsewhere::LetGo } else { Elsewhere::Nothing }
            }
            (None, None) => Elsewhere::Nothing,
        };
    }
}

/// The objects that are to be sent: at hand after a rendering, else read again from the copy of the repository.
async fn bodies(work: &Work<'_>, plan: &Plan) -> Result<Arc<Bodies>, Trouble> {
    if let Some(bodies) = &work.desired.bodies {
        return Ok(bodies.clone());
    }
    let &Work { acting, environment, key, commit, occasion, .. } = work;
    let Desired { brought, keys, .. } = work.desired;
    let wish = Wish { acting, environment, brought, keys: keys.as_ref(), key, commit, occasion };
    let sent = plan.applies().map(|step| &step.key).collect();
    if let Some(some) = work.renderer.some(wish, work.desired, &sent).await {
        return Ok(Arc::new(some));
    }
    let again = work.renderer.desired(wish, None).await?;
    Ok(again.bodies.expect("what is not known is rendered"))
}

/// Writes the inventory where it changed, or where the spec now says something else about the Environment's deletion.
async fn write(work: &Work<'_>, owned: &Owned<'_>, entries: Option<Vec<InventoryEntry>>) -> Result<(), Trouble> {
    let terms = Record {
        entries: Vec::new(),
        on_deletion: work.environment.spec.deletion_policy.unwrap_or_default(),
        account: account(work.environment).to_owned(),
        definition: work.definition.map(str::to_owned),
    };
    owned.write(entries, terms).await.map_err(Trouble::from)
}

/// Whether it is known of all objects whose they are.
fn settled(plan: &Plan) -> Result<(), Trouble> {
    conflicts(plan)?;
    match plan.unsettled() {
        None => Ok(()),
        Some((other, object)) => {
            let message = format!("Waiting for a look at {other}, because {object} may have moved between the two");
            Err(Trouble::new("HandOver", message, Mend::Turn))
        }
    }
}

fn conflicts(plan: &Plan) -> Result<(), Trouble> {
    let each: Vec<ObjectFailure> = plan
        .conflicts()
        .map(|conflict| ObjectFailure {
            object: conflict.key.to_string(),
            reason: "OwnedByAnother".into(),
            message: conflict.to_string(),
        })
        .collect();
    let Some(first) = each.first() else { return Ok(()) };
    // Looked at again: the other owner may give it up without drover being told.
    let trouble = Trouble::new(first.reason.as_str(), first.message.as_str(), Mend::Person);
    Err(Trouble { each, ..trouble })
}

fn done(work: &Work<'_>, sights: &Sights, plan: &Plan, carried: &Carried) -> Done {
    let mut blind: Vec<String> =
        sights.iter().filter(|(_, (_, sight))| *sight == Sight::Blind).map(|((_, kind), _)| kind.clone()).collect();
    blind.sort();
    let health = work.desired.objects.iter().map(|object| {
        let live = work.cluster.index().live(&object.key);
        let health = match (live.filter(|live| !live.deleting || live.finished.is_none()), plan.ended(&object.key)) {
            (Some(live), _) => live.health,
            (None, Some(ended)) if ended.failed => Health::Failed {
                reason: "JobFailed".into(),
                message: "it failed and was removed since; it runs again once git says something else of it".into(),
            },
            (None, Some(_)) => Health::Current,
            (None, None) => Health::InProgress { message: "it is not there yet".into() },
        };
        (object.key.clone(), health)
    });
    let (contested, again) = work.acting.wars(work.owner, work.desired.objects.iter().map(|object| &object.key));
    let drifted = plan.steps().filter(|step| step.action == Action::Drifted).map(|step| step.key.to_string());
    Done {
        changed: carried.changed(),
        blind,
        health: health.collect(),
        drifted: drifted.collect(),
        corrected: carried.corrected.clone(),
        contested,
        again,
        held: plan.held.iter().map(ToString::to_string).collect(),
    }
}
