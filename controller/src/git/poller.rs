//! Follows one repository × credential: one sync at a time, at the interval, when woken, and ever later while it fails. A
//! server that asks to be left alone for a while is, whoever asks for a look.

use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use drover_fetch::protocol::{Operation, Request, Response, Synced};
use drover_fetch::references::Meaning;
use drover_fetch::{Auth, Error};
use futures::FutureExt as _;
use tokio::sync::{Mutex, Notify};
use tokio::time::{Instant, sleep_until};

use super::apart::{Apart, Outcome};
use super::cache::{Cache, CacheId};
use super::failed::Failed;
use super::leisure;
use super::process::{self, Trust};
use super::registry::Task;
use super::schedule;
use super::shared::{Rebuild, Shared};
use crate::clock;
use crate::metrics;

/// Between two looks, whatever is due.
const LEAST: Duration = Duration::from_secs(1);

/// Runs until the pool or the repository's last subscriber is gone.
pub(super) async fn run(shared: Weak<Shared>, id: CacheId, wake: Arc<Notify>, rebuild: Arc<Rebuild>) {
    let (mut failures, mut packs) = (0u32, 0);
    let (mut told, mut hung): (Option<Error>, bool) = (None, false);
    let apart = Mutex::new(Apart::default());
    loop {
        let Some(shared) = shared.upgrade() else { return };
        // Who asked until now is served by this sync; who asks from now on gets another.
        let _ = wake.notified().now_or_never();
        let Some(task) = shared.registry().task(&id) else { return };
        let cache = shared.cache(&id);
        let anew = rebuild.take() || packs > shared.config.limits.packs;
        let (result, long) = shared.pools.sync(hung, || sync(&shared, &cache, &task, &apart, anew)).await;
        let result = result.map(|outcome| {
            packs = outcome.packs;
            outcome.found
        });
        let failed = result.as_ref().err();
        hung = long && failed.is_some();
        if anew && failed.is_some() {
            rebuild.ask();
        } else if anew {
            rebuild.is_done();
        }
        metrics::synced(failed.map_or("ok", Error::label));
        failures = if failed.is_some() { failures.saturating_add(1) } else { 0 };
        let wait = schedule::next(task.interval, failures, failed.and_then(Error::asked_wait), rand::random::<f64>());
        let now = clock::now();
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
        leisure::tell(&shared, &id, news).await;
        drop(shared);
        // Who asks for a look meanwhile is kept in mind, and served right after.
        let ended = Instant::now();
        sleep_until(ended + wait.least).await;
        let due = apart.lock().await.due().filter(|_| failures == 0).map(|due| due.max(ended + LEAST));
        let next = due.map_or(ended + wait.most, |due| due.min(ended + wait.most));
        tokio::select! {
            () = sleep_until(next) => {}
            () = wake.notified() => {}
        }
    }
}

/// One sync. A damaged cache is fetched anew beside the old one, once; what is damaged there too is so at the server.
async fn sync(shared: &Shared, cache: &Cache, task: &Task, apart: &Mutex<Apart>, anew: bool) -> Result<Outcome, Error> {
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
    // A sync that leaves its place to others is dropped before the next one begins.
    let mut apart = apart.lock().await;
    if !anew {
        let fetch = |left_out| once(shared, cache, task, cache.repository(), left_out);
        match apart.sync(&task.references, &task.asked, fetch).await {
            Err(Error::DamagedCache { detail }) => {
                tracing::warn!(repository = %task.address, detail, "the cache is damaged and fetched anew");
                cache.discard_next().map_err(broken)?;
            }
            result => return result,
        }
    }
    let sound = |failed: Failed| match failed.error {
        Error::DamagedCache { detail } => {
            Failed { error: Error::Unsound { url: task.address.to_string(), detail }, ..failed }
        }
        _ => failed,
    };
    let fetch = |left_out| async { once(shared, cache, task, cache.next(), left_out).await.map_err(sound) };
    let outcome = apart.sync(&task.references, &task.asked, fetch).await?;
    cache.swap().map_err(broken)?;
    Ok(outcome)
}

async fn once(
    shared: &Shared,
    cache: &Cache,
    task: &Task,
    repository: PathBuf,
    left_out: Vec<Option<Meaning>>,
) -> Result<Synced, Failed> {
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
            left_out,
        },
    };
    let answer = process::run(shared, cache, trust, request, None).await?;
    match (answer.response, answer.lacking) {
        (Response::Synced { answers, packs }, Some(lacking)) if answers.len() == lacking.len() => {
            Ok(Synced { answers, lacking, packs })
        }
        (_, lacking) => {
            let error = Error::Child { url: task.address.to_string(), detail: "it answered something else".to_owned() };
            Err(Failed { error, lacking })
        }
    }
}
