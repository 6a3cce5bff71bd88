//! Desired × live × inventory → what to do.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use drover_crds::DriftPolicy;

use super::action::{Action, Conflict, Why};
use super::guards::{FEW, Guards, Occasion, Refusal};
use super::inventory::{Ended, InventoryEntry};
use super::live::{Elsewhere, Knowledge, LiveView};
use super::removal::{Fate, Remover, fate};
use crate::render::{ObjectKey, Stage};

/// An object as it is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    /// Which.
    pub key: ObjectKey,
    /// [`crate::render::applied_hash`] of it.
    pub hash: String,
    /// When it is applied.
    pub stage: Stage,
}

/// A wanted object and what to do with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Which object.
    pub key: ObjectKey,
    /// What to do.
    pub action: Action,
}

/// An object to delete, with the uid that must still be its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// Which object.
    pub key: ObjectKey,
    /// Its uid, the precondition of the deletion.
    pub uid: String,
}

/// An object that left git and is not deleted for now; it stays in the inventory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Which object.
    pub key: ObjectKey,
    /// Why it is still there.
    pub why: HeldBecause,
}

/// Why an object that left git is still there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeldBecause {
    /// Deleting it deletes more than itself, and nobody confirmed that.
    NeedsConfirmation {
        /// What would be lost.
        loss: &'static str,
        /// The command that confirms it.
        command: String,
    },
    /// It could not be asked whether it is there and ours.
    CannotAsk,
    /// Another owner has an object of this commit; nothing is removed until that is settled.
    Conflicts,
    /// It moved to this other Environment, which takes it over.
    HandOver(String),
    /// It is known in a moment whether it moved to this other Environment.
    AskAgain(String),
    /// It may have moved to this other Environment, which cannot be read.
    MayBeWanted {
        /// Which.
        by: String,
        /// The command that confirms its deletion.
        command: String,
    },
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = &self.key;
        match &self.why {
            HeldBecause::NeedsConfirmation { loss, command } => write!(
                f,
                "{key} is no longer in git and was left, because {loss}: delete it with `{command}`, or give it the annotation \
                 {}=disabled to keep it",
                drover_crds::ANNOTATION_PRUNE,
            ),
            HeldBecause::HandOver(by) => {
                write!(f, "{key} is no longer in git here and is left to {by}, which wants it and takes it over")
            }
            HeldBecause::AskAgain(by) => {
                write!(f, "{key} is no longer in git here and stays until it is known whether it moved to {by}")
            }
            HeldBecause::MayBeWanted { by, command } => write!(
                f,
                "{key} is no longer in git here and was left, because it may have moved to {by}, which follows the same and cannot be \
                 read: mend or suspend that, or delete the object with `{command}`"
            ),
            HeldBecause::CannotAsk => {
                write!(
                    f,
                    "{key} is no longer in git and will be removed once drover can ask the API server about it again"
                )
            }
            HeldBecause::Conflicts => write!(
                f,
                "{key} is no longer in git and will be removed once no object of this commit belongs to another owner"
            ),
        }
    }
}

/// What an apply answered about an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its uid.
    pub uid: String,
    /// Hash of the set of fields that our field manager holds now.
    pub fields: Option<u64>,
}

/// What became of an object that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The API server has it.
    Accepted(Seen),
    /// The API server said no, and so made nothing.
    Refused,
    /// Nobody knows: the answer was lost, or says nothing about what was made.
    Unknown,
}

/// What to do for one commit, or after a change in the cluster. Order: write [`Plan::write_ahead`], apply the stages, and
/// only when every apply succeeded delete what is in [`Plan::prune`]; then write [`Plan::finished`].
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The wanted objects by stage, in the order of applying; a stage without objects is left out.
    pub stages: Vec<(Stage, Vec<Step>)>,
    /// What to delete, in order.
    pub prune: Vec<Removal>,
    /// What another Environment took over: what is still held of it is to be let go of.
    pub release: Vec<Removal>,
    /// What left git and stays for now, with the reason.
    pub held: Vec<Held>,
    /// The inventory to write before the first apply: everything that may exist afterwards. `None` when the current one
    /// says that already.
    pub write_ahead: Option<Vec<InventoryEntry>>,
    /// The inventory that is stored when the applies begin.
    stored: BTreeMap<ObjectKey, InventoryEntry>,
    /// What is in it for the first time, because it is to be sent: nothing of it was made before.
    ahead: HashSet<ObjectKey>,
    /// Wanted objects that ran to their end with the content that is wanted.
    ended: BTreeMap<ObjectKey, Ended>,
    /// Objects that were not to be sent, as they were seen.
    kept: BTreeMap<ObjectKey, Seen>,
    /// Entries of objects that left git and need no deletion: gone, going, or not ours.
    forget: HashSet<ObjectKey>,
}

impl Plan {
    /// Every wanted object with what to do, in the order of applying.
    pub fn steps(&self) -> impl Iterator<Item = &Step> {
        self.stages.iter().flat_map(|(_, steps)| steps)
    }

    /// The wanted objects that another owner has.
    pub fn conflicts(&self) -> impl Iterator<Item = &Conflict> {
        self.steps().filter_map(|step| match &step.action {
            Action::Conflict(conflict) => Some(conflict),
            _ => None,
        })
    }

    /// The Environment, and the object, that is waited for because it is known in a moment whose an object is.
    pub fn unsettled(&self) -> Option<(&str, &ObjectKey)> {
        let wanted = self.steps().filter_map(|step| match &step.action {
            Action::Settle(by) => Some((by.as_str(), &step.key)),
            _ => None,
        });
        let left = self.held.iter().filter_map(|held| match &held.why {
            HeldBecause::AskAgain(by) => Some((by.as_str(), &held.key)),
            _ => None,
        });
        wanted.chain(left).next()
    }

    /// How a wanted object ended that ran with the content that is wanted, whether it is still there or not.
    pub fn ended(&self, key: &ObjectKey) -> Option<&Ended> {
        self.ended.get(key)
    }

    /// The wanted objects that are to be sent.
    pub fn applies(&self) -> impl Iterator<Item = &Step> {
        self.steps().filter(|step| matches!(step.action, Action::Apply { .. }))
    }

    /// Whether there is nothing to send, delete or write.
    pub fn is_empty(&self) -> bool {
        self.applies().next().is_none()
            && self.prune.is_empty()
            && self.release.is_empty()
            && self.write_ahead.is_none()
            && self.finished(|_| None, |_| false).is_none()
    }

    /// The inventory to write when the work is over, also when part of it failed: `answered` tells what the API server
    /// answered for an object that was sent, `None` where it was not; `pruned` tells whether a deletion was accepted, or what was
    /// taken over is let go of. What was never made is not in it. `None` when the stored inventory says the same.
    pub fn finished(
        &self,
        answered: impl Fn(&ObjectKey) -> Option<Answer>,
        pruned: impl Fn(&ObjectKey) -> bool,
    ) -> Option<Vec<InventoryEntry>> {
        let removals: HashSet<&ObjectKey> =
            self.prune.iter().chain(&self.release).map(|removal| &removal.key).collect();
        let entries = self.stored.values().filter_map(|entry| {
            let key = &entry.key;
            if self.forget.contains(key) || (removals.contains(key) && pruned(key)) {
                return None;
            }
            let seen = match answered(key) {
                Some(Answer::Accepted(seen)) => Some(seen),
                Some(Answer::Refused) | None if self.ahead.contains(key) => return None,
                Some(Answer::Refused | Answer::Unknown) => None,
                None => self.kept.get(key).cloned(),
            };
            Some(match seen {
                Some(seen) => {
                    let ended = self.ended.get(key).cloned();
                    InventoryEntry { key: key.clone(), uid: Some(seen.uid), fields: seen.fields, ended }
                }
                None => {
                    let ended = self.ended.get(key).or(entry.ended.as_ref()).cloned();
                    InventoryEntry { ended, ..entry.clone() }
                }
            })
        });
        let entries: Vec<InventoryEntry> = entries.collect();
        if entries.iter().eq(self.stored.values()) { None } else { Some(entries) }
    }
}

/// Plans one owner. `live` answers for any key of `desired` and `inventory`.
///
/// Live values are never compared with desired ones, because defaulting and webhooks change them: an object is sent when the
/// hash of what is wanted differs from the hash of what was last sent, or when our set of fields changed since (drift).
pub fn plan(
    desired: &[Desired],
    live: impl Fn(&ObjectKey) -> Knowledge,
    inventory: &[InventoryEntry],
    guards: &Guards,
) -> Result<Plan, Refusal> {
    let applied = inventory.iter().filter(|entry| was_made(entry, &live, guards)).count();
    if desired.is_empty() && !guards.confirmed() {
        if applied == 0 {
            return Err(Refusal::Nothing { commit: guards.short_commit(), place: guards.place() });
        }
        return Err(Refusal::Empty {
            commit: guards.short_commit(),
            place: guards.place(),
            applied,
            command: guards.confirm_command(),
        });
    }
    let current: BTreeMap<ObjectKey, InventoryEntry> = inventory.iter().map(|e| (e.key.clone(), e.clone())).collect();
    let wanted: HashSet<&ObjectKey> = desired.iter().map(|object| &object.key).collect();

    let mut stored = current.clone();
    let mut ahead = HashSet::new();
    let (mut kept, mut ended) = (BTreeMap::new(), BTreeMap::new());
    let mut by_stage: HashMap<Stage, Vec<Step>> = HashMap::new();
    for object in desired {
        let entry = current.get(&object.key);
        let knowledge = live(&object.key);
        let action = decide(object, &knowledge, entry, guards);
        if let (Action::Keep | Action::Await, Some(found)) = (&action, ended_as_wanted(object, &knowledge, entry)) {
            ended.insert(object.key.clone(), found.clone());
        }
        if matches!(action, Action::Apply { .. } | Action::Keep) && entry.is_none() {
            stored.insert(object.key.clone(), InventoryEntry::ahead(object.key.clone()));
            if matches!(action, Action::Apply { .. }) {
                ahead.insert(object.key.clone());
            }
        }
        if let (Action::Keep, Knowledge::Present(view)) = (&action, knowledge)
            && !has_drifted(&view, entry, guards)
        {
            kept.insert(object.key.clone(), Seen { uid: view.uid, fields: view.fields });
        }
        by_stage.entry(object.stage).or_default().push(Step { key: object.key.clone(), action });
    }
    let stages: Vec<_> = Stage::ALL.into_iter().filter_map(|stage| Some((stage, by_stage.remove(&stage)?))).collect();

    let left = current.values().filter(|entry| !wanted.contains(&entry.key));
    let Leaving { mut prune, release, mut held, forget } = leaving(left, &live, guards);
    guard_fraction(&prune, &held, applied, guards)?;
    let unsettled = |step: &Step| matches!(step.action, Action::Conflict(_) | Action::Settle(_));
    if stages.iter().flat_map(|(_, steps)| steps).any(unsettled) {
        held.extend(prune.drain(..).map(|removal| Held { key: removal.key, why: HeldBecause::Conflicts }));
    }
    prune.sort_by_cached_key(|removal| (std::cmp::Reverse(Stage::of_key(&removal.key)), removal.key.clone()));

    let write_ahead = (stored.len() != current.len()).then(|| stored.values().cloned().collect());
    Ok(Plan { stages, prune, release, held, write_ahead, stored, ahead, ended, kept, forget })
}

/// Whether the object of an entry is there or once was, as far as is known. Of one that was written ahead only seeing it says so.
fn was_made(entry: &InventoryEntry, live: &impl Fn(&ObjectKey) -> Knowledge, guards: &Guards) -> bool {
    entry.uid.is_some()
        || match live(&entry.key) {
            Knowledge::Present(view) => view.owner_label.as_deref() == Some(guards.owner_label.as_str()),
            Knowledge::Ended(_) => true,
            Knowledge::Absent | Knowledge::Unknown => false,
        }
}

/// What to do with one wanted object.
fn decide(object: &Desired, knowledge: &Knowledge, entry: Option<&InventoryEntry>, guards: &Guards) -> Action {
    let view = match knowledge {
        Knowledge::Present(view) => view,
        // It did what it is for, or is not to try again: that it was removed is no drift.
        Knowledge::Absent | Knowledge::Ended(_) if ended_as_wanted(object, knowledge, entry).is_some() => {
            return Action::Keep;
        }
        // Something else ran under that name.
        Knowledge::Ended(_) => return Action::Apply { force: false, why: Why::Changed },
        Knowledge::Absent if entry.is_some_and(|entry| entry.ended.is_some()) => {
            return Action::Apply { force: false, why: Why::Changed };
        }
        // An entry without a uid was written ahead of an apply that may never have happened: that is no deletion.
        Knowledge::Absent if entry.is_some_and(|entry| entry.uid.is_some()) => {
            return on_drift(Action::Apply { force: false, why: Why::Drifted }, guards);
        }
        Knowledge::Absent => return Action::Apply { force: false, why: Why::New },
        // Without force: what cannot be seen may belong to somebody else by now.
        Knowledge::Unknown => return Action::Apply { force: false, why: Why::Unknown },
    };
    let ours = view.owner_label.as_deref() == Some(guards.owner_label.as_str());
    if let Some(other) = view.owner_label.as_ref().filter(|_| !ours) {
        return match &view.elsewhere {
            Elsewhere::LetGo if view.deleting => Action::Await,
            Elsewhere::LetGo => Action::Apply { force: true, why: Why::HandedOver },
            Elsewhere::NotYetKnown(by) => Action::Settle(by.clone()),
            _ => Action::Conflict(Conflict { key: object.key.clone(), owner_label: other.clone() }),
        };
    }
    if view.deleting {
        return Action::Await;
    }
    let same_object = entry.is_some_and(|entry| entry.uid.as_deref() == Some(view.uid.as_str()));
    if !ours && !same_object {
        // Somebody else made it, or made it anew: the API server's conflict says what differs.
        return Action::Apply { force: false, why: Why::New };
    }
    if view.applied.as_deref() != Some(object.hash.as_str()) {
        let why = if view.applied.is_some() { Why::Changed } else { Why::Drifted };
        return match guards.occasion {
            Occasion::Commit => Action::Apply { force: true, why },
            // The commit was applied in full, so it is the annotation that somebody changed.
            Occasion::Watch => on_drift(Action::Apply { force: true, why: Why::Drifted }, guards),
        };
    }
    let action = if has_drifted(view, entry, guards) {
        on_drift(Action::Apply { force: true, why: Why::Drifted }, guards)
    } else {
        Action::Keep
    };
    match action {
        // No drift of what git says, whatever is done about that.
        Action::Keep | Action::Drifted if view.generated.lacks_some && entry.is_some() => {
            Action::Apply { force: false, why: Why::Incomplete }
        }
        action => action,
    }
}

/// That a wanted object ran to its end with the content that is wanted now.
fn ended_as_wanted<'a>(
    object: &Desired,
    knowledge: &'a Knowledge,
    entry: Option<&'a InventoryEntry>,
) -> Option<&'a Ended> {
    let ended = match knowledge {
        Knowledge::Present(view) => view.ended.as_ref(),
        Knowledge::Ended(ended) => Some(ended),
        Knowledge::Absent => entry?.ended.as_ref(),
        Knowledge::Unknown => None,
    };
    ended.filter(|ended| ended.hash == object.hash)
}

/// Whether somebody else changed what we hold of a live object that was last sent as it is wanted.
fn has_drifted(view: &LiveView, entry: Option<&InventoryEntry>, guards: &Guards) -> bool {
    let recorded = entry.and_then(|entry| entry.fields);
    (recorded.is_some() && view.fields != recorded) || view.owner_label.as_deref() != Some(guards.owner_label.as_str())
}

fn on_drift(put_back: Action, guards: &Guards) -> Action {
    match (guards.occasion, guards.drift) {
        (Occasion::Commit, _) | (Occasion::Watch, DriftPolicy::Correct) => put_back,
        (Occasion::Watch, DriftPolicy::Report) => Action::Drifted,
        (Occasion::Watch, DriftPolicy::Ignore) => Action::Keep,
    }
}

#[derive(Default)]
struct Leaving {
    prune: Vec<Removal>,
    release: Vec<Removal>,
    held: Vec<Held>,
    forget: HashSet<ObjectKey>,
}

/// What becomes of the entries that are no longer wanted.
fn leaving<'a>(
    left: impl Iterator<Item = &'a InventoryEntry>,
    live: &impl Fn(&ObjectKey) -> Knowledge,
    guards: &Guards,
) -> Leaving {
    let mut leaving = Leaving::default();
    let remover = Remover { namespace: &guards.namespace, owner_label: &guards.owner_label, mandate: guards.mandate() };
    for entry in left {
        let key = entry.key.clone();
        match fate(entry, &live(&key), &remover) {
            Fate::Delete(_) | Fate::Guarded(_) | Fate::MayBeWanted(_) | Fate::CannotAsk if !guards.prune => {
                leaving.forget.insert(key);
            }
            Fate::Leave => {
                leaving.forget.insert(key);
            }
            Fate::Delete(uid) => leaving.prune.push(Removal { key, uid }),
            Fate::Guarded(loss) => {
                let why = HeldBecause::NeedsConfirmation { loss, command: guards.confirm_command() };
                leaving.held.push(Held { key, why });
            }
            Fate::Release(uid) => leaving.release.push(Removal { key, uid }),
            Fate::HandOver(by) => leaving.held.push(Held { key, why: HeldBecause::HandOver(by) }),
            Fate::AskAgain(by) => leaving.held.push(Held { key, why: HeldBecause::AskAgain(by) }),
            Fate::MayBeWanted(by) => {
                let why = HeldBecause::MayBeWanted { by, command: guards.confirm_command() };
                leaving.held.push(Held { key, why });
            }
            // Most likely it was never made. If it was, that is seen as soon as anybody can say.
            Fate::CannotAsk if entry.uid.is_none() => {}
            Fate::CannotAsk => leaving.held.push(Held { key, why: HeldBecause::CannotAsk }),
        }
    }
    leaving
}

/// Refuses the removal of too large a part of the inventory. What could not be asked counts, or a removal could come in
/// slices.
fn guard_fraction(prune: &[Removal], held: &[Held], applied: usize, guards: &Guards) -> Result<(), Refusal> {
    let unasked = held.iter().filter(|held| held.why == HeldBecause::CannotAsk).map(|held| &held.key);
    let going: Vec<&ObjectKey> = prune.iter().map(|removal| &removal.key).chain(unasked).collect();
    let removed = going.len();
    let many = removed >= FEW || removed == applied;
    if !many || removed * 100 <= usize::from(guards.max_percent) * applied || guards.confirmed() {
        return Ok(());
    }
    let mut examples = going.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if removed > 3 {
        examples.push_str(", …");
    }
    Err(Refusal::TooMany {
        commit: guards.short_commit(),
        removed,
        applied,
        examples,
        max_percent: guards.max_percent,
        command: guards.confirm_command(),
    })
}
