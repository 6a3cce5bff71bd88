//! What the tasks of all repositories have in common.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use drover_crds::Owner;
use drover_fetch::protocol::ReadRequest;
use drover_fetch::{Error, Limits, Tree};
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{Notify, oneshot};
use tokio::task::AbortHandle;

use super::cache::{Cache, CacheId};
use super::folders::Folders;
use super::pools::Pools;
use super::registry::Registry;
use crate::unpoisoned;

/// How repositories are fetched.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where caches are kept; only drover writes there.
    pub cache_dir: PathBuf,
    /// The program that has the subcommand `child git`: drover itself.
    pub child: PathBuf,
    /// How much one repository may use.
    pub limits: Limits,
    /// Whether `http://` addresses are accepted; meant for loopback.
    pub allow_http: bool,
    /// How many child processes of one sort run at a time.
    pub max_children: usize,
}

/// What everybody who works for the pool shares.
pub(super) struct Shared {
    pub config: Config,
    pub pools: Pools,
    pub notify: UnboundedSender<Owner>,
    pub registry: Mutex<Registry<Running>>,
    pub folders: Mutex<Folders>,
    pub runtime: Handle,
}

/// What runs for one repository × credential; it ends when this is dropped.
pub(super) struct Running {
    pub wake: Arc<Notify>,
    pub reads: UnboundedSender<Job>,
    pub rebuild: Arc<Rebuild>,
    pub tasks: [AbortHandle; 2],
}

impl Drop for Running {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
    }
}

/// Asks the poller to fetch the cache anew.
#[derive(Debug, Default)]
pub(super) struct Rebuild {
    asked: AtomicBool,
    done: AtomicU64,
}

impl Rebuild {
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
    }

    /// It was done.
    pub(super) fn is_done(&self) {
        self.done.fetch_add(1, Ordering::AcqRel);
    }

    /// How often that was done.
    pub(super) fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    pub(super) fn take(&self) -> bool {
        self.asked.swap(false, Ordering::AcqRel)
    }
}

/// One reading that somebody waits for.
pub(super) struct Job {
    pub request: ReadRequest,
    pub reply: oneshot::Sender<Result<Tree, Error>>,
}

impl Shared {
    pub(super) fn registry(&self) -> MutexGuard<'_, Registry<Running>> {
        // Nothing that panics while it holds the lock leaves half a change behind.
        unpoisoned::lock(&self.registry)
    }

    pub(super) fn folders(&self) -> MutexGuard<'_, Folders> {
        // As above.
        unpoisoned::lock(&self.folders)
    }

    pub(super) fn cache(&self, id: &CacheId) -> Cache {
        Cache::new(&self.config.cache_dir, id)
    }

    /// Tells subscribers that there is news.
    pub(super) fn tell(&self, names: impl IntoIterator<Item = Owner>) {
        for name in names {
            // Nobody listens only while the controller stops.
            let _ = self.notify.send(name);
        }
    }

    /// Deletes a folder, in its own time.
    pub(super) fn delete(&self, path: PathBuf) {
        self.runtime.spawn_blocking(move || remove(&path));
    }
}

fn remove(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %error, "a cache folder could not be deleted");
    }
}
