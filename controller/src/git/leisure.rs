//! Tells followers of new commits: at once those whose folders are others there, which one child finds out for all of them, and one after
//! the other those for whom nothing changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use drover_core::branch::{CommitId, TreeId};
use drover_crds::Owner;
use drover_fetch::Error;
use drover_fetch::protocol::{Operation, Request, Response};
use tokio::time::{Instant, sleep};

use super::cache::CacheId;
use super::folders::{Found, Next, PACE};
use super::head::Head;
use super::process::{self, Trust};
use super::shared::Shared;

/// Tells those who should hear of what a sync of a repository found.
pub(super) async fn tell(shared: &Arc<Shared>, id: &CacheId, news: Vec<Owner>) {
    let (mut at_commit, mut others) = (Vec::new(), Vec::new());
    for name in news {
        let head = shared.registry().head(&name);
        match head {
            Head::At { commit, .. } => at_commit.push((name, commit.id)),
            Head::Pending | Head::Failed { .. } => others.push(name),
        }
    }
    shared.tell(others);
    let asked = shared.folders().asked(&at_commit);
    let mut found = Found::new();
    for (commit, paths) in asked {
        match ask(shared, id, &commit, paths.into_iter().collect()).await {
            Ok(trees) => drop(found.insert(commit, trees)),
            // Each who hears of it reads its folder, and finds the same.
            Err(error) => tracing::debug!(repository = id.short(), %error, "cannot compare folders"),
        }
    }
    let sorted = shared.folders().sort(at_commit, &found, Instant::now());
    shared.tell(sorted.now);
    if sorted.begin {
        shared.runtime.spawn(at_leisure(Arc::downgrade(shared)));
    }
}

/// What is at those paths of a commit.
async fn ask(
    shared: &Shared,
    id: &CacheId,
    commit: &CommitId,
    paths: Vec<String>,
) -> Result<BTreeMap<String, TreeId>, Error> {
    let place = shared.pools.reader().await;
    let cache = shared.cache(id);
    let url = shared.registry().url(id).unwrap_or_default();
    let operation = Operation::Folders { commit: commit.clone(), paths: paths.clone() };
    let request =
        Request { repository: cache.repository(), url: url.clone(), limits: shared.config.limits.clone(), operation };
    match process::run(shared, &cache, Trust::Cache, request, Some(place)).await?.response {
        Response::Folders(trees) if trees.len() == paths.len() => {
            Ok(paths.into_iter().zip(trees).filter_map(|(path, tree)| Some((path, tree?))).collect())
        }
        _ => Err(Error::Child { url, detail: "it answered something else".to_owned() }),
    }
}

/// Tells those for whom nothing changes, until all of them know.
async fn at_leisure(shared: Weak<Shared>) {
    loop {
        let Some(shared) = shared.upgrade() else { return };
        let next = shared.folders().next(Instant::now());
        let pause = match next {
            Next::Tell(name) => {
                shared.tell([name]);
                PACE
            }
            Next::Wait(pause) => pause,
            Next::Nothing => return,
        };
        drop(shared);
        sleep(pause).await;
    }
}
