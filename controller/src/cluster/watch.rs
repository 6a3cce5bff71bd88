//! One watch per kind that drover applies, for all controllers together: label-selected, paged, restarted for ever.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use drover_core::render::ObjectKey;
use drover_crds::LABEL_OWNER;
use futures::StreamExt as _;
use kube::core::DynamicObject;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::{Mutex, watch};

use super::autoscalers::{AUTOSCALER, AutoscalerTable};
use super::discovery::{Kind, Kinds};
use super::index::{GroupKind, Index, Live};
use super::onlooker::Onlooker;
use super::refusal::{Refusal, refusal};
use super::restart::Restarts;
use super::routes::{RouteTable, claims_routes};
use crate::metrics;

/// How long a caller waits for the first listing of a kind.
const FIRST_LISTING: Duration = Duration::from_secs(20);
/// Objects per page of a listing.
const PAGE: u32 = 500;
/// How long the API server's refusal of a watch is believed before it is asked again. The first times not for long: right after
/// its own start it does not know the roles yet.
const REFUSED_FOR: [Duration; 4] =
    [Duration::from_secs(1), Duration::from_secs(3), Duration::from_secs(9), Duration::from_secs(300)];

/// What is known of a kind's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The first listing is under way.
    Starting,
    /// The index is complete, but for the events on their way.
    Complete,
    /// drover may not watch this kind, or cannot now: ask as the acting account instead.
    Blind,
}

/// All watches of the process.
pub struct Watches {
    client: Client,
    restarts: Restarts,
    kinds: Kinds,
    index: Arc<Index>,
    routes: Arc<RouteTable>,
    autoscalers: Arc<AutoscalerTable>,
    running: Mutex<HashMap<GroupKind, watch::Receiver<Sight>>>,
}

impl Watches {
    /// No watch runs yet.
    pub(super) fn new(
        client: Client,
        restarts: Restarts,
        kinds: Kinds,
        index: Arc<Index>,
        routes: Arc<RouteTable>,
        autoscalers: Arc<AutoscalerTable>,
    ) -> Self {
        Self { client, restarts, kinds, index, routes, autoscalers, running: Mutex::default() }
    }

    /// Who looks at all objects of a kind, because others' objects matter too.
    fn onlooker(&self, kind: &GroupKind) -> Option<Arc<dyn Onlooker>> {
        if claims_routes(kind) {
            Some(self.routes.clone())
        } else if (kind.group.as_str(), kind.kind.as_str()) == AUTOSCALER {
            Some(self.autoscalers.clone())
        } else {
            None
        }
    }

    /// Makes sure that the kind is watched, and waits for its first listing.
    pub async fn ensure(&self, kind: &Kind) -> Sight {
        let group_kind = GroupKind { group: kind.resource.group.clone(), kind: kind.resource.kind.clone() };
        let mut sight = {
            let mut running = self.running.lock().await;
            // A watch whose kind went away has ended: begin anew.
            running.retain(|_, sight| sight.has_changed().is_ok());
            match running.get(&group_kind) {
                Some(sight) => sight.clone(),
                None => {
                    let (sender, receiver) = watch::channel(Sight::Starting);
                    let watch = Watch {
                        api: Api::all_with(self.client.clone(), &kind.resource),
                        kind: group_kind.clone(),
                        restarts: self.restarts.clone(),
                        kinds: self.kinds.clone(),
                        index: self.index.clone(),
                        onlooker: self.onlooker(&group_kind),
                        sight: sender,
                    };
                    tokio::spawn(watch.run());
                    running.insert(group_kind, receiver.clone());
                    receiver
                }
            }
        };
        let known = tokio::time::timeout(FIRST_LISTING, sight.wait_for(|sight| *sight != Sight::Starting)).await;
        match known {
            Ok(Ok(sight)) => *sight,
            _ => Sight::Blind,
        }
    }
}

struct Watch {
    api: Api<DynamicObject>,
    kind: GroupKind,
    restarts: Restarts,
    kinds: Kinds,
    index: Arc<Index>,
    /// For a kind whose objects are all looked at, those that nobody of drover's applied too.
    onlooker: Option<Arc<dyn Onlooker>>,
    sight: watch::Sender<Sight>,
}

impl Watch {
    async fn run(mut self) {
        let config = watcher::Config::default().page_size(PAGE);
        let config = if self.onlooker.is_some() { config } else { config.labels(LABEL_OWNER) };
        let mut refusals = 0;
        loop {
            // A stream is used until its first error and then made anew: after a 410 at the start of a watch kube's own
            // stream would ask for the same expired version for ever.
            let events = std::pin::pin!(watcher(self.api.clone(), config.clone()));
            let Ok(error) = tokio::time::timeout_at(self.restarts.next_listing(), self.follow(events)).await else {
                continue;
            };
            let refused = match &error {
                watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => refusal(error),
                _ => None,
            };
            metrics::watch_restarted(&self.kind.kind);
            tracing::warn!(kind = %self.kind.kind, group = %self.kind.group, %error, "watch ended; starting it anew");
            match refused {
                Some(Refusal::NotFound) => {
                    // The kind is gone: so are its objects. Who needs the kind again asks again.
                    self.kinds.doubt().await;
                    self.listed(&HashSet::new());
                    return;
                }
                Some(Refusal::Forbidden) => {
                    if self.sight.send_replace(Sight::Blind) == Sight::Complete {
                        refusals = 0;
                    }
                    tokio::time::sleep(REFUSED_FOR[refusals]).await;
                    refusals = (refusals + 1).min(REFUSED_FOR.len() - 1);
                }
                _ => self.restarts.wait().await,
            }
        }
    }

    async fn follow(
        &self,
        mut events: std::pin::Pin<&mut impl futures::Stream<Item = watcher::Result<watcher::Event<DynamicObject>>>>,
    ) -> watcher::Error {
        let mut seen = HashSet::new();
        loop {
            match events.next().await {
                Some(Ok(watcher::Event::Init)) => {
                    seen.clear();
                    self.index.listing(&self.kind);
                    if let Some(onlooker) = &self.onlooker {
                        onlooker.listing();
                    }
                }
                Some(Ok(watcher::Event::InitApply(object))) => {
                    seen.insert(self.key(&object));
                    self.take_in(&object);
                }
                Some(Ok(watcher::Event::InitDone)) => {
                    self.listed(&seen);
                    seen = HashSet::new();
                    self.sight.send_replace(Sight::Complete);
                }
                Some(Ok(watcher::Event::Apply(object))) => self.take_in(&object),
                Some(Ok(watcher::Event::Delete(object))) => {
                    let key = self.key(&object);
                    if let Some(onlooker) = &self.onlooker {
                        onlooker.gone(&key);
                    }
                    self.index.gone(&key, object.metadata.uid.as_deref());
                }
                Some(Err(error)) => return error,
                None => return watcher::Error::NoResourceVersion,
            }
        }
    }

    fn take_in(&self, object: &DynamicObject) {
        let key = self.key(object);
        if let Some(onlooker) = &self.onlooker {
            onlooker.observed(&key, object);
            // What a watch by label would not show.
            if !object.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(LABEL_OWNER)) {
                self.index.gone(&key, object.metadata.uid.as_deref());
                return;
            }
        }
        self.index.observed(key, Live::of(object));
    }

    fn listed(&self, seen: &HashSet<ObjectKey>) {
        if let Some(onlooker) = &self.onlooker {
            onlooker.keep_only(seen);
        }
        self.index.keep_only(&self.kind, seen);
    }

    fn key(&self, object: &DynamicObject) -> ObjectKey {
        ObjectKey {
            group: self.kind.group.clone(),
            kind: self.kind.kind.clone(),
            namespace: object.metadata.namespace.clone(),
            name: object.metadata.name.clone().unwrap_or_default(),
        }
    }
}
