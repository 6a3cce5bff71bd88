//! The shell of a turn: what is the same whatever the kind. A kind says what a turn does ([`Kind`]); [`Turn`] gives it what it needs,
//! and makes the status, the news and the next time out of what it comes to.

mod announcer;
mod it;
mod owners;
mod statuses;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use drover_core::news::News;
use drover_core::render::ObjectKey;
use drover_core::trouble::{Mend, Trouble};
use drover_crds::condition::{self, HasHead, Outcome};
use drover_crds::{DEFAULT_SERVICE_ACCOUNT, Key, Owner, OwnerKind};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Resource;
use kube::core::object::HasStatus;
use kube::core::{NamespaceResourceScope, ObjectMeta, PartialObjectMetaExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use self::announcer::Announcer;
pub use self::it::{Draft, Ended, Gone, It};
pub use self::owners::Owners;
use self::statuses::Statuses;
pub use self::verdict::TURN;
use self::verdict::verdict;
use crate::clock;
use crate::cluster::{Cluster, is_gone};
use crate::driver::{Next, Reconciler};
use crate::interest::Interest;
use crate::unpoisoned;

/// What is a kind's own. A turn never waits: it looks at what is known, does what is to be done, and ends.
pub trait Kind: Send + Sync + Sized + 'static {
    /// The kind's type.
    type Object: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + HasStatus<Status = Self::Status>
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + Sync
        + 'static;
    /// The type of its status.
    type Status: HasHead + Clone + Default + PartialEq + Serialize + DeserializeOwned + Send + Sync;
    /// What is remembered of an object between two turns. All of it can be found again: it is lost with the process, and with a turn
    /// that is cut off.
    type Memory: Default + Send;

    /// Which kind.
    const OWNER: OwnerKind;
    /// What its events are about: a CamelCase verb.
    const ACTION: &'static str;
    /// How often it is looked whether a person has mended what drover is not told of, such as a role that is granted.
    const LOOK_AGAIN: Duration = Duration::from_mins(1);

    /// The service account that drover acts as.
    fn account(_object: &Self::Object) -> &str {
        DEFAULT_SERVICE_ACCOUNT
    }

    /// The object exists, or has changed: noted at once, before anybody's turn.
    fn appeared(&self, _object: &Self::Object) {}

    /// The object exists, and what it says cannot be read: noted at once.
    fn unreadable(&self, _key: &Key) {}

    /// Brings the cluster closer to what the object asks for. Called again whenever something that concerns it changes. The status
    /// grows in `draft`; its conditions are made of what the turn came to.
    fn turn(
        &self,
        it: &It<'_, Self>,
        memory: &mut Self::Memory,
        draft: &mut Draft<Self::Status>,
    ) -> impl Future<Output = Result<Ended, Trouble>> + Send;

    /// What the status says of a trouble, or of there being none, besides the conditions.
    fn show(status: &mut Self::Status, owner: &Owner, trouble: Option<&Trouble>);

    /// What a person is told of, between two statuses.
    fn news(before: &Self::Status, after: &Self::Status) -> Vec<News>;

    /// The object does not exist any more: looks after what it left.
    fn clean_up(&self, gone: &Gone<'_, Self>) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Objects that left something behind, although they may be gone: asked once, when all that exist are known.
    fn left_behind(&self, cluster: &Cluster) -> impl Future<Output = Vec<Key>> + Send;
}

/// What is known of an object between two turns.
struct Remembered<M> {
    /// Of the object that this is about: one deleted and made anew under the same name starts afresh.
    uid: Option<String>,
    /// The uid of its kind's definition, where it was asked for: no object outlives that.
    definition: OnceLock<String>,
    memory: M,
}

/// The turns of all objects of a kind.
pub struct Turn<K: Kind> {
    kind: K,
    cluster: Cluster,
    owners: Arc<Owners>,
    interest: Arc<Interest>,
    announcer: Announcer,
    statuses: Statuses<K::Object>,
    remembered: Mutex<HashMap<Key, Remembered<K::Memory>>>,
}

impl<K: Kind> Turn<K> {
    /// Nothing is remembered yet. Who waits for one of the objects is told by `interest`.
    pub fn new(kind: K, cluster: Cluster, owners: Arc<Owners>, interest: Arc<Interest>) -> Self {
        let announcer = Announcer::new(cluster.client(), K::ACTION);
        let statuses = Statuses::new(cluster.client());
        Self { kind, cluster, owners, interest, announcer, statuses, remembered: Mutex::default() }
    }

    fn remembered(&self) -> MutexGuard<'_, HashMap<Key, Remembered<K::Memory>>> {
        unpoisoned::lock(&self.remembered)
    }

    async fn tell(&self, object: &K::Object, news: Vec<News>) {
        for news in news {
            self.announcer.tell(object, news, now()).await;
        }
    }
}

impl<K: Kind> Reconciler for Turn<K> {
    type Kind = K::Object;

    fn appeared(&self, object: &K::Object) {
        self.kind.appeared(object);
        self.interest.changed(&ObjectKey::from(&Owner::of(K::OWNER, &Key::of(object.meta()))));
    }

    async fn reconcile(&self, object: Arc<K::Object>) -> Next {
        let meta = object.meta();
        if meta.deletion_timestamp.is_some() {
            return Next::Await;
        }
        let (owner, uid, generation) = (Owner::of(K::OWNER, &Key::of(meta)), meta.uid.clone(), meta.generation);
        self.owners.note(&owner);
        let before = match self.statuses.of(&object).await {
            Ok(before) => before,
            Err(next) => return next,
        };
        let remembered = self.remembered().remove(&owner.key).filter(|remembered| remembered.uid == uid);
        let (definition, mut memory) = remembered.map(|r| (r.definition, r.memory)).unwrap_or_default();
        let it = It::<K>::new(&object, &owner, &self.cluster, &self.owners, definition);
        let mut draft = Draft { status: before.clone(), done: Vec::new(), news: Vec::new() };
        let ended = self.kind.turn(&it, &mut memory, &mut draft).await;
        let definition = it.into_definition();
        self.remembered().insert(owner.key.clone(), Remembered { uid, definition, memory });

        let Draft { status: mut after, done, mut news } = draft;
        self.tell(&object, done).await;
        let trouble = ended.as_ref().err().filter(|trouble| !matches!(trouble.mended_by, Mend::Turn | Mend::Others));
        K::show(&mut after, &owner, trouble);
        let (outcome, next) = match ended.unwrap_or_else(|trouble| verdict(&trouble, K::LOOK_AGAIN)) {
            Ended::Said { outcome, next } => (outcome, next),
            Ended::Unsaid(next) => return next,
        };
        after.conclude(&outcome, generation, &Time(now()));
        news.extend(K::news(&before, &after));
        let tell = self.tell(&object, news);
        if self.statuses.write(&*object, &before, &after, tell).await { next } else { Next::Retry }
    }

    async fn gone(&self, key: &Key) -> Next {
        if !is_gone::<K::Object>(&self.cluster.client(), key).await {
            return Next::Retry;
        }
        let owner = Owner::of(K::OWNER, key);
        let meta = ObjectMeta {
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: self.remembered().remove(key).and_then(|remembered| remembered.uid),
            ..ObjectMeta::default()
        };
        self.statuses.forget(key);
        self.interest.changed(&ObjectKey::from(&owner));
        let gone = Gone::<K>::new(&owner, &self.cluster, &self.announcer, meta.into_response_partial());
        match self.kind.clean_up(&gone).await {
            Ok(()) => {
                self.owners.forget(&owner);
                Next::Await
            }
            Err(wait) if matches!(wait.mended_by, Mend::Turn | Mend::Sight) => {
                tracing::debug!(%owner, %wait, "cannot clean up after what was deleted yet");
                Next::Later(TURN)
            }
            Err(trouble) => {
                tracing::warn!(%owner, error = %trouble, "cannot clean up after what was deleted yet");
                Next::Retry
            }
        }
    }

    async fn left_behind(&self) -> Vec<Key> {
        self.kind.left_behind(&self.cluster).await
    }

    async fn unreadable(&self, key: &Key, error: &str) {
        self.kind.unreadable(key);
        let owner = Owner::of(K::OWNER, key);
        let message = format!("{owner} cannot be read by this version of drover: {error}");
        let outcome = Outcome::Stalled { reason: condition::UNREADABLE.into(), message };
        // What else is known of it stays.
        let change = |mut status: K::Status, generation| {
            K::show(&mut status, &owner, None);
            status.conclude(&outcome, generation, &Time(now()));
            status
        };
        self.statuses.amend(key, change).await;
    }
}

/// The time, which all turns and what they tell take from here.
fn now() -> Timestamp {
    clock::now()
}
