//! Turns a kind's reconcile into a running controller: the watch on the kind itself, a fair queue, bounded concurrency, a
//! deadline, back-off per object. A reconcile that fails, panics or hangs never delays another object's. While this process may
//! not write nothing is begun: what could only fail would wait longer and longer, and return as one burst.

mod primaries;
mod queue;
mod turns;

use std::collections::HashMap;
use std::fmt::Debug;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::Duration;

use drover_crds::Key;
use kube::core::NamespaceResourceScope;
use kube::{Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::{JoinError, JoinSet};
use tokio::time::Instant;

pub use queue::{Next, Now, Queue};
pub use turns::Turns;

use crate::clock;
use crate::cluster::Restarts;
use crate::cluster::lease::Leadership;
use crate::metrics;
use crate::unpoisoned;

/// The longest that one reconcile may take before it is cut off and tried again.
const DEADLINE: Duration = Duration::from_secs(180);

/// What a kind brings along to be driven.
pub trait Reconciler: Send + Sync + 'static {
    /// The kind.
    type Kind: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + Sync
        + 'static;

    /// The object exists, or has changed: noted at once, before anybody's turn.
    fn appeared(&self, _object: &Self::Kind) {}

    /// Brings the cluster closer to what the object asks for. Called again whenever something that concerns it changes.
    fn reconcile(&self, object: Arc<Self::Kind>) -> impl Future<Output = Next> + Send;

    /// The object does not exist (any more): looks after what it left.
    fn gone(&self, key: &Key) -> impl Future<Output = Next> + Send;

    /// Objects that left something behind, although they may be gone: asked once, when all that exist are known.
    fn left_behind(&self) -> impl Future<Output = Vec<Key>> + Send;

    /// The object exists but cannot be read: what a person is told, as its status.
    fn unreadable(&self, key: &Key, error: &str) -> impl Future<Output = ()> + Send;
}

/// Asks a controller to look at an object. Cheap to clone.
#[derive(Clone)]
pub struct Trigger {
    work: Arc<Work>,
}

#[derive(Default)]
struct Work {
    queue: Mutex<Queue<Key>>,
    wake: Notify,
}

impl Work {
    fn queue(&self) -> MutexGuard<'_, Queue<Key>> {
        unpoisoned::lock(&self.queue)
    }

    fn push(&self, key: &Key) {
        self.queue().push(key);
        self.wake.notify_one();
    }
}

impl Trigger {
    /// Asks for a reconcile as soon as possible.
    pub fn push(&self, key: &Key) {
        self.work.push(key);
    }
}

/// The objects of a kind, as its watch last showed them.
struct Store<K> {
    objects: RwLock<HashMap<Key, Arc<K>>>,
}

impl<K> Store<K> {
    fn get(&self, key: &Key) -> Option<Arc<K>> {
        unpoisoned::read(&self.objects).get(key).cloned()
    }
}

/// A running controller of one kind.
pub struct Controller<R: Reconciler> {
    reconciler: Arc<R>,
    store: Arc<Store<R::Kind>>,
    work: Arc<Work>,
    concurrency: usize,
    kind: String,
}

impl<R: Reconciler> Controller<R> {
    /// A controller that runs at most `concurrency` reconciles at once.
    pub fn new(reconciler: R, concurrency: usize) -> Self {
        Self {
            reconciler: Arc::new(reconciler),
            store: Arc::new(Store { objects: RwLock::default() }),
            work: Arc::default(),
            concurrency,
            kind: R::Kind::kind(&()).into_owned(),
        }
    }

    /// How others ask this controller to look at an object.
    pub fn trigger(&self) -> Trigger {
        Trigger { work: self.work.clone() }
    }

    /// Runs until `stop` becomes true, then lets what is under way end for at most `grace`. The watch on the kind itself goes by
    /// `restarts`.
    pub async fn run(
        self,
        client: Client,
        leadership: Leadership,
        restarts: Restarts,
        mut stop: watch::Receiver<bool>,
        grace: Duration,
    ) {
        let watching = tokio::spawn(primaries::follow(
            client,
            restarts,
            self.store.clone(),
            self.work.clone(),
            self.reconciler.clone(),
        ));
        let mut running: JoinSet<(Key, Next)> = JoinSet::new();
        let mut keys: HashMap<tokio::task::Id, (Key, Instant)> = HashMap::new();
        let slots = Arc::new(Semaphore::new(self.concurrency));
        loop {
            let may_write = leadership.may_write();
            if may_write {
                self.start_due(&mut running, &mut keys, &slots);
            }
            let timer = self.work.queue().next_timer().filter(|_| may_write);
            tokio::select! {
                () = leadership.until_it_may_write(), if !may_write => {}
                () = self.work.wake.notified() => {}
                () = tokio::time::sleep_until(timer.unwrap_or_else(far_away)), if timer.is_some() => {}
                Some(ended) = running.join_next_with_id() => self.ended(ended, &mut keys),
                _ = stop.wait_for(|stop| *stop) => break,
            }
        }
        watching.abort();
        let rest = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(grace, rest).await.is_err() {
            tracing::warn!(kind = %self.kind, "some reconciles did not end in time and were cut off");
        }
    }

    fn start_due(
        &self,
        running: &mut JoinSet<(Key, Next)>,
        keys: &mut HashMap<tokio::task::Id, (Key, Instant)>,
        slots: &Arc<Semaphore>,
    ) {
        while let Ok(slot) = slots.clone().try_acquire_owned() {
            let (key, waiting) = {
                let mut queue = self.work.queue();
                let key = queue.pop(now());
                (key, queue.waiting())
            };
            metrics::waiting(&self.kind, waiting);
            let Some(key) = key else { return };
            let (reconciler, object) = (self.reconciler.clone(), self.store.get(&key));
            let of = key.clone();
            let task = running.spawn(async move {
                let _slot = slot;
                let work = async {
                    match object {
                        Some(object) => reconciler.reconcile(object).await,
                        None => reconciler.gone(&of).await,
                    }
                };
                let next = tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| {
                    tracing::error!(namespace = %of.namespace, name = %of.name, deadline = ?DEADLINE, "a reconcile was cut off at its deadline");
                    Next::Retry
                });
                (of, next)
            });
            keys.insert(task.id(), (key, Instant::now()));
        }
    }

    fn ended(
        &self,
        ended: Result<(tokio::task::Id, (Key, Next)), JoinError>,
        keys: &mut HashMap<tokio::task::Id, (Key, Instant)>,
    ) {
        let id = match &ended {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some((key, began)) = keys.remove(&id) else { return };
        let (next, outcome) = match ended {
            Ok((_, (_, next @ Next::Retry))) => (next, "retry"),
            Ok((_, (_, next))) => (next, "done"),
            Err(error) => {
                // The panic's own message went to the panic hook, with its place in the source.
                tracing::error!(kind = %self.kind, namespace = %key.namespace, name = %key.name, %error, "a reconcile panicked");
                (Next::Retry, "panic")
            }
        };
        metrics::reconciled(&self.kind, outcome, began.elapsed());
        self.work.queue().done(&key, next, now(), rand::random());
    }
}

/// What both clocks say.
fn now() -> Now {
    Now { steady: Instant::now(), wall: clock::now() }
}

fn far_away() -> Instant {
    Instant::now() + Duration::from_secs(86_400)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::lease::DURATION;
    use k8s_openapi::api::core::v1::ConfigMap;
    use tokio::sync::mpsc;

    /// Panics for one name, hangs for another, works for the rest.
    struct Moody {
        seen: mpsc::UnboundedSender<String>,
    }

    impl Reconciler for Moody {
        type Kind = ConfigMap;

        async fn reconcile(&self, _: Arc<ConfigMap>) -> Next {
            Next::Await
        }

        async fn gone(&self, key: &Key) -> Next {
            let name = key.name.as_str();
            let _ = self.seen.send(name.to_owned());
            assert_ne!(name, "panics", "as asked");
            if name == "hangs" {
                std::future::pending::<()>().await;
            }
            Next::Await
        }

        async fn left_behind(&self) -> Vec<Key> {
            Vec::new()
        }

        async fn unreadable(&self, _: &Key, _: &str) {}
    }

    fn hourly(leadership: &Leadership) -> Restarts {
        Restarts::new(leadership.clone(), Duration::from_secs(3600))
    }

    fn unanswered_client() -> (Client, impl Sized) {
        let (service, handle) =
            tower_test::mock::pair::<http::Request<kube::client::Body>, http::Response<kube::client::Body>>();
        (Client::new(service, "default"), handle)
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_and_a_hang_delay_nobody_else_and_are_tried_again() {
        let (seen, mut told) = mpsc::unbounded_channel();
        let controller = Controller::new(Moody { seen }, 2);
        let trigger = controller.trigger();
        let (client, _handle) = unanswered_client();
        let (stop, stopped) = watch::channel(false);
        let running = tokio::spawn(controller.run(
            client,
            Leadership::sole(),
            hourly(&Leadership::sole()),
            stopped,
            Duration::from_secs(1),
        ));
        for name in ["panics", "hangs", "works"] {
            trigger.push(&Key::new("shop", name));
        }
        let mut names = Vec::new();
        while names.len() < 5 {
            names.push(told.recv().await.expect("alive"));
        }
        assert_eq!(names[..3], ["panics", "hangs", "works"]);
        assert!(names[3..].contains(&"panics".to_owned()), "{names:?}");
        stop.send_replace(true);
        running.await.expect("stops");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_begun_while_this_process_may_not_write() {
        let (seen, mut told) = mpsc::unbounded_channel();
        let controller = Controller::new(Moody { seen }, 2);
        let trigger = controller.trigger();
        let (client, _handle) = unanswered_client();
        let (_stop, stopped) = watch::channel(false);
        let (lease, leadership) = Leadership::of_a_lease(DURATION);
        lease.send_replace(None);
        tokio::spawn(controller.run(client, leadership.clone(), hourly(&leadership), stopped, Duration::from_secs(1)));
        trigger.push(&Key::new("shop", "panics"));
        let hour = Duration::from_secs(3600);
        assert!(tokio::time::timeout(hour, told.recv()).await.is_err(), "it was begun");
        lease.send_replace(Some(Instant::now() + DURATION));
        assert_eq!(told.recv().await.as_deref(), Some("panics"));
        // It is due again after a second, and not before.
        let again = tokio::time::timeout(Duration::from_secs(2), told.recv()).await;
        assert_eq!(again.expect("its back-off did not grow meanwhile").as_deref(), Some("panics"));
    }
}
