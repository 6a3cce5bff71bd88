//! Reads files of one repository's cache: what is asked for while a child runs goes together into the next one.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use drover_core::branch::CommitId;
use drover_fetch::protocol::{Operation, Request};
use drover_fetch::{Error, Tree};
use tokio::sync::SemaphorePermit;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::Instant;

use super::cache::CacheId;
use super::process::{self, Trust};
use super::shared::{Job, Shared};

/// Readings in one child: enough to spread the cost of a process, few enough to bound the memory of an answer.
const BATCH: usize = 8;

/// For one commit a cache is not fetched anew more often.
const REBUILD_EVERY: Duration = Duration::from_mins(10);

/// For which commits the cache was to be fetched anew because it was damaged, when, and how often that had been done before.
#[derive(Default)]
struct Rebuilds(HashMap<CommitId, (Instant, u64)>);

impl Rebuilds {
    /// Whether it is worth it: not when it was done for that commit, which is damaged all the same. `done` is how often it was.
    fn ask(&mut self, commit: &CommitId, done: u64) -> bool {
        let now = Instant::now();
        self.0.retain(|_, (at, _)| now.duration_since(*at) < REBUILD_EVERY);
        self.0.entry(commit.clone()).or_insert((now, done)).1 == done
    }
}

/// Runs until the pool or the repository's last subscriber is gone.
pub(super) async fn run(shared: Weak<Shared>, id: CacheId, mut jobs: tokio::sync::mpsc::UnboundedReceiver<Job>) {
    let mut rebuilds = Rebuilds::default();
    while let Some(first) = jobs.recv().await {
        let Some(shared) = shared.upgrade() else { return };
        let place = shared.pools.reader().await;
        let mut batch = vec![first];
        fill(&mut batch, &mut jobs);
        batch.retain(|job| !job.reply.is_closed());
        match read(&shared, &id, &batch, place).await {
            Ok(trees) => {
                for (job, tree) in batch.into_iter().zip(trees) {
                    answer(&shared, &id, &mut rebuilds, job, tree);
                }
            }
            // One reading may have brought the child down: each gets a child of its own.
            Err(_) if batch.len() > 1 => {
                for job in batch {
                    let place = shared.pools.reader().await;
                    let tree = read(&shared, &id, std::slice::from_ref(&job), place).await;
                    answer(&shared, &id, &mut rebuilds, job, tree.and_then(one));
                }
            }
            Err(error) => {
                for job in batch {
                    answer(&shared, &id, &mut rebuilds, job, Err(error.clone()));
                }
            }
        }
    }
}

fn fill(batch: &mut Vec<Job>, jobs: &mut UnboundedReceiver<Job>) {
    while batch.len() < BATCH {
        let Ok(job) = jobs.try_recv() else { return };
        batch.push(job);
    }
}

fn one(mut trees: Vec<Result<Tree, Error>>) -> Result<Tree, Error> {
    trees.pop().unwrap_or_else(|| Err(Error::Child { url: String::new(), detail: "its answer is empty".to_owned() }))
}

/// Answers one reading; what the cache lacks is fetched again.
fn answer(shared: &Shared, id: &CacheId, rebuilds: &mut Rebuilds, job: Job, mut tree: Result<Tree, Error>) {
    let damaged = matches!(tree, Err(Error::DamagedCache { .. }));
    if damaged || matches!(tree, Err(Error::MissingCommit { .. })) {
        let mut registry = shared.registry();
        let comes_back = registry.lacks(id, &job.request.commit);
        let url = registry.url(id).unwrap_or_default();
        if let Some(running) = registry.running_of(id).filter(|_| comes_back || damaged) {
            match tree {
                Err(Error::DamagedCache { detail }) if !rebuilds.ask(&job.request.commit, running.rebuild.done()) => {
                    tree = Err(Error::Unsound { url, detail });
                }
                _ => {
                    if damaged {
                        running.rebuild.ask();
                    }
                    running.wake.notify_one();
                }
            }
        }
    }
    let _ = job.reply.send(tree);
}

async fn read(
    shared: &Shared,
    id: &CacheId,
    batch: &[Job],
    place: SemaphorePermit<'_>,
) -> Result<Vec<Result<Tree, Error>>, Error> {
    if batch.is_empty() {
        return Ok(Vec::new());
    }
    let cache = shared.cache(id);
    let url = shared.registry().url(id).unwrap_or_default();
    if !cache.is_prepared() {
        let lacking = |job: &Job| Err(Error::MissingCommit { commit: job.request.commit.to_string() });
        return Ok(batch.iter().map(lacking).collect());
    }
    let reads = batch.iter().map(|job| job.request.clone()).collect();
    let limits = shared.config.limits.clone();
    let request =
        Request { repository: cache.repository(), url: url.clone(), limits, operation: Operation::Read { reads } };
    // Trust::Cache, because the certificates of the machine are not needed to read files, and reading them takes time.
    let trees = process::run(shared, &cache, Trust::Cache, request, Some(place)).await?.trees(&url)?;
    let answers =
        |(job, tree): (&Job, &Result<Tree, Error>)| tree.as_ref().map_or(true, |tree| tree.answers(&job.request));
    if trees.len() == batch.len() && batch.iter().zip(&trees).all(answers) {
        Ok(trees)
    } else {
        Err(Error::Child { url, detail: "it answered something else".to_owned() })
    }
}
