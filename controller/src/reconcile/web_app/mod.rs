//! `WebApp`: a web server, its volumes and its routes.
//!
//! 1. [`dereference`]: what a decision needs besides the spec, read as the namespace's account;
//! 2. [`validate`](mod@validate): the spec, with every default filled in (pure);
//! 3. [`build`]: the children (pure);
//! 4. [`apply`]: the release written down, and the children, and these sent ([`owned`]);
//! 5. [`status`]: what a person reads, and [`news`]: what a person is told (pure).
//!
//! [`drover_core::release`] says what comes next (pure), [`progress`] does it. A reconcile never waits, not for a registry either (that is
//! [`Registry`]'s own work): it does what is to be done, and is called again by the event that changes something, or after a time
//! that it names.

mod apply;
mod dereference;
mod progress;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use drover_core::plan::{Elsewhere, Mandate};
use drover_core::release::status;
use drover_core::release::{News, Tone, Wanted, news};
use drover_core::render::Object;
use drover_core::workload::build;
use drover_core::workload::children::Children;
use drover_core::workload::takeover::{Kept, Refusal};
use drover_core::workload::validate::{App, Facts, Image, ImageUser, Invalid, PodRelease, Shrinking, validate};
use drover_crds::condition::Outcome;
use drover_crds::{ANNOTATION_COMMIT, ANNOTATION_RECONCILE_AT, ANNOTATION_RESTARTED_AT};
use drover_crds::{DEFAULT_SERVICE_ACCOUNT, Key, Owner, OwnerKind, WebApp, WebAppStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use kube::runtime::events::EventType;

use self::apply::ApplyError;
use self::progress::{Ended, Work};
use super::{Announcer, Owners, Statuses};
use crate::cluster::inventory::Inventories;
use crate::cluster::{ApiError, Cluster, definition, is_gone};
use crate::driver::{Next, Reconciler};
use crate::owned::{self, Estate, Unfinished};
use crate::registry::{self, Registry};
use crate::unpoisoned;

/// How long to wait after a refusal that only a person or an event outside of drover's sight can lift, such as a role that is
/// granted.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// The children of `app` as a first release would have them, without a cluster and without a registry: for `drover render`.
pub fn build_all(app: &WebApp, namespace: &str) -> Result<Vec<Object>, Invalid> {
    let namespace = app.namespace().unwrap_or_else(|| namespace.to_owned());
    let identity = App { namespace, name: app.name_any(), uid: app.uid() };
    let image = Image { reference: app.spec.image.clone(), user: ImageUser::Unknown };
    let pods = PodRelease { number: 1, commit: app.annotations().get(ANNOTATION_COMMIT).cloned() };
    let facts = Facts {
        image: &image,
        pods: &pods,
        restarted_at: app.annotations().get(ANNOTATION_RESTARTED_AT).map(String::as_str),
        claims: &BTreeMap::new(),
        shrinking: Shrinking::Refuse,
        kept: &Kept::default(),
    };
    validate(&identity, &app.spec, &facts).map(|valid| build::build(&valid))
}

/// Why a WebApp is not as its spec asks.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The spec cannot be built.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// The image cannot be resolved.
    #[error("{error}")]
    Registry {
        /// Why.
        error: registry::Error,
        /// When to look again: the registry is asked ever less often, and who asked is told when it has answered.
        next: Next,
    },
    /// What was there before cannot be taken over without a loss.
    #[error(transparent)]
    TakeOver(#[from] Refusal),
    /// Something cannot be read.
    #[error(transparent)]
    Read(#[from] ApiError),
    /// Something cannot be written.
    #[error(transparent)]
    Apply(#[from] ApplyError),
}

impl Failure {
    /// One word for conditions.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "InvalidSpec",
            Self::Registry { error, .. } => error.label(),
            Self::TakeOver(_) => "TakeOverRefused",
            Self::Read(error) => error.label(),
            Self::Apply(error) => error.label(),
        }
    }

    /// What the status says, and when to look again.
    fn verdict(&self) -> (Outcome, Next) {
        let (reason, message) = (self.label().to_owned(), self.to_string());
        match self {
            // A new spec is an event, and so is a claim that changes size only by a new spec.
            Self::Invalid(_) => (Outcome::Stalled { reason, message }, Next::Await),
            // The Service may be changed, and nobody is told of what another owns.
            Self::TakeOver(_) => (Outcome::Stalled { reason, message }, Next::After(LOOK_AGAIN)),
            Self::Registry { error, next } if error.is_terminal() => (Outcome::Stalled { reason, message }, *next),
            Self::Registry { next, .. } => (Outcome::Failed { reason, message }, *next),
            Self::Read(error) if error.is_terminal() => (Outcome::Stalled { reason, message }, Next::After(LOOK_AGAIN)),
            Self::Apply(error) if error.is_terminal() => {
                (Outcome::Stalled { reason, message }, Next::After(LOOK_AGAIN))
            }
            Self::Read(_) | Self::Apply(_) => (Outcome::Failed { reason, message }, Next::Retry),
        }
    }
}

/// What is remembered of a WebApp between two reconciles.
struct Memory {
    uid: Option<String>,
    /// The uid of the definition of WebApps that it was made under.
    definition: String,
}

/// Reconciles WebApps.
pub struct WebAppReconciler {
    cluster: Cluster,
    registry: Registry,
    inventories: Arc<Inventories>,
    owners: Arc<Owners>,
    announcer: Announcer,
    statuses: Statuses<WebApp>,
    memories: Mutex<HashMap<Key, Memory>>,
}

impl WebAppReconciler {
    /// Nothing is remembered yet.
    pub fn new(cluster: Cluster, registry: Registry, inventories: Arc<Inventories>, owners: Arc<Owners>) -> Self {
        let announcer = Announcer::new(&cluster, "Release");
        let statuses = Statuses::new(cluster.client());
        Self { cluster, registry, inventories, owners, announcer, statuses, memories: Mutex::default() }
    }

    fn memories(&self) -> MutexGuard<'_, HashMap<Key, Memory>> {
        unpoisoned::lock(&self.memories)
    }

    /// The uid of the definition of WebApps; `None` while that is being deleted, and `app` with it.
    async fn definition(&self, app: &WebApp, key: &Key) -> Result<Option<String>, ApiError> {
        let uid = app.uid();
        let remembered = self.memories().get(key).filter(|m| m.uid == uid).map(|m| m.definition.clone());
        if remembered.is_some() {
            // No object outlives its definition.
            return Ok(remembered);
        }
        let found = definition(&self.cluster.client(), &OwnerKind::WebApp.definition()).await?;
        if let Some(definition) = found.clone() {
            self.memories().insert(key.clone(), Memory { uid, definition });
        }
        Ok(found)
    }

    /// Events and log lines for what a person should see: a release that ended, one that was put back, a new refusal.
    async fn tell(&self, app: &WebApp, before: &WebAppStatus, after: &WebAppStatus) {
        let (namespace, name) = (app.namespace().unwrap_or_default(), app.name_any());
        for News { tone, reason, note } in news(before, after) {
            let kind = match tone {
                Tone::Normal => {
                    tracing::info!(%namespace, %name, %reason, "{note}");
                    EventType::Normal
                }
                Tone::Warning => {
                    tracing::warn!(%namespace, %name, %reason, "{note}");
                    EventType::Warning
                }
            };
            self.announcer.publish(app, kind, &reason, note).await;
        }
    }
}

impl Reconciler for WebAppReconciler {
    type Kind = WebApp;

    async fn reconcile(&self, object: Arc<WebApp>) -> Next {
        if object.metadata.deletion_timestamp.is_some() {
            return Next::Await;
        }
        let key = Key::of(&object.metadata);
        let owner = Owner::of(OwnerKind::WebApp, &key);
        self.owners.note(&owner);
        let annotation = |name: &str| object.annotations().get(name).map(String::as_str);
        let before = match self.statuses.of(&object).await {
            Ok(before) => before,
            Err(next) => return next,
        };
        let definition = match self.definition(&object, &key).await {
            Ok(Some(definition)) => definition,
            Ok(None) => return Next::Retry,
            Err(error) => {
                tracing::warn!(%owner, %error, "cannot read the definition of WebApps");
                return Next::Retry;
            }
        };
        let mut work = Work {
            cluster: &self.cluster,
            registry: &self.registry,
            inventories: &self.inventories,
            acting: self.cluster.acting_as(&key.namespace, DEFAULT_SERVICE_ACCOUNT),
            owner: &owner,
            app: App { namespace: key.namespace.clone(), name: key.name.clone(), uid: object.uid() },
            wanted: Wanted {
                spec: &object.spec,
                commit: annotation(ANNOTATION_COMMIT),
                asked: annotation(ANNOTATION_RECONCILE_AT),
            },
            definition: &definition,
            restarted_at: annotation(ANNOTATION_RESTARTED_AT),
            now: Time(jiff::Timestamp::now()),
            status: before.clone(),
        };
        let ended = work.run().await;
        let (now, mut after) = (work.now.clone(), work.status);
        let (outcome, url, next) = match ended {
            Ok(Ended { outcome, url, next }) => (outcome, url, next),
            Err(failure) => {
                let (outcome, next) = failure.verdict();
                status::stuck(&mut after, failure.label(), failure.to_string());
                (outcome, after.url.clone(), next)
            }
        };
        status::conclude(&mut after, &outcome, url, object.metadata.generation, &now);
        let tell = self.tell(&object, &before, &after);
        if self.statuses.write(&object, &before, &after, tell).await { next } else { Next::Retry }
    }

    async fn gone(&self, key: &Key) -> Next {
        if !is_gone::<WebApp>(&self.cluster.client(), key).await {
            return Next::Retry;
        }
        self.memories().remove(key);
        self.statuses.forget(key);
        self.registry.forget(key);
        let owner = Owner::of(OwnerKind::WebApp, key);
        let estate = Estate {
            cluster: &self.cluster,
            inventories: &self.inventories,
            owner: &owner,
            mandate: Mandate::Children { app_is_gone: true },
            elsewhere: &|_| Elsewhere::Nothing,
            rank: Children::rank,
        };
        let cleaned = async {
            owned::clean_up(&estate).await?;
            self.inventories.remove(&owner).await.map_err(Unfinished::Api)
        };
        match cleaned.await {
            Ok(()) => {
                self.owners.forget(&owner);
                Next::Await
            }
            Err(error) => {
                tracing::warn!(namespace = %key.namespace, name = %key.name, %error, "cannot clean up after a deleted WebApp yet");
                Next::Retry
            }
        }
    }

    async fn left_behind(&self) -> Vec<Key> {
        self.inventories.keys(OwnerKind::WebApp)
    }

    async fn unreadable(&self, key: &Key, error: &str) {
        let message = format!("WebApp {key} cannot be read by this version of drover: {error}");
        let outcome = Outcome::Stalled { reason: "Unreadable".into(), message };
        let now = Time(jiff::Timestamp::now());
        // What is known of its releases stays: only the conditions change.
        let change = |mut status: WebAppStatus, generation| {
            let url = status.url.clone();
            status::conclude(&mut status, &outcome, url, generation, &now);
            status
        };
        self.statuses.amend(key, change).await;
    }
}
