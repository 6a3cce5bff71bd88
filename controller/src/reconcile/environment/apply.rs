//! Step 4: the plan carried out. The inventory first, then the stages, then the pruning, then what is known of the outcome.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use drover_core::health::Health;
use drover_core::plan::{
    self, Action, Answer, Elsewhere, Guards, InventoryEntry, Knowledge, LiveView, Occasion, Seen, Step, Why,
};
use drover_core::render::{Object, ObjectKey, Origin, Stage};
use drover_core::trouble::{Mend, Trouble};
use drover_crds::{ANNOTATION_CONFIRM_PRUNE, Environment, Key, ObjectFailure, Owner};
use futures::StreamExt as _;
use tokio::time::Instant;

use super::dereference::account;
use super::desired::{Bodies, Desired, Renderer, Wish, unavailable};
use super::entrusted::entrusted;
use super::peers::Peers;
use crate::cluster::discovery::Kind;
use crate::cluster::inventory::{Inventories, Record};
use crate::cluster::{Acting, ApiError, Cluster, Live, Sight};
use crate::git::CommitInfo;

/// Applies of one Environment under way at once.
const PARALLEL: usize = 16;
/// How long a new definition may take until its kind is served.
const DEFINITION_SERVED: Duration = Duration::from_secs(20);

/// What is to be carried out, and with what.
pub(super) struct Work<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) renderer: &'a Renderer,
    pub(super) inventories: &'a Inventories,
    pub(super) peers: &'a Peers,
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

/// Carries the plan out. `None` when a newer commit came meanwhile: what was not done yet is left to it.
pub(super) async fn apply(work: &Work<'_>) -> Result<Option<Done>, Trouble> {
    let record = work.inventories.get(work.key).await.unwrap_or_default();
    let sights = sights(work, &record.entries).await?;
    let mut known = look(work, &sights, &record.entries).await;
    ask_peers(work, &mut known).await;
    let plan = plan::plan(
        &work.desired.objects,
        |key| known.get(key).cloned().unwrap_or(Knowledge::Unknown),
        &record.entries,
        &guards(work),
    )?;

    let paused: HashSet<&ObjectKey> =
        plan.applies().filter(|step| is_paused(work, step)).map(|step| &step.key).collect();
    let told = |step: &Step| paused.contains(&step.key) && work.acting.knows_rival(&step.key);
    if plan.applies().all(told) && plan.prune.is_empty() && plan.release.is_empty() {
        // Nothing to send: the usual case. The rest tells whether anything is to be written.
        finish(work, &record, plan.finished(|_| None, |_| false)).await?;
        settled(&plan)?;
        return Ok(Some(done(work, &sights, &plan, &Outcome::default())));
    }

    let bodies = bodies(work).await?;
    let bodies = bodies.by_key();
    if let Some(ahead) = &plan.write_ahead {
        write(work, ahead.clone()).await?;
    }
    let mut outcome = Outcome::default();
    let mut superseded = false;
    for (stage, steps) in &plan.stages {
        superseded = superseded || !(work.newest)();
        if superseded || !outcome.failures.is_empty() {
            break;
        }
        superseded = send(work, &bodies, &record.entries, steps, &paused, &mut outcome).await;
        if *stage == Stage::Definitions && outcome.failures.is_empty() {
            served(work, &bodies, steps).await;
        }
    }
    for taken in &plan.release {
        match work.acting.release(work.owner, &taken.key, &taken.uid).await {
            Ok(()) => {
                tracing::info!(namespace = %work.key.namespace, environment = %work.key.name, object = %taken.key, "handed over");
                outcome.pruned.insert(taken.key.clone());
            }
            // The object is another's already; that a few of its fields stay is not worth a failure.
            Err(error) if error.is_terminal() => {
                tracing::warn!(namespace = %work.key.namespace, environment = %work.key.name, %error, "handed over, and cannot let go of it");
                outcome.pruned.insert(taken.key.clone());
            }
            Err(error) => outcome.fail(&taken.key, None, &error),
        }
    }
    let complete = !superseded && outcome.failures.is_empty() && plan.conflicts().next().is_none();
    if complete && (work.newest)() {
        for removal in &plan.prune {
            // Another may have come to want it since the plan was made.
            let claim = work.peers.claim(work.key, Some(&work.commit.id), &removal.key);
            if matches!(claim, Elsewhere::Wanted(_) | Elsewhere::NotYetKnown(_)) {
                superseded = true;
                continue;
            }
            match work.acting.delete(&removal.key, &removal.uid).await {
                Ok(()) => {
                    tracing::info!(namespace = %work.key.namespace, environment = %work.key.name, object = %removal.key, "pruned");
                    outcome.pruned.insert(removal.key.clone());
                }
                Err(error) => outcome.fail(&removal.key, None, &error),
            }
        }
    }
    let answered = |key: &ObjectKey| outcome.answers.get(key).cloned();
    finish(work, &record, plan.finished(answered, |key| outcome.pruned.contains(key))).await?;
    if let Some(trouble) = outcome.trouble() {
        return Err(trouble);
    }
    if superseded {
        return Ok(None);
    }
    settled(&plan)?;
    // A kind whose first object was just made is watched from now on.
    let sights = self::sights(work, &[]).await?;
    Ok(Some(done(work, &sights, &plan, &outcome)))
}

/// What the applies and deletions came to.
#[derive(Default)]
struct Outcome {
    answers: HashMap<ObjectKey, Answer>,
    pruned: HashSet<ObjectKey>,
    corrected: Vec<String>,
    failures: Vec<ObjectFailure>,
}

impl Outcome {
    /// How many objects were sent or removed.
    fn changed(&self) -> usize {
        self.answers.values().filter(|answer| matches!(answer, Answer::Accepted(_))).count() + self.pruned.len()
    }

    /// `origin` is where in the repository the object stands: most of what the API server refuses is corrected there.
    fn fail(&mut self, key: &ObjectKey, origin: Option<&Origin>, error: &ApiError) {
        let message = match origin.filter(|_| error.is_of_the_object()) {
            Some(origin) => format!("{origin}: {error}"),
            None => error.to_string(),
        };
        self.failures.push(ObjectFailure { object: key.to_string(), reason: error.label().to_owned(), message });
    }

    fn trouble(&self) -> Option<Trouble> {
        // The answers came in any order: what is told of first is the same each time.
        let mut each = self.failures.clone();
        each.sort_by(|a, b| a.object.cmp(&b.object));
        let first = each.first()?;
        let more = each.len() - 1;
        let sentence = if more == 0 { first.message.clone() } else { format!("{} (and {more} more)", first.message) };
        // Rights, quotas and webhooks are mended without a commit, what a spec says wrong only by one; either may be the case.
        let reason = first.reason.clone();
        Some(Trouble { each, ..Trouble::new(reason, sentence, Mend::Time) })
    }
}

fn guards(work: &Work<'_>) -> Guards {
    let prune = work.environment.spec.prune.clone().unwrap_or_default();
    let percent = prune.max_fraction.as_deref().and_then(plan::percent).unwrap_or(plan::DEFAULT_MAX_PERCENT);
    let annotations = work.environment.metadata.annotations.as_ref();
    Guards {
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

/// What can be seen of a kind.
type Sights = HashMap<(String, String), (Kind, Sight)>;

/// Makes sure that every kind in question is watched.
async fn sights(work: &Work<'_>, entries: &[InventoryEntry]) -> Result<Sights, Trouble> {
    let known = work.cluster.kinds().known().await.map_err(|error| unavailable(&error))?;
    let mut kinds: HashMap<(String, String), Kind> = HashMap::new();
    for (api_version, kind) in work.desired.kinds.iter() {
        let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
        if let Some(found) = known.exact(api_version, kind) {
            kinds.insert((group.to_owned(), kind.clone()), found.clone());
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
    let watched = kinds.into_iter().map(|(name, kind)| async move {
        let sight = work.acting.watch(&kind).await;
        (name, (kind, sight))
    });
    Ok(futures::future::join_all(watched).await.into_iter().collect())
}

/// What is known of every object in question: from the index, or asked as the account where drover may not watch.
async fn look(work: &Work<'_>, sights: &Sights, entries: &[InventoryEntry]) -> HashMap<ObjectKey, Knowledge> {
    let wanted = work.desired.objects.iter().map(|object| object.key.clone());
    let keys: BTreeSet<ObjectKey> = wanted.chain(entries.iter().map(|entry| entry.key.clone())).collect();
    let mut known = HashMap::with_capacity(keys.len());
    let mut looks = Vec::new();
    for key in keys {
        match sights.get(&(key.group.clone(), key.kind.clone())) {
            Some((_, Sight::Complete)) => {
                let live = work.cluster.index().live(&key);
                let live = knowledge(work, &key, live).await;
                known.insert(key, live);
            }
            Some((kind, Sight::Blind | Sight::Starting)) => looks.push(ask(work, kind, key)),
            // The kind is not served: it may come with this very commit.
            None => {
                known.insert(key, Knowledge::Unknown);
            }
        }
    }
    let mut looks = futures::stream::iter(looks).buffer_unordered(PARALLEL);
    while let Some((key, knowledge)) = looks.next().await {
        known.insert(key, knowledge);
    }
    known
}

/// What the other Environments say of objects that changed hands, or may.
async fn ask_peers(work: &Work<'_>, known: &mut HashMap<ObjectKey, Knowledge>) {
    let wanted: HashSet<&ObjectKey> = work.desired.objects.iter().map(|object| &object.key).collect();
    let ours = work.owner.label();
    let mut deleted: HashMap<String, bool> = HashMap::new();
    for (key, knowledge) in known {
        let Knowledge::Present(view) = knowledge else { continue };
        let other = view.owner_label.as_deref().filter(|label| *label != ours);
        let elsewhere = work.peers.elsewhere(work.key, &work.commit.id, wanted.contains(key), other, key);
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

async fn ask(work: &Work<'_>, kind: &Kind, key: ObjectKey) -> (ObjectKey, Knowledge) {
    let knowledge = match work.acting.look(kind, &key).await {
        Ok(live) => {
            if let Some(live) = &live {
                work.cluster.index().observed(key.clone(), live.clone());
            }
            if live.is_none() {
                work.cluster.index().gone(&key, None);
            }
            self::knowledge(work, &key, live).await
        }
        Err(_) => Knowledge::Unknown,
    };
    (key, knowledge)
}

/// What a plan needs of a live object, and of one that ran to its end and is gone.
async fn knowledge(work: &Work<'_>, key: &ObjectKey, live: Option<Live>) -> Knowledge {
    let Some(live) = live else {
        return work.cluster.index().ended(key).map_or(Knowledge::Absent, Knowledge::Ended);
    };
    let is_counted = !live.holds_replicas() && work.desired.counted.contains(key);
    // Where nobody can say, nothing is taken for drift.
    let autoscaled = is_counted && work.acting.autoscaled(key).await.unwrap_or(true);
    Knowledge::Present(LiveView {
        ended: live.ended(),
        fields: Some(live.held(autoscaled)).filter(|fields| *fields != 0),
        uid: live.uid,
        applied: live.applied,
        owner_label: Some(live.owner).filter(|owner| !owner.is_empty()),
        deleting: live.deleting,
        prune_disabled: live.prune_disabled,
        elsewhere: Elsewhere::Nothing,
    })
}

/// The objects themselves: at hand after a rendering, else read again from the copy of the repository.
async fn bodies(work: &Work<'_>) -> Result<Arc<Bodies>, Trouble> {
    if let Some(bodies) = &work.desired.bodies {
        return Ok(bodies.clone());
    }
    let &Work { acting, environment, key, commit, occasion, .. } = work;
    let again = work.renderer.desired(Wish { acting, environment, key, commit, occasion }, None).await?;
    Ok(again.bodies.expect("what is not known is rendered"))
}

/// Sends the objects of a stage. True when a newer commit came meanwhile.
async fn send(
    work: &Work<'_>,
    bodies: &HashMap<ObjectKey, &Object>,
    entries: &[InventoryEntry],
    steps: &[Step],
    paused: &HashSet<&ObjectKey>,
    outcome: &mut Outcome,
) -> bool {
    let uids: HashMap<&ObjectKey, &str> =
        entries.iter().filter_map(|entry| Some((&entry.key, entry.uid.as_deref()?))).collect();
    let mut sending = Vec::new();
    for step in steps {
        if let (Action::Apply { force, why }, Some(object)) = (&step.action, bodies.get(&step.key)) {
            if paused.contains(&step.key) {
                work.acting.find_rival(work.owner, object).await;
                continue;
            }
            sending.push(send_one(work, &step.key, object, *force, *why, uids.get(&step.key).copied()));
        }
    }
    let mut superseded = false;
    let mut answers = futures::stream::iter(sending).buffer_unordered(PARALLEL);
    while let Some(answer) = answers.next().await {
        let Some((key, why, answer)) = answer else {
            superseded = true;
            continue;
        };
        match answer {
            Ok(live) => {
                tracing::debug!(namespace = %work.key.namespace, environment = %work.key.name, object = %key, ?why, "sent");
                match why {
                    Why::Drifted => {
                        outcome.corrected.push(key.to_string());
                        work.acting.put_back(key);
                    }
                    Why::New | Why::Changed | Why::HandedOver => work.acting.wanted_otherwise(key),
                    Why::Unknown => {}
                }
                let fields = live.sent.filter(|fields| *fields != 0);
                outcome.answers.insert(key.clone(), Answer::Accepted(Seen { uid: live.uid, fields }));
            }
            Err(error) => {
                let answer = if error.made_nothing() { Answer::Refused } else { Answer::Unknown };
                outcome.answers.insert(key.clone(), answer);
                outcome.fail(key, bodies.get(key).and_then(|object| object.origin.as_ref()), &error);
            }
        }
    }
    superseded
}

/// Whether what others change again and again is left for the moment.
fn is_paused(work: &Work<'_>, step: &Step) -> bool {
    matches!(step.action, Action::Apply { why: Why::Drifted, .. }) && work.acting.is_paused(&step.key)
}

/// Sends one object, unless a newer commit came.
async fn send_one<'a>(
    work: &Work<'_>,
    key: &'a ObjectKey,
    object: &Object,
    force: bool,
    why: Why,
    uid: Option<&str>,
) -> Option<(&'a ObjectKey, Why, Result<Live, ApiError>)> {
    if !(work.newest)() {
        return None;
    }
    if let Err(refused) = entrusted(work.acting, work.environment, work.key, object).await {
        return Some((key, why, Err(refused)));
    }
    let answer = match work.acting.apply(work.owner, object, force).await {
        Err(ApiError::Conflict { owned: false, .. }) if still_ours(work, object, uid).await => {
            work.acting.apply(work.owner, object, true).await
        }
        Err(ApiError::Owned { .. }) if abandoned(work, object).await => {
            work.acting.apply(work.owner, object, true).await
        }
        answer => answer,
    };
    Some((key, why, answer))
}

/// Whether an object that vanished from the watch is in truth the one that was applied, with its label taken off.
async fn still_ours(work: &Work<'_>, object: &Object, uid: Option<&str>) -> bool {
    let (Some(uid), Ok(kind)) = (uid, work.acting.kind(object).await) else { return false };
    let live = work.acting.look(&kind, &object.key()).await.ok().flatten();
    live.is_some_and(|live| live.uid == uid && (live.owner.is_empty() || live.owner == work.owner.label()))
}

/// Whether the owner that an object is labelled with does not exist any more: it was deleted, and its objects stayed.
async fn abandoned(work: &Work<'_>, object: &Object) -> bool {
    let Ok(kind) = work.acting.kind(object).await else { return false };
    match work.acting.look(&kind, &object.key()).await {
        Ok(Some(live)) => matches!(work.cluster.owner_exists(&live.owner).await, Ok(false)),
        _ => false,
    }
}

/// Waits until the kinds of new definitions are served, so that their first objects can be in the same commit.
async fn served(work: &Work<'_>, bodies: &HashMap<ObjectKey, &Object>, steps: &[Step]) {
    let sent = steps.iter().filter(|step| matches!(step.action, Action::Apply { .. }));
    if !sent.clone().any(|step| step.key.kind == "CustomResourceDefinition") {
        return;
    }
    let deadline = Instant::now() + DEFINITION_SERVED;
    while Instant::now() < deadline {
        let Ok(known) = work.cluster.kinds().refresh().await else { return };
        let all = bodies.values().all(|object| known.exact(object.api_version(), object.kind()).is_some());
        if all {
            return;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
}

fn record(work: &Work<'_>, entries: Vec<InventoryEntry>) -> Record {
    Record {
        entries,
        on_deletion: work.environment.spec.deletion_policy.unwrap_or_default(),
        account: account(work.environment).to_owned(),
        definition: work.definition.map(str::to_owned),
    }
}

async fn write(work: &Work<'_>, entries: Vec<InventoryEntry>) -> Result<(), Trouble> {
    work.inventories.put(work.key, record(work, entries)).await.map_err(Trouble::from)
}

/// Writes the inventory where it changed, or where the spec now says something else about the Environment's deletion.
async fn finish(work: &Work<'_>, before: &Record, entries: Option<Vec<InventoryEntry>>) -> Result<(), Trouble> {
    match entries {
        Some(entries) => write(work, entries).await,
        None if before.same_but_objects(&record(work, Vec::new())) || before.entries.is_empty() => Ok(()),
        None => {
            let current = work.inventories.get(work.key).await.unwrap_or_default();
            write(work, current.entries.clone()).await
        }
    }
}

/// Whether it is known of all objects whose they are.
fn settled(plan: &plan::Plan) -> Result<(), Trouble> {
    conflicts(plan)?;
    match plan.unsettled() {
        None => Ok(()),
        Some((other, object)) => {
            let message = format!("Waiting for a look at {other}, because {object} may have moved between the two");
            Err(Trouble::new("HandOver", message, Mend::Turn))
        }
    }
}

fn conflicts(plan: &plan::Plan) -> Result<(), Trouble> {
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

fn done(work: &Work<'_>, sights: &Sights, plan: &plan::Plan, outcome: &Outcome) -> Done {
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
        changed: outcome.changed(),
        blind,
        health: health.collect(),
        drifted: drifted.collect(),
        corrected: outcome.corrected.clone(),
        contested,
        again,
        held: plan.held.iter().map(ToString::to_string).collect(),
    }
}
