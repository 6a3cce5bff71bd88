//! What a turn is given, and what it gives back.

use std::collections::HashSet;
use std::sync::OnceLock;

use drover_core::news::News;
use drover_core::render::ObjectKey;
use drover_core::workload::pods::Applied;
use drover_crds::condition::Outcome;
use drover_crds::{Key, LABEL_OWNER, Owner};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::core::PartialObjectMeta;
use kube::{Resource as _, ResourceExt as _};

use super::announcer::Announcer;
use super::{Kind, Owners, now};
use crate::cluster::{Acting, ApiError, Cluster, Sight, definition};
use crate::driver::Next;

/// The object whose turn it is, and what a turn needs.
pub struct It<'a, K: Kind> {
    /// The object.
    pub object: &'a K::Object,
    /// Its kind, namespace and name.
    pub owner: &'a Owner,
    /// The cluster, with drover's own rights.
    pub cluster: &'a Cluster,
    /// The cluster, with the rights of the account that the object acts as.
    pub acting: Acting,
    owners: &'a Owners,
    definition: OnceLock<String>,
}

impl<'a, K: Kind> It<'a, K> {
    pub(super) fn new(
        object: &'a K::Object,
        owner: &'a Owner,
        cluster: &'a Cluster,
        owners: &'a Owners,
        definition: OnceLock<String>,
    ) -> Self {
        let acting = cluster.acting_as(&owner.key.namespace, K::account(object));
        Self { object, owner, cluster, acting, owners, definition }
    }

    pub(super) fn into_definition(self) -> OnceLock<String> {
        self.definition
    }

    /// Its namespace and name.
    pub fn key(&self) -> &'a Key {
        &self.owner.key
    }

    /// The generation of its spec.
    pub fn generation(&self) -> Option<i64> {
        self.object.meta().generation
    }

    /// The value of one of its annotations.
    pub fn annotation(&self, name: &str) -> Option<&'a str> {
        self.object.annotations().get(name).map(String::as_str)
    }

    /// The uid of its kind's definition; `None` while that is being deleted, and the object with it.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn definition(&self) -> Result<Option<&str>, ApiError> {
        if let Some(known) = self.definition.get() {
            return Ok(Some(known));
        }
        let found = definition(&self.cluster.client(), &self.owner.kind.definition()).await?;
        Ok(found.map(|found| self.definition.get_or_init(|| found).as_str()))
    }

    /// The object itself and all that wait for it to be healthy, for which it must not wait in turn.
    pub fn above(&self) -> HashSet<ObjectKey> {
        self.owners.above(self.owner, |key| self.cluster.index().live(key).map(|live| live.owner))
    }

    /// It has applied that: whoever asked for it is called again where it is another than before.
    pub fn has_applied(&self, applied: Applied) {
        self.owners.has_applied(self.owner, applied);
    }

    /// What the owner of the object has applied, as far as this process knows; the object is called again when that is another.
    pub fn applied_by(&self) -> Option<Applied> {
        self.owners.applied_by(self.object.labels().get(LABEL_OWNER)?, self.owner)
    }

    /// Whether the watches show all objects of these kinds, each a group and a kind; those that are not served do not count. The object
    /// is called again when they do.
    pub async fn sees<'k>(&self, kinds: impl IntoIterator<Item = (&'k str, &'k str)>) -> bool {
        // What is to be done about an API server that does not answer is said by whoever asks it next.
        let Ok(known) = self.cluster.kinds().known().await else { return true };
        let kinds = kinds.into_iter().filter_map(|(group, kind)| known.preferred(group, kind));
        // Each is asked about, so that all are watched from now on.
        let starting = kinds.filter(|kind| self.cluster.watch(kind, self.owner) == Sight::Starting);
        starting.count() == 0
    }

    /// The time.
    pub fn now(&self) -> Time {
        Time(now())
    }
}

/// What a turn writes down.
pub struct Draft<S> {
    /// The status, as it grows.
    pub status: S,
    /// What was done that no status shows: it is told whatever the status says.
    pub done: Vec<News>,
    /// What is told besides what two statuses say, when the status is written.
    pub news: Vec<News>,
}

/// How a turn ended that met no trouble.
pub enum Ended {
    /// It came to something.
    Said {
        /// What the conditions say.
        outcome: Outcome,
        /// When to look again.
        next: Next,
    },
    /// There is nothing to say yet: the status stays as it is. When to look again.
    Unsaid(Next),
}

/// An object that does not exist any more.
pub struct Gone<'a, K: Kind> {
    /// Its kind, namespace and name.
    pub owner: &'a Owner,
    /// The cluster, with drover's own rights.
    pub cluster: &'a Cluster,
    announcer: &'a Announcer,
    object: PartialObjectMeta<K::Object>,
}

impl<'a, K: Kind> Gone<'a, K> {
    pub(super) fn new(
        owner: &'a Owner,
        cluster: &'a Cluster,
        announcer: &'a Announcer,
        object: PartialObjectMeta<K::Object>,
    ) -> Self {
        Self { owner, cluster, announcer, object }
    }

    /// Tells people of what became of what it left.
    pub async fn tell(&self, news: News) {
        self.announcer.tell(&self.object, news, now()).await;
    }
}
