//! Sees when a ConfigMap or a Secret changes that somebody reads, a Service that routes lead to, or an object of any kind that a commit waits
//! for. Of each kind there is one watch in each namespace where one is read, made as the namespace's account: drover itself has no right to
//! see Secrets. It asks for metadata alone and keeps nothing; who waits is told by [`Interest`], and reads for itself.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drover_core::render::ObjectKey;
use drover_core::workload::pods::settings::SettingKind;
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::Api;
use kube::core::PartialObjectMeta;
use kube::core::discovery::ApiResource;
use kube::runtime::watcher;
use tokio::sync::watch;

use crate::cluster::{Acting, Refusal, Restarts, Sight, refusal};
use crate::interest::Interest;
use crate::metrics;
use crate::unpoisoned;

/// Objects per page of a listing.
const PAGE: u32 = 500;
/// How often whoever reads looks for changes that nobody tells of.
pub const UNSEEN: Duration = Duration::from_mins(1);
/// How often an account is tried that may not watch.
const REFUSED_FOR: Duration = Duration::from_mins(5);

/// All watches on what is read. Cheap to clone.
#[derive(Clone)]
pub struct Settings {
    interest: Arc<Interest>,
    restarts: Restarts,
    running: Arc<Mutex<Running>>,
}

/// The watches that run, each with what it sees.
type Running = HashMap<Place, watch::Receiver<Sight>>;

/// The objects of one kind in one namespace, or outside of all.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    group: String,
    kind: String,
    namespace: Option<String>,
}

/// What is watched where apps go by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Watched {
    /// What pods read.
    Setting(SettingKind),
    /// What routes lead to.
    Service,
}

impl Watched {
    fn as_str(self) -> &'static str {
        match self {
            Self::Setting(kind) => kind.as_str(),
            Self::Service => "Service",
        }
    }
}

/// The key of an object of that kind.
pub fn key(kind: Watched, namespace: &str, name: &str) -> ObjectKey {
    ObjectKey::namespaced("", kind.as_str(), namespace, name)
}

impl Settings {
    /// No watch runs yet.
    pub fn new(interest: Arc<Interest>, restarts: Restarts) -> Self {
        Self { interest, restarts, running: Arc::default() }
    }

    /// Who is told.
    pub fn interest(&self) -> &Interest {
        &self.interest
    }

    /// Makes sure that changes of this kind are told to those who wait for them, which is to be said before. `Blind` where the account may
    /// not watch: then nobody is told.
    pub fn ensure(&self, acting: &Acting, namespace: &str, kind: Watched) -> Sight {
        let resource = match kind {
            Watched::Setting(SettingKind::ConfigMap) => ApiResource::erase::<ConfigMap>(&()),
            Watched::Setting(SettingKind::Secret) => ApiResource::erase::<Secret>(&()),
            Watched::Service => ApiResource::erase::<Service>(&()),
        };
        self.ensure_any(acting, Some(namespace), &resource)
    }

    /// The same for any kind; without a `namespace` for one whose objects are in none.
    pub fn ensure_any(&self, acting: &Acting, namespace: Option<&str>, resource: &ApiResource) -> Sight {
        let place = Place {
            group: resource.group.clone(),
            kind: resource.kind.clone(),
            namespace: namespace.map(str::to_owned),
        };
        let mut running = unpoisoned::lock(&self.running);
        if let Some(sight) = running.get(&place) {
            return *sight.borrow();
        }
        let (sees, sight) = watch::channel(Sight::Starting);
        running.insert(place.clone(), sight);
        let api: Api<PartialObjectMeta> = match namespace {
            Some(namespace) => Api::namespaced_with(acting.client(), namespace, resource),
            None => Api::all_with(acting.client(), resource),
        };
        tokio::spawn(Watch { settings: self.clone(), place, sees }.run(api));
        Sight::Starting
    }
}

/// The watch on one kind in one namespace.
struct Watch {
    settings: Settings,
    place: Place,
    sees: watch::Sender<Sight>,
}

impl Watch {
    /// Watches until nobody waits any more.
    async fn run(self, api: Api<PartialObjectMeta>) {
        let mut restarts = self.settings.restarts.clone();
        while self.is_needed() {
            let events = pin!(watcher(api.clone(), watcher::Config::default().page_size(PAGE)));
            let ended = tokio::time::timeout_at(restarts.next_listing(), self.follow(events)).await;
            let Ok(error) = ended else { continue };
            let refused = match &error {
                watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => refusal(error),
                _ => None,
            };
            let (kind, namespace) = (self.place.kind.as_str(), self.place.namespace.as_deref());
            metrics::watch_restarted(kind);
            if refused == Some(Refusal::Forbidden) {
                tracing::warn!(kind, namespace, %error, "changes of what is read are looked for once a minute");
                self.sees.send_replace(Sight::Blind);
                self.tell_all();
                tokio::time::sleep(REFUSED_FOR).await;
            } else {
                tracing::warn!(kind, namespace, %error, "watch ended; starting it anew");
                restarts.wait().await;
            }
        }
    }

    /// Whether somebody waits; where nobody does the watch is no longer there for those who come.
    fn is_needed(&self) -> bool {
        let mut running = unpoisoned::lock(&self.settings.running);
        let is_awaited = !self.awaited().is_empty();
        if !is_awaited {
            running.remove(&self.place);
        }
        is_awaited
    }

    fn awaited(&self) -> Vec<ObjectKey> {
        let Place { group, kind, namespace } = &self.place;
        self.settings.interest.awaited(group, kind, namespace.as_deref())
    }

    /// All look for themselves, and wait anew: who is gone does not.
    fn tell_all(&self) {
        for key in self.awaited() {
            self.settings.interest.changed(&key);
        }
    }

    async fn follow(
        &self,
        mut events: impl futures::Stream<Item = watcher::Result<watcher::Event<PartialObjectMeta>>> + Unpin,
    ) -> watcher::Error {
        loop {
            match events.next().await {
                Some(Ok(watcher::Event::Init | watcher::Event::InitApply(_))) => {}
                // What changed before was told to nobody.
                Some(Ok(watcher::Event::InitDone)) => {
                    self.sees.send_replace(Sight::Complete);
                    self.tell_all();
                }
                Some(Ok(watcher::Event::Apply(object) | watcher::Event::Delete(object))) => {
                    let Place { group, kind, namespace } = self.place.clone();
                    let name = object.metadata.name.unwrap_or_default();
                    self.settings.interest.changed(&ObjectKey { group, kind, namespace, name });
                }
                Some(Err(error)) => return error,
                None => return watcher::Error::NoResourceVersion,
            }
        }
    }
}
