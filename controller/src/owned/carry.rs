//! A plan carried out: the stages sent, what others took over let go of, and last what nobody wants any more deleted.

use std::collections::{HashMap, HashSet};

use drover_core::plan::{Action, Answer, Elsewhere, InventoryEntry, Plan, Seen, Step, Why};
use drover_core::render::{Object, ObjectKey, Stage};
use drover_core::trouble::Trouble;
use futures::StreamExt as _;

use super::Owned;
use crate::cluster::{ApiError, Live};

/// Applies of one owner under way at once.
const PARALLEL: usize = 16;

/// What a kind of owners has to say while a plan of theirs is carried out.
pub trait Party: Sync {
    /// Whether the plan still is the one to carry out.
    fn is_newest(&self) -> bool {
        true
    }

    /// Refuses to go on while a kind is not served whose definition may have been sent a moment ago.
    fn served(&self) -> impl Future<Output = Result<(), Trouble>> + Send {
        std::future::ready(Ok(()))
    }

    /// Refuses an object that is about to be sent.
    fn admit(&self, _object: &Object) -> impl Future<Output = Result<(), ApiError>> + Send {
        std::future::ready(Ok(()))
    }

    /// What others say of an object that is about to be deleted: they may have come to want it since the plan was made.
    fn claim(&self, _key: &ObjectKey) -> Elsewhere {
        Elsewhere::Nothing
    }
}

/// What the applies and deletions came to.
#[derive(Default)]
pub struct Carried {
    /// What the API server said to what was sent.
    pub answers: HashMap<ObjectKey, Answer>,
    /// What was deleted, or let go of.
    pub pruned: HashSet<ObjectKey>,
    /// What others had changed, and was put back.
    pub corrected: Vec<String>,
    /// What could not be done.
    pub failures: Vec<(ObjectKey, ApiError)>,
    /// Something newer came meanwhile: what was not done yet is left to that.
    pub superseded: bool,
    /// A kind is not served yet whose definition was sent: what comes after it was not sent.
    pub unserved: Option<Trouble>,
}

impl Carried {
    /// How many objects were sent or removed.
    pub fn changed(&self) -> usize {
        self.sent().count() + self.pruned.len()
    }

    /// What was sent.
    pub fn sent(&self) -> impl Iterator<Item = &ObjectKey> {
        self.answers.iter().filter(|(_, answer)| matches!(answer, Answer::Accepted(_))).map(|(key, _)| key)
    }

    fn fail(&mut self, key: &ObjectKey, error: ApiError) {
        self.failures.push((key.clone(), error));
    }
}

impl Owned<'_> {
    /// Whether there is nothing to send or to delete now.
    pub fn is_done(&self, plan: &Plan) -> bool {
        let told = |step: &Step| self.is_paused(step) && self.acting.knows_rival(&step.key);
        plan.applies().all(told) && plan.prune.is_empty() && plan.release.is_empty()
    }

    /// Does what the plan says with these objects; of the others it sends nothing. `recorded` is what the plan was made with. Nothing
    /// is deleted unless all that was to be sent was accepted.
    pub async fn carry_out(
        &self,
        party: &impl Party,
        plan: &Plan,
        objects: &HashMap<ObjectKey, &Object>,
        recorded: &[InventoryEntry],
    ) -> Carried {
        let mut carried = Carried::default();
        let uids: HashMap<&ObjectKey, &str> =
            recorded.iter().filter_map(|entry| Some((&entry.key, entry.uid.as_deref()?))).collect();
        for (stage, steps) in &plan.stages {
            carried.superseded |= !party.is_newest();
            if carried.superseded || carried.unserved.is_some() || !carried.failures.is_empty() {
                break;
            }
            self.send(party, objects, &uids, steps, &mut carried).await;
            if *stage == Stage::Definitions {
                carried.unserved = party.served().await.err();
            }
        }
        self.let_go(plan, &mut carried).await;
        let complete = !carried.superseded
            && carried.unserved.is_none()
            && carried.failures.is_empty()
            && plan.conflicts().next().is_none();
        if complete && party.is_newest() {
            self.prune(party, plan, &mut carried).await;
        }
        carried
    }

    /// Sends the objects of a stage. `uids` are those under which objects were recorded.
    async fn send(
        &self,
        party: &impl Party,
        objects: &HashMap<ObjectKey, &Object>,
        uids: &HashMap<&ObjectKey, &str>,
        steps: &[Step],
        carried: &mut Carried,
    ) {
        let mut sending = Vec::new();
        for step in steps {
            if let (Action::Apply { force, why }, Some(object)) = (&step.action, objects.get(&step.key)) {
                if !self.is_paused(step) {
                    sending.push(self.send_one(party, &step.key, object, *force, *why, uids.get(&step.key).copied()));
                } else if !self.acting.knows_rival(&step.key) {
                    self.acting.find_rival(self.owner, object).await;
                }
            }
        }
        let mut answers = futures::stream::iter(sending).buffer_unordered(PARALLEL);
        while let Some(answer) = answers.next().await {
            let Some((key, why, answer)) = answer else {
                carried.superseded = true;
                continue;
            };
            match answer {
                // What git says of it was not sent.
                Ok(_) if why == Why::Incomplete => {}
                Ok(live) => {
                    tracing::debug!(owner = %self.owner, object = %key, ?why, "sent");
                    match why {
                        Why::Drifted => {
                            carried.corrected.push(key.to_string());
                            self.acting.put_back(key);
                        }
                        Why::New | Why::Changed | Why::HandedOver => self.acting.wanted_otherwise(key),
                        Why::Unknown | Why::Incomplete => {}
                    }
                    let fields = live.sent.filter(|fields| *fields != 0);
                    carried.answers.insert(key.clone(), Answer::Accepted(Seen { uid: live.uid, fields }));
                }
                Err(error) => {
                    let answer = if error.made_nothing() { Answer::Refused } else { Answer::Unknown };
                    carried.answers.insert(key.clone(), answer);
                    carried.fail(key, error);
                }
            }
        }
    }

    /// Whether what others change again and again is left for the moment.
    fn is_paused(&self, step: &Step) -> bool {
        matches!(step.action, Action::Apply { why: Why::Drifted, .. }) && self.acting.is_paused(&step.key)
    }

    /// Sends one object, unless something newer came.
    async fn send_one<'a>(
        &self,
        party: &impl Party,
        key: &'a ObjectKey,
        object: &Object,
        force: bool,
        why: Why,
        uid: Option<&str>,
    ) -> Option<(&'a ObjectKey, Why, Result<Live, ApiError>)> {
        if !party.is_newest() {
            return None;
        }
        if let Err(refused) = party.admit(object).await {
            return Some((key, why, Err(refused)));
        }
        if why == Why::Incomplete {
            return Some((key, why, self.acting.complete(object).await));
        }
        let answer = match self.acting.apply(self.owner, object, force).await {
            Err(ApiError::Conflict { owned: false, .. }) if self.still_ours(object, uid).await => {
                self.acting.apply(self.owner, object, true).await
            }
            Err(ApiError::Owned { .. }) if self.abandoned(object).await => {
                self.acting.apply(self.owner, object, true).await
            }
            answer => answer,
        };
        Some((key, why, answer))
    }

    /// Whether an object that vanished from the watch is in truth the one that was applied, with its label taken off.
    async fn still_ours(&self, object: &Object, uid: Option<&str>) -> bool {
        let (Some(uid), Ok(kind)) = (uid, self.acting.kind(object).await) else { return false };
        let live = self.acting.look(&kind, &object.key()).await.ok().flatten();
        live.is_some_and(|live| live.uid == uid && (live.owner.is_empty() || live.owner == self.owner.label()))
    }

    /// Whether the owner that an object is labelled with does not exist any more: it was deleted, and its objects stayed.
    async fn abandoned(&self, object: &Object) -> bool {
        let Ok(kind) = self.acting.kind(object).await else { return false };
        match self.acting.look(&kind, &object.key()).await {
            Ok(Some(live)) => matches!(self.cluster.owner_exists(&live.owner).await, Ok(false)),
            _ => false,
        }
    }

    /// Lets go of what others took over.
    async fn let_go(&self, plan: &Plan, carried: &mut Carried) {
        for taken in &plan.release {
            match self.acting.release(self.owner, &taken.key, &taken.uid).await {
                Ok(()) => tracing::info!(owner = %self.owner, object = %taken.key, "handed over"),
                // The object is another's already; that a few of its fields stay is not worth a failure.
                Err(error) if error.is_terminal() => {
                    tracing::warn!(owner = %self.owner, %error, "handed over, and cannot let go of it");
                }
                Err(error) => {
                    carried.fail(&taken.key, error);
                    continue;
                }
            }
            carried.pruned.insert(taken.key.clone());
        }
    }

    /// Deletes what nobody wants any more.
    async fn prune(&self, party: &impl Party, plan: &Plan, carried: &mut Carried) {
        for removal in &plan.prune {
            if matches!(party.claim(&removal.key), Elsewhere::Wanted(_) | Elsewhere::NotYetKnown(_)) {
                carried.superseded = true;
                continue;
            }
            match self.acting.delete(&removal.key, &removal.uid).await {
                Ok(()) => {
                    tracing::info!(owner = %self.owner, object = %removal.key, "pruned");
                    carried.pruned.insert(removal.key.clone());
                }
                Err(error) => carried.fail(&removal.key, error),
            }
        }
    }
}
