//! One watch per kind that drover applies, for all controllers together: label-selected, paged, restarted for ever.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drover_core::render::ObjectKey;
use drover_crds::{LABEL_OWNER, Owner};
use futures::StreamExt as _;
use kube::core::DynamicObject;
use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio::time::Instant;

use super::autoscalers::{AUTOSCALER, AutoscalerTable};
use super::discovery::{Kind, Kinds};
use super::index::{GroupKind, Index, Live};
use super::onlooker::Onlooker;
use super::refusal::{Refusal, refusal};
use super::restart::Restarts;
use super::routes::{RouteTable, claims_routes};
use crate::metrics;
use crate::unpoisoned;

/// How long the first listing of a kind is waited for.
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
    running: Mutex<HashMap<GroupKind, Running>>,
}

/// A watch that runs.
#[derive(Clone)]
struct Running {
    sight: watch::Receiver<Sight>,
    began: Instant,
    /// Owner labels of those that are told when the first listing has ended.
    waiting: Arc<Mutex<HashSet<String>>>,
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

    /// Makes sure that the kind is watched. While its first listing is under way `owner` is told when that has ended; one that takes
    /// too long is not waited for.
    pub fn ensure(&self, kind: &Kind, owner: &Owner) -> Sight {
        let running = self.running(kind);
        let mut waiting = unpoisoned::lock(&running.waiting);
        match *running.sight.borrow() {
            Sight::Starting if running.began.elapsed() >= FIRST_LISTING => Sight::Blind,
            Sight::Starting => {
                waiting.insert(owner.label());
                Sight::Starting
            }
            known => known,
        }
    }

    /// The watch of that kind, begun where there is none.
    fn running(&self, kind: &Kind) -> Running {
        let group_kind = GroupKind { group: kind.resource.group.clone(), kind: kind.resource.kind.clone() };
        let mut running = unpoisoned::lock(&self.running);
        // A watch whose kind went away has ended: begin anew.
        running.retain(|_, running| running.sight.has_changed().is_ok());
        if let Some(running) = running.get(&group_kind) {
            return running.clone();
        }
        let (sender, sight) = watch::channel(Sight::Starting);
        let begun = Running { sight, began: Instant::now(), waiting: Arc::default() };
        let watch = Watch {
            api: Api::all_with(self.client.clone(), &kind.resource),
            kind: group_kind.clone(),
            restarts: self.restarts.clone(),
            kinds: self.kinds.clone(),
            index: self.index.clone(),
            onlooker: self.onlooker(&group_kind),
            sight: sender,
            waiting: begun.waiting.clone(),
        };
        tokio::spawn(watch.run());
        running.insert(group_kind, begun.clone());
        begun
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
    waiting: Arc<Mutex<HashSet<String>>>,
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
                    if self.sees(Sight::Blind) == Sight::Complete {
                        refusals = 0;
                    }
                    tokio::time::sleep(REFUSED_FOR[refusals]).await;
                    refusals = (refusals + 1).min(REFUSED_FOR.len() - 1);
                }
                _ => self.restarts.wait().await,
            }
        }
    }

    /// Notes what is seen from now on, and tells who waited for it. What was seen before.
    fn sees(&self, sight: Sight) -> Sight {
        let before = self.sight.send_replace(sight);
        for owner in unpoisoned::lock(&self.waiting).drain() {
            self.index.tell(owner);
        }
        before
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
                    self.sees(Sight::Complete);
                }
                Some(Ok(watcher::Event::Apply(object))) => self.take_in(&object),
                Some(Ok(watcher::Event::Delete(object))) => {
                    let key = self.key(&object);
                    if let Some(onlooker) = &self.onlooker {
                        onlooker.gone(&key);
                    }
                    self.vanished(&key, &object);
                }
                Some(Err(error)) => return error,
                None => return watcher::Error::NoResourceVersion,
            }
        }
    }

    fn vanished(&self, key: &ObjectKey, object: &DynamicObject) {
        let Live { uid, resource_version, .. } = Live::of(object);
        self.index.vanished(key, &uid, resource_version);
    }

    fn take_in(&self, object: &DynamicObject) {
        let key = self.key(object);
        if let Some(onlooker) = &self.onlooker {
            onlooker.observed(&key, object);
            // What a watch by label would not show.
            if !object.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(LABEL_OWNER)) {
                self.vanished(&key, object);
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

#[cfg(test)]
mod tests {
    use drover_crds::OwnerKind;
    use http::{Request, Response};
    use kube::client::Body;
    use kube::core::discovery::ApiResource;
    use serde_json::json;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    use super::*;
    use crate::cluster::lease::Leadership;

    type Handle = tower_test::mock::Handle<Request<Body>, Response<Body>>;

    fn watches() -> (Watches, Handle, UnboundedReceiver<String>) {
        let (service, handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        let client = Client::new(service, "default");
        let (tell, told) = unbounded_channel();
        let index = Index::new(tell.clone());
        let restarts = Restarts::new(Leadership::sole(), Duration::from_secs(3600));
        let autoscalers = AutoscalerTable::new(index.clone());
        let kinds = Kinds::new(client.clone());
        (Watches::new(client, restarts, kinds, index, RouteTable::new(tell), autoscalers), handle, told)
    }

    fn config_maps() -> Kind {
        Kind { resource: ApiResource::erase::<k8s_openapi::api::core::v1::ConfigMap>(&()), namespaced: true }
    }

    fn owner(name: &str) -> Owner {
        Owner::new(OwnerKind::Environment, "shop", name)
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_during_the_first_listing_is_told_when_it_has_ended() {
        let (watches, mut handle, mut told) = watches();
        assert_eq!(watches.ensure(&config_maps(), &owner("a")), Sight::Starting);
        assert_eq!(watches.ensure(&config_maps(), &owner("b")), Sight::Starting);
        let (request, reply) = handle.next_request().await.expect("a listing");
        assert!(request.uri().path().ends_with("/configmaps"), "{}", request.uri());
        assert!(told.try_recv().is_err(), "it has not ended");
        let list =
            json!({"kind": "ConfigMapList", "apiVersion": "v1", "metadata": {"resourceVersion": "1"}, "items": []});
        reply.send_response(Response::new(Body::from(list.to_string().into_bytes())));
        let mut labels = [told.recv().await, told.recv().await].map(Option::unwrap_or_default);
        labels.sort();
        assert_eq!(labels, [owner("a").label(), owner("b").label()]);
        assert_eq!(watches.ensure(&config_maps(), &owner("a")), Sight::Complete);
        assert!(told.try_recv().is_err(), "that is known");
    }

    #[tokio::test(start_paused = true)]
    async fn a_listing_that_is_refused_is_told_and_one_that_takes_too_long_is_done_without() {
        let (watches, mut handle, mut told) = watches();
        assert_eq!(watches.ensure(&config_maps(), &owner("a")), Sight::Starting);
        let (_request, reply) = handle.next_request().await.expect("a listing");
        let refusal = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "message": "no", "code": 403});
        reply.send_response(
            Response::builder().status(403).body(Body::from(refusal.to_string().into_bytes())).expect("a response"),
        );
        assert_eq!(told.recv().await, Some(owner("a").label()));
        assert_eq!(watches.ensure(&config_maps(), &owner("a")), Sight::Blind);

        let (watches, _handle, mut told) = self::watches();
        assert_eq!(watches.ensure(&config_maps(), &owner("a")), Sight::Starting);
        tokio::time::advance(FIRST_LISTING).await;
        assert_eq!(watches.ensure(&config_maps(), &owner("a")), Sight::Blind);
        assert!(told.try_recv().is_err());
    }
}
