//! The repositories that Environments follow: one poller and one reader per repository × credential, shared by all who follow it.
//!
//! What others ask (`head`) is answered from memory; no worker waits for the network.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use drover_core::branch::{CommitId, TreeId};
use drover_crds::Owner;
use drover_fetch::protocol::ReadRequest;
use drover_fetch::{Error, Tree};
use tokio::runtime::Handle;
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, oneshot};

use super::cache::{CacheId, leftovers};
use super::head::Head;
use super::pools::Pools;
use super::registry::{Hooked, Registry, Subscription};
use super::shared::{Config, Job, Running, Shared};
use super::{poller, reader};
use crate::clock;

/// A sync that takes longer leaves its place to others.
const GRACE: Duration = Duration::from_secs(5);
/// After a start everybody has subscribed again by then, and what is left in the cache folder is nobody's.
const LEFTOVERS_AFTER: Duration = Duration::from_mins(10);

/// The pool; cheap to clone.
#[derive(Clone)]
pub struct Repositories {
    shared: Arc<Shared>,
}

impl Repositories {
    /// A pool without subscribers. `notify` gets namespace and name of a subscriber whenever its head is another, or fails
    /// otherwise. Must be called within a tokio runtime.
    pub fn new(config: Config, notify: UnboundedSender<Owner>) -> Self {
        let runtime = Handle::current();
        let pools = Pools::new(config.max_children, GRACE);
        let shared =
            Arc::new(Shared { config, pools, notify, registry: Mutex::default(), folders: Mutex::default(), runtime });
        let watched = Arc::downgrade(&shared);
        shared.runtime.spawn(async move {
            tokio::time::sleep(LEFTOVERS_AFTER).await;
            if let Some(shared) = watched.upgrade() {
                let left = leftovers(&shared.config.cache_dir, |id| shared.registry().is_used(id));
                for path in left {
                    shared.delete(path);
                }
            }
        });
        Self { shared }
    }

    /// Follows what `subscription` says under this name, instead of what was followed under it before. Calling it again with
    /// the same does nothing.
    pub fn subscribe(&self, key: &Owner, subscription: Subscription) {
        let allow_http = self.shared.config.allow_http;
        let mut registry = self.shared.registry();
        let begin = |id: &CacheId| start(&self.shared, id);
        let change = registry.subscribe(key.clone(), subscription, allow_http, clock::now(), begin);
        if change.look {
            self.shared.tell([key.clone()]);
        }
        if let Some(running) = change.ask.and_then(|id| registry.running_of(&id)) {
            running.wake.notify_one();
        }
        retire(&self.shared, &mut registry);
    }

    /// Follows nothing under this name any more. The cache goes with its last subscriber.
    pub fn unsubscribe(&self, key: &Owner) {
        self.shared.folders().forget(key);
        let mut registry = self.shared.registry();
        registry.unsubscribe(key);
        retire(&self.shared, &mut registry);
    }

    /// What is known about the head of what is followed under this name; `Pending` when nothing is.
    pub fn head(&self, key: &Owner) -> Head {
        self.shared.registry().head(key)
    }

    /// Asks the server now instead of at the next interval; after a failure not within a second, and not before the end of
    /// the time that the server asked for.
    pub fn sync_now(&self, key: &Owner) {
        if let Some(running) = self.shared.registry().ask(key) {
            running.wake.notify_one();
        }
    }

    /// Who follows under this name has done all that there is to do with the tree at that path of a commit, until something else than a
    /// commit calls it; `None` where it has not. Of a commit at which many are settled and the tree is the same it is told at leisure:
    /// some seconds later, a few at a time, and only of the newest.
    pub fn settle(&self, key: &Owner, settled: Option<(&CommitId, &str, &TreeId)>) {
        if self.shared.folders().settle(key, settled) {
            self.shared.tell([key.clone()]);
        }
    }

    /// Those whose tree is known to be at that commit the one with which they are settled, each with its tree, whether they were told of the
    /// commit or not.
    pub fn settled_at(&self, commit: &CommitId) -> Vec<(Owner, TreeId)> {
        self.shared.folders().at(commit)
    }

    /// Tells at once who follows under this name, where it would be told at leisure.
    pub fn hurry(&self, key: &Owner) {
        if self.shared.folders().hurry(key) {
            self.shared.tell([key.clone()]);
        }
    }

    /// The manifests below `path` of a commit, from the cache; without files where its content is `known_tree`. After
    /// `Error::DamagedCache`, and after `Error::MissingCommit` for a commit that is still at the head, the cache is fetched
    /// again, and then the subscriber is notified.
    pub async fn read(
        &self,
        key: &Owner,
        commit: &CommitId,
        path: &str,
        known_tree: Option<&TreeId>,
    ) -> Result<Tree, Error> {
        if let Some(tree) = known_tree.filter(|tree| self.shared.folders().has(key, commit, path, tree)) {
            return Ok(Tree { id: tree.clone(), files: None, skipped: Vec::new() });
        }
        let (reply, answer) = oneshot::channel();
        let gone = || Error::NotSubscribed { name: key.to_string() };
        let request = ReadRequest { commit: commit.clone(), path: path.to_owned(), known_tree: known_tree.cloned() };
        {
            let registry = self.shared.registry();
            let (_, running) = registry.running(key)?;
            running.reads.send(Job { request, reply }).map_err(|_| gone())?;
        }
        answer.await.map_err(|_| gone())?
    }

    pub(super) fn hooked(&self, webhook: &str) -> Vec<Hooked> {
        self.shared.registry().hooked(webhook)
    }
}

fn start(shared: &Arc<Shared>, id: &CacheId) -> Running {
    let (wake, rebuild) = (Arc::new(Notify::new()), Arc::default());
    let (reads, jobs) = unbounded_channel();
    let poller = poller::run(Arc::downgrade(shared), id.clone(), Arc::clone(&wake), Arc::clone(&rebuild));
    let reader = reader::run(Arc::downgrade(shared), id.clone(), jobs);
    let tasks = [shared.runtime.spawn(poller).abort_handle(), shared.runtime.spawn(reader).abort_handle()];
    Running { wake, reads, rebuild, tasks }
}

/// Stops what nobody follows any more and deletes its cache.
fn retire(shared: &Shared, registry: &mut Registry<Running>) {
    for (id, running) in registry.unused() {
        drop(running);
        tracing::info!(repository = id.short(), "no longer followed");
        if let Some(path) = shared.cache(&id).retire() {
            shared.delete(path);
        }
    }
}
