//! `Environment`: a branch that a namespace follows.
//!
//! 1. [`dereference`]: the Secrets that the spec names, read as the namespace's account;
//! 2. [`desired`]: the objects of the commit, of a large one when it is its turn ([`turns`]);
//! 3. [`mod@plan`](drover_core::plan): what to send, what to prune, what to refuse (pure); [`peers`] says what moved to or from another;
//! 4. [`apply`]: the inventory written ahead, the stages, the pruning;
//! 5. [`status`]: what a person reads (pure), and when to look again.
//!
//! [`failure`] says what ends such a turn before its time. A reconcile never waits: not for the network of a git host (that is
//! [`Repositories`]' own work), not for pods to become healthy. It looks at what is known, does what is to be done, and is called
//! again by the event that changes something.

mod apply;
mod deletion;
mod dereference;
mod desired;
mod entrusted;
mod failure;
mod peers;
mod status;
mod turns;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use drover_core::health::Health;
use drover_core::plan::Occasion;
use drover_crds::condition::{self, Outcome};
use drover_crds::{DeletionPolicy, Environment, EnvironmentStatus, Key, ObjectFailure, Owner, OwnerKind};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kube::core::{ObjectMeta, PartialObjectMetaExt as _};
use kube::runtime::events::EventType;

use self::apply::{Done, apply};
use self::deletion::Unfinished;
pub use self::dereference::refresh;
use self::dereference::{Dereferenced, account, dereference};
use self::desired::{Desired, Renderer, Wish};
use self::failure::{Failure, MendedBy};
use self::peers::Peers;
use self::status::{AppliedNow, CONTESTED, Findings, Reached, TURN, conclude, listed};
use super::{Announcer, Owners, Statuses};
use crate::cluster::inventory::Inventories;
use crate::cluster::{Acting, Cluster, definition, is_gone};
use crate::driver::{Next, Reconciler};
use crate::git::webhook::webhook_id;
use crate::git::{CommitInfo, Head, Repositories, outlook};
use crate::unpoisoned;

/// How the git child's error is called for a folder that the commit does not have.
const NO_SUCH_PATH: &str = "NoSuchPath";

/// What is remembered of an Environment between two reconciles. All of it can be found again.
#[derive(Clone, Default)]
struct Memory {
    /// Of the Environment that this is about: one deleted and made anew under the same name starts afresh.
    uid: Option<String>,
    dereferenced: Option<Dereferenced>,
    desired: Option<Arc<Desired>>,
    /// The commit that is applied in full, and what it wants.
    applied: Option<(CommitInfo, Arc<Desired>)>,
    /// The uid of the definition of Environments, where it matters.
    definition: Option<String>,
}

/// Reconciles Environments.
pub struct EnvironmentReconciler {
    cluster: Cluster,
    repositories: Repositories,
    renderer: Renderer,
    inventories: Arc<Inventories>,
    owners: Arc<Owners>,
    announcer: Announcer,
    peers: Peers,
    statuses: Statuses<Environment>,
    memories: Mutex<HashMap<Key, Memory>>,
}

impl EnvironmentReconciler {
    /// Nothing is remembered yet.
    pub fn new(
        cluster: Cluster,
        repositories: Repositories,
        inventories: Arc<Inventories>,
        owners: Arc<Owners>,
    ) -> Self {
        let announcer = Announcer::new(&cluster, "Reconcile");
        let statuses = Statuses::new(cluster.client());
        let renderer = Renderer::new(cluster.clone(), repositories.clone());
        Self {
            cluster,
            repositories,
            renderer,
            inventories,
            owners,
            announcer,
            peers: Peers::default(),
            statuses,
            memories: Mutex::default(),
        }
    }

    fn memories(&self) -> MutexGuard<'_, HashMap<Key, Memory>> {
        unpoisoned::lock(&self.memories)
    }
}

impl Reconciler for EnvironmentReconciler {
    type Kind = Environment;

    fn appeared(&self, environment: &Environment) {
        self.peers.note(environment);
    }

    async fn reconcile(&self, environment: Arc<Environment>) -> Next {
        if environment.metadata.deletion_timestamp.is_some() {
            return Next::Await;
        }
        let key = Key::of(&environment.metadata);
        let owner = Owner::of(OwnerKind::Environment, &key);
        self.owners.note(&owner);
        let before = match self.statuses.of(&environment).await {
            Ok(before) => before,
            Err(next) => return next,
        };
        let uid = environment.uid();
        let remembered = self.memories().remove(&key).filter(|memory| memory.uid == uid);
        let mut memory = remembered.unwrap_or_else(|| Memory { uid, ..Memory::default() });
        let mut findings = Findings::default();
        let result = self.work(&environment, &before, &key, &owner, &mut memory, &mut findings).await;
        self.memories().insert(key.clone(), memory);
        let waits = result.as_ref().is_err_and(|failure| failure.mended_by == MendedBy::Turn);
        let (outcome, next) = conclude(&environment, &result, &findings);
        if waits && judged_before(&environment, &before, &findings) {
            // A new process reads all large commits once more, and a commit that failed is tried again: that is no news.
            return next;
        }
        if let Err(failure) = &result
            && !waits
        {
            findings.failures.clone_from(&failure.failures);
            if findings.failures.is_empty() {
                findings.failures.push(ObjectFailure {
                    object: owner.to_string(),
                    reason: failure.reason.clone(),
                    message: failure.message.clone(),
                });
            }
        }
        let stem = result.as_ref().err().map(|failure| failure.message.as_str());
        let now = Time(jiff::Timestamp::now());
        let after = status::next(&before, &findings, &outcome, environment.metadata.generation, &now);
        let tell = self.tell(&environment, &before, &after, &findings, &outcome, stem);
        if self.statuses.write(&environment, &before, &after, tell).await { next } else { Next::Retry }
    }

    async fn gone(&self, key: &Key) -> Next {
        if !is_gone::<Environment>(&self.cluster.client(), key).await {
            return Next::Retry;
        }
        let owner = Owner::of(OwnerKind::Environment, key);
        let Key { namespace, name } = key;
        let meta = ObjectMeta {
            namespace: Some(namespace.clone()),
            name: Some(name.clone()),
            uid: self.memories().remove(key).and_then(|memory| memory.uid),
            ..ObjectMeta::default()
        };
        self.peers.gone(key);
        let gone = meta.into_response_partial::<Environment>();
        self.statuses.forget(key);
        self.repositories.unsubscribe(key);
        self.renderer.forget(key);
        let cleaned = async {
            let left = deletion::clean_up(&self.cluster, &self.inventories, &self.peers, key).await?;
            if !left.is_empty() {
                self.announcer.publish(&gone, EventType::Warning, "ObjectsLeft", listed(&left)).await;
            }
            self.inventories.remove(&owner).await.map_err(Unfinished::Api)
        };
        match cleaned.await {
            Ok(()) => {
                self.owners.forget(&owner);
                self.peers.forget(key);
                Next::Await
            }
            Err(wait @ Unfinished::NotYetKnown { .. }) => {
                tracing::debug!(%namespace, %name, %wait, "cannot clean up after a deleted Environment yet");
                Next::Later(TURN)
            }
            Err(error) => {
                tracing::warn!(%namespace, %name, %error, "cannot clean up after a deleted Environment yet");
                Next::Retry
            }
        }
    }

    async fn left_behind(&self) -> Vec<Key> {
        self.peers.complete();
        self.inventories.keys(OwnerKind::Environment)
    }

    async fn unreadable(&self, key: &Key, error: &str) {
        self.peers.note_illegible(key);
        let message = format!("Environment {key} cannot be read by this version of drover: {error}");
        let outcome = Outcome::Stalled { reason: UNREADABLE.into(), message };
        let now = Time(jiff::Timestamp::now());
        // What is known of its commits stays.
        let change = |before, generation| status::next(&before, &Findings::default(), &outcome, generation, &now);
        self.statuses.amend(key, change).await;
    }
}

/// The reason of an Environment whose spec this version cannot read.
const UNREADABLE: &str = "Unreadable";

/// Whether the status says already what became of the commit at the head.
fn judged_before(environment: &Environment, status: &EnvironmentStatus, findings: &Findings) -> bool {
    let Some((head, _)) = &findings.head else { return false };
    status.observed_generation == environment.metadata.generation
        && status.source.as_ref().is_some_and(|source| source.commit == head.id.as_str())
}

/// Whether the commit was applied in full before: then whatever differs now was changed by others, and the drift policy decides.
fn occasion(environment: &Environment, status: &EnvironmentStatus, commit: &CommitInfo) -> Occasion {
    let applied = status.applied.as_ref().map(|applied| applied.commit.as_str());
    // A spec that an older version could not read was seen, and never acted upon.
    let was_read = condition::get(&status.conditions, condition::READY).is_none_or(|ready| ready.reason != UNREADABLE);
    let same_spec = status.observed_generation == environment.metadata.generation && was_read;
    if applied == Some(commit.id.as_str()) && same_spec { Occasion::Watch } else { Occasion::Commit }
}

impl EnvironmentReconciler {
    async fn work(
        &self,
        environment: &Environment,
        status: &EnvironmentStatus,
        key: &Key,
        owner: &Owner,
        memory: &mut Memory,
        findings: &mut Findings,
    ) -> Result<Reached, Failure> {
        if environment.spec.suspend == Some(true) {
            self.repositories.unsubscribe(key);
            memory.dereferenced = None;
            return Ok(Reached::Suspended);
        }
        let acting = self.cluster.acting_as(&key.namespace, account(environment));
        if !memory.dereferenced.as_ref().is_some_and(|d| d.holds(environment)) {
            let dereferenced =
                dereference(&acting, environment).await.inspect_err(|_| self.peers.unreadable(key, None))?;
            self.repositories.subscribe(key, dereferenced.subscription.as_ref().clone());
            if memory.dereferenced.as_ref().is_some_and(|before| before.asked_before(environment)) {
                self.repositories.sync_now(key);
            }
            memory.dereferenced = Some(dereferenced);
        }
        if environment.spec.source.webhook.is_some() {
            findings.webhook_path = webhook_id(&environment.spec.source.url).map(|id| format!("/webhook/{id}"));
        }
        // While the repository cannot be reached, the last commit that is known stays in force: drift is still put back.
        let (commit, unreachable) = match self.repositories.head(key) {
            Head::Pending => return Ok(Reached::Fetching),
            Head::At { commit, fetched_at } => {
                findings.head = Some((commit.clone(), Time(fetched_at)));
                (commit, None)
            }
            Head::Failed { error, since, again, last_good } => {
                let mended_by = if error.is_terminal() { MendedBy::Person } else { MendedBy::Host };
                let mut failure = Failure::new(error.label(), error.to_string(), mended_by);
                failure.outlook = again.map(|again| outlook(since, again)).unwrap_or_default();
                // A wrong password is corrected in the Secret: it is read again at the next look.
                if error.is_terminal()
                    && let Some(dereferenced) = &mut memory.dereferenced
                {
                    dereferenced.expire();
                }
                match last_good {
                    Some(commit) => (commit, Some(failure)),
                    None => {
                        self.peers.unreadable(key, None);
                        return Err(failure);
                    }
                }
            }
        };
        let known = memory.desired.as_deref();
        let occasion = occasion(environment, status, &commit);
        let wish = Wish { acting: &acting, environment, key, commit: &commit, occasion };
        let desired = match self.renderer.desired(wish, known).await {
            Ok(desired) => Arc::new(desired),
            Err(failure) if failure.mended_by == MendedBy::Turn => return Err(failure),
            Err(failure) => {
                // A folder that is not there has no objects; what is in a file that cannot be read nobody knows.
                match failure.reason.as_str() {
                    NO_SUCH_PATH => self.peers.read(key, &commit.id, &Arc::default(), unreachable.is_none()),
                    _ => self.peers.unreadable(key, Some(&commit.id)),
                }
                findings.again = self.hold(environment, key, owner, &acting, memory).await;
                return Err(failure);
            }
        };
        memory.desired = Some(Arc::new(desired.without_objects()));
        self.peers.read(key, &commit.id, &desired.objects, unreachable.is_none());
        if environment.spec.deletion_policy != Some(DeletionPolicy::Delete) {
            memory.definition = None;
        } else if memory.definition.is_none() {
            let found = definition(&self.cluster.client(), &OwnerKind::Environment.definition()).await;
            memory.definition = found.map_err(|error| Failure::of(&error))?;
        }
        let newest = || match self.repositories.head(key) {
            Head::At { commit: newest, .. } => newest.id == commit.id,
            Head::Pending | Head::Failed { .. } => true,
        };
        let done = apply(&apply::Work {
            cluster: &self.cluster,
            renderer: &self.renderer,
            inventories: &self.inventories,
            peers: &self.peers,
            acting: &acting,
            environment,
            key,
            owner,
            commit: &commit,
            desired: &desired,
            occasion,
            definition: memory.definition.as_deref(),
            newest: &newest,
        })
        .await
        .inspect_err(|failure| {
            if failure.mended_by == MendedBy::Turn {
                for behind in self.peers.behind(key, &commit.id) {
                    self.repositories.sync_now(&behind);
                }
            }
        })?;
        let Some(Done { changed, blind, health, drifted, corrected, contested, again, held }) = done else {
            return Ok(Reached::Superseded);
        };
        self.tell_of_drift(environment, &corrected).await;
        memory.applied = memory.desired.clone().map(|desired| (commit.clone(), desired));
        (findings.blind, findings.contested, findings.again) = (blind, contested, again);
        // Not for what waits for this one: neither would ever be ready, and each would quote the other.
        let above = self.owners.above(owner, |key| self.cluster.index().live(key).map(|live| live.owner));
        let unhealthy = health.into_iter().find(|(key, health)| *health != Health::Current && !above.contains(key));
        findings.applied = Some(AppliedNow {
            tree: desired.tree.to_string(),
            objects: desired.objects.len(),
            changed,
            healthy: unhealthy.is_none(),
            commit,
        });
        match unreachable {
            Some(failure) => Err(failure),
            None => {
                let unhealthy = unhealthy.map(|(key, health)| (key.to_string(), health));
                Ok(Reached::Applied { unhealthy, drifted, held })
            }
        }
    }

    /// While a new commit cannot be read, the last one that was applied stays in force: what others change of it is put back. Tells
    /// when to look again.
    async fn hold(
        &self,
        environment: &Environment,
        key: &Key,
        owner: &Owner,
        acting: &Acting,
        memory: &Memory,
    ) -> Option<Duration> {
        let (commit, desired) = memory.applied.as_ref().filter(|(_, desired)| desired.is_of(environment))?;
        let done = apply(&apply::Work {
            cluster: &self.cluster,
            renderer: &self.renderer,
            inventories: &self.inventories,
            peers: &self.peers,
            acting,
            environment,
            key,
            owner,
            commit,
            desired,
            occasion: Occasion::Watch,
            definition: memory.definition.as_deref(),
            newest: &|| true,
        })
        .await;
        match done {
            Ok(Some(done)) => {
                self.tell_of_drift(environment, &done.corrected).await;
                done.again
            }
            Ok(None) => None,
            Err(failure) => {
                tracing::warn!(%owner, reason = %failure.reason, message = %failure.message, "cannot put back what others changed");
                None
            }
        }
    }

    async fn tell_of_drift(&self, environment: &Environment, corrected: &[String]) {
        if !corrected.is_empty() {
            let note = format!("Put back what others had changed: {}", listed(corrected));
            self.announcer.publish(environment, EventType::Normal, "DriftCorrected", note).await;
        }
    }

    /// Events and log lines for what a person should see: a commit that was applied, a failure that is new.
    async fn tell(
        &self,
        environment: &Environment,
        before: &EnvironmentStatus,
        after: &EnvironmentStatus,
        findings: &Findings,
        outcome: &Outcome,
        stem: Option<&str>,
    ) {
        let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
        if let Some(applied) = after.applied.as_ref()
            && before.applied.as_ref().map(|a| &a.commit) != Some(&applied.commit)
        {
            let changed = findings.applied.as_ref().map_or(0, |now| now.changed);
            tracing::info!(%namespace, %name, commit = %applied.short, changed, "applied");
            let note = format!("Applied {}: {changed} of {} objects changed", applied.short, applied.objects);
            self.announcer.publish(environment, EventType::Normal, "Applied", note).await;
        }
        let message = |status: &EnvironmentStatus| {
            drover_crds::condition::get(&status.conditions, drover_crds::condition::READY).map(|c| c.message.clone())
        };
        // The same failure at another time is no news.
        let same = |before: &str, text: &str| before == text || stem.is_some_and(|stem| before.starts_with(stem));
        if let Outcome::Failed { reason, message: text } | Outcome::Stalled { reason, message: text } = outcome
            && !message(before).is_some_and(|before| same(&before, text))
        {
            tracing::warn!(%namespace, %name, %reason, message = %text, "not as asked");
            self.announcer.publish(environment, EventType::Warning, reason, text.clone()).await;
        }
        if let Outcome::Ready { reason, message: text } = outcome
            && reason == CONTESTED
            && message(before).as_ref() != Some(text)
        {
            self.announcer.publish(environment, EventType::Warning, reason, text.clone()).await;
        }
    }
}
