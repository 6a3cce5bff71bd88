//! Follows one repository × credential: one sync at a time, at the interval, when woken, and ever later while it fails. A
//! server that asks to be left alone for a while is, whoever asks for a look.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use futures::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::cache::{Cache, CacheId};
use super::commit::CommitInfo;
use super::credential::Auth;
use super::error::Error;
use super::process::{self, Trust};
use super::protocol::{Operation, Request, Response};
use super::registry::Task;
use super::repositories::Shared;
use super::schedule;
use crate::metrics;

/// Asks the poller to fetch the cache anew.
#[derive(Debug, Default)]
pub(super) struct Rebuild(AtomicBool);

impl Rebuild {
    pub(super) fn ask(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn take(&self) -> bool {
        self.0.swap(false, Ordering::AcqRel)
    }
}

/// Runs until the pool or the repository's last subscriber is gone.
pub(super) async fn run(shared: Weak<Shared>, id: CacheId, wake: Arc<Notify>, rebuild: Arc<Rebuild>) {
    let (mut failures, mut packs) = (0u32, 0);
    let mut told: Option<Error> = None;
    loop {
        let Some(shared) = shared.upgrade() else { return };
        // Who asked until now is served by this sync; who asks from now on gets another.
        let _ = wake.notified().now_or_never();
        let Some(task) = shared.registry().task(&id) else { return };
        let cache = shared.cache(&id);
        let anew = rebuild.take() || packs > shared.config.limits.packs;
        let result = shared.pools.sync(failures > 0, || sync(&shared, &cache, &task, anew)).await;
        let result = result.map(|(answers, count)| {
            packs = count;
            answers
        });
        let failed = result.as_ref().err();
        if failed.is_some() && anew {
            rebuild.ask();
        }
        metrics::synced(failed.map_or("ok", Error::label));
        failures = if failed.is_some() { failures.saturating_add(1) } else { 0 };
        let wait = schedule::next(task.interval, failures, failed.and_then(Error::asked_wait), rand::random::<f64>());
        let now = Timestamp::now();
        let again = failed.filter(|error| !error.is_terminal()).map(|_| wait.again(now));
        let news = shared.registry().record(&id, &task.references, &result, again, now);
        match failed {
            Some(error) if told.as_ref() != Some(error) => {
                tracing::warn!(repository = %task.address, reason = error.label(), %error, "cannot be followed");
            }
            None if !news.is_empty() => {
                tracing::info!(repository = %task.address, subscribers = news.len(), "has news");
            }
            _ => {}
        }
        told = failed.cloned();
        shared.tell(news);
        drop(shared);
        // Who asks for a look meanwhile is kept in mind, and served right after.
        let ended = Instant::now();
        sleep_until(ended + wait.least).await;
        tokio::select! {
            () = sleep_until(ended + wait.most) => {}
            () = wake.notified() => {}
        }
    }
}

type Synced = (Vec<Result<CommitInfo, Error>>, usize);

/// One sync. A damaged cache is fetched anew beside the old one, once.
async fn sync(shared: &Shared, cache: &Cache, task: &Task, anew: bool) -> Result<Synced, Error> {
    let broken = |error: std::io::Error| Error::Child {
        url: task.address.to_string(),
        detail: format!("its cache folder: {error}"),
    };
    let prepared = {
        let (cache, credential) = (cache.clone(), task.credential.clone());
        tokio::task::spawn_blocking(
            move || if cache.is_prepared() && !anew { Ok(()) } else { cache.prepare(&credential) },
        )
    };
    prepared.await.map_err(std::io::Error::other).and_then(|done| done).map_err(broken)?;
    if !anew {
        match once(shared, cache, task, cache.repository()).await {
            Err(Error::DamagedCache { detail }) => {
                tracing::warn!(repository = %task.address, detail, "the cache is damaged and fetched anew");
                cache.discard_next().map_err(broken)?;
            }
            result => return result,
        }
    }
    let synced = once(shared, cache, task, cache.next()).await?;
    cache.swap().map_err(broken)?;
    Ok(synced)
}

async fn once(shared: &Shared, cache: &Cache, task: &Task, repository: std::path::PathBuf) -> Result<Synced, Error> {
    let trusts_own = task.credential.authority().is_some() || matches!(task.credential.auth(), Auth::Key { .. });
    let trust = if trusts_own { Trust::Cache } else { Trust::System };
    let request = Request {
        repository,
        url: task.address.to_string(),
        limits: shared.config.limits.clone(),
        operation: Operation::Sync {
            host: task.address.host().to_owned(),
            port: task.address.port(),
            user: task.address.user().to_owned(),
            auth: task.credential.auth().clone(),
            references: task.references.clone(),
        },
    };
    match process::run(shared, cache, trust, request, None).await?.response {
        Response::Synced { answers, packs } if answers.len() == task.references.len() => Ok((answers, packs)),
        _ => Err(Error::Child { url: task.address.to_string(), detail: "it answered something else".to_owned() }),
    }
}
