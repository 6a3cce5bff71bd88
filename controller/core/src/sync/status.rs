//! What a person reads of a DataSync. The time comes in.

use std::time::Duration;

use drover_crds::condition::{self, Outcome, READY};
use drover_crds::{DataSyncStatus, JobFailure, LastSync, PublishedSet, RunningJob};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use super::ValidatedSync;
use super::followed::Followed;
use super::rejection::Rejection;
use super::runs::{End, Run};
use crate::errand::SyncResult;
use crate::news::News;

/// The condition that says whether the last sync succeeded.
pub const SYNCED: &str = "Synced";

/// The reason of `Ready` while the files are there and the last sync failed.
pub const LAST_SYNC_FAILED: &str = "LastSyncFailed";

/// The reason of a failure where the set that was fetched is one that an app does not run with.
const REJECTED: &str = "SetRejected";

/// How often the pod of a sync that runs is looked at: what keeps it from starting is no event of its Job's.
const LOOK: Duration = Duration::from_secs(15);

/// How many Jobs are remembered whose results were noted, and for how many seconds a result may come later than one that ended after it.
const NOTED: usize = 100;
const LATE: i64 = 120;

/// Notes what the Jobs say that ended since, in the order in which they did, and which one runs. `request` is what is asked for now: of
/// Jobs that ended in the same second, which is as exactly as Kubernetes tells it, its is the last. A set that was rejected is not
/// published, and makes room for the one before.
pub fn note(status: &mut DataSyncStatus, runs: &[Run], request: Option<&str>, rejection: Option<&Rejection>) {
    let mut ended: Vec<(&Run, &End)> = runs.iter().filter_map(|run| Some((run, run.end.as_ref()?))).collect();
    let order = |run: &Run, end: &End| {
        (end.at.0, run.since.as_ref().map(|since| since.0), run.asked.is_some() && run.asked.as_deref() == request)
    };
    ended.sort_by(|(one, a), (other, b)| (order(one, a), &one.job).cmp(&(order(other, b), &other.job)));
    let good = status.last_sync.as_ref().and_then(|last| last.at.as_ref());
    let newest =
        good.into_iter().chain(status.failure.as_ref().and_then(|f| f.at.as_ref())).map(|at| at.0.as_second()).max();
    for (run, end) in &ended {
        let is_old = newest.is_some_and(|newest| end.at.0.as_second() < newest - LATE);
        if is_old || status.noted.contains(&run.job) {
            continue;
        }
        let rejected = rejection.filter(|rejection| {
            end.result.as_ref().is_ok_and(|result| result.set.as_ref() == Some(&rejection.set))
                && status.published.as_ref().is_some_and(|published| published.set != rejection.set)
        });
        match (&end.result, rejected) {
            (Ok(_), Some(rejection)) => failed(status, run, end, REJECTED, &rejection.sentence()),
            (Ok(result), None) => succeeded(status, run, end, result),
            (Err((reason, message)), _) => failed(status, run, end, reason, message),
        }
        if run.asked.is_some() {
            status.asked.clone_from(&run.asked);
            let newest = |at: &Time| status.asked_at.as_ref().is_none_or(|before| before.0 < at.0);
            if let Some(at) = run.asked_at.clone().filter(newest) {
                status.asked_at = Some(at);
            }
        }
    }
    status.noted = ended.iter().rev().take(NOTED).rev().map(|(run, _)| run.job.clone()).collect();
    let running = runs.iter().filter(|run| run.end.is_none()).max_by_key(|run| run.since.as_ref().map(|at| at.0));
    status.running = running.map(|run| RunningJob { job: run.job.clone(), since: run.since.clone() });
    if let Some(rejection) = rejection {
        put_back(status, rejection);
    }
}

/// Puts the set back that was published before the one that was rejected.
fn put_back(status: &mut DataSyncStatus, rejection: &Rejection) {
    let is_published = status.published.as_ref().is_some_and(|published| published.set == rejection.set);
    let Some(before) = status.before.take_if(|before| is_published && before.set != rejection.set) else { return };
    status.published = Some(before);
    let job = status.last_sync.as_ref().map(|last| last.job.clone()).unwrap_or_default();
    let at = status.last_sync.as_ref().and_then(|last| last.at.clone());
    let message = rejection.sentence();
    status.failure = Some(JobFailure { reason: REJECTED.into(), message, times: 1, since: at.clone(), at, job });
}

fn succeeded(status: &mut DataSyncStatus, run: &Run, end: &End, result: &SyncResult) {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    let set = result.set.clone().unwrap_or_default();
    if status.published.as_ref().is_none_or(|published| published.set != set) {
        let (files, bytes) = (count(result.files), count(result.bytes));
        let (digest, at) = (result.digest.clone(), Some(end.at.clone()));
        status.before = status.published.replace(PublishedSet { set, digest, files, bytes, at });
    }
    status.last_sync = Some(LastSync {
        at: Some(end.at.clone()),
        files: count(result.fetched_files),
        bytes: count(result.fetched_bytes),
        took: Some(drover_crds::Duration::from_secs(result.took_seconds)),
        commit: result.commit.clone(),
        job: run.job.clone(),
    });
    status.failure = None;
}

fn failed(status: &mut DataSyncStatus, run: &Run, end: &End, reason: &str, message: &str) {
    let before = status.failure.take();
    status.failure = Some(JobFailure {
        reason: reason.to_owned(),
        message: message.to_owned(),
        times: before.as_ref().map_or(0, |before| before.times) + 1,
        since: before.and_then(|before| before.since).or_else(|| Some(end.at.clone())),
        at: Some(end.at.clone()),
        job: run.job.clone(),
    });
}

/// What the conditions say, and after which time to look again although no event comes. `trouble` is what keeps the pod of the sync that
/// runs from working, and `followed` what is known of the repository.
pub fn conclude(
    sync: &ValidatedSync,
    status: &mut DataSyncStatus,
    trouble: Option<&str>,
    followed: &Followed,
    generation: Option<i64>,
    now: &Time,
) -> (Outcome, Option<Duration>) {
    let look = status.running.is_some().then_some(LOOK);
    // What a sync came to is old where the source cannot be asked whether there is anything new.
    let failing = match followed {
        Followed::Failing { reason, message, .. } => Some((reason.as_str(), message.as_str())),
        Followed::Nothing | Followed::Pending | Followed::At(_) => None,
    };
    let synced = match (failing, &status.failure, &status.last_sync) {
        (Some((reason, message)), _, _) => ("False", reason, message),
        (None, Some(failure), _) => ("False", failure.reason.as_str(), failure.message.as_str()),
        (None, None, Some(_)) => ("True", "Synced", "The last sync succeeded"),
        (None, None, None) => ("Unknown", "Syncing", "No sync has ended yet"),
    };
    let (synced, reason, message) = (synced.0, synced.1.to_owned(), synced.2.to_owned());
    condition::set(&mut status.conditions, SYNCED, synced, &reason, &message, generation, now);
    if sync.is_suspended {
        let message = "Suspended: nothing is synced until `suspend` is removed".to_owned();
        return (Outcome::Ready { reason: "Suspended".into(), message }, look);
    }
    let Some(published) = &status.published else {
        let outcome = match (failing, &status.failure, &status.running, trouble) {
            (Some((reason, message)), _, _, _) => {
                let message = format!("Nothing is published yet, because the repository cannot be followed: {message}");
                Outcome::Failed { reason: reason.to_owned(), message }
            }
            (None, Some(failure), _, _) => {
                let message = format!("Nothing is published yet, because the sync failed: {}", failure.message);
                Outcome::Failed { reason: failure.reason.clone(), message }
            }
            (None, None, Some(running), Some(trouble)) => {
                let message = format!("The first sync does not get on (Job {}): {trouble}", running.job);
                Outcome::InProgress { reason: "Syncing".into(), message }
            }
            (None, None, _, _) => {
                let message = "The first sync is on its way".to_owned();
                Outcome::InProgress { reason: "Syncing".into(), message }
            }
        };
        return (outcome, look);
    };
    let synced_at = status.last_sync.as_ref().and_then(|last| last.at.as_ref());
    let left =
        sync.max_stale.zip(synced_at).map(|(most, at)| at.0.as_second().saturating_add(most) - now.0.as_second());
    let files = match published.files {
        1 => "1 file".to_owned(),
        files => format!("{files} files"),
    };
    let commit = status.last_sync.as_ref().and_then(|last| last.commit.as_deref());
    let of = commit.map(|commit| format!(", commit {}", commit.get(..12).unwrap_or(commit))).unwrap_or_default();
    let what = format!("{files} ({} bytes) of set {}{of}", published.bytes, published.set);
    let unfollowed = failing.map(|(_, message)| format!("the repository cannot be followed: {message}"));
    let why = unfollowed.or_else(|| {
        status.failure.as_ref().map(|failure| {
            let times = match failure.times {
                1 => "the last sync".to_owned(),
                times => format!("each of the last {times} syncs"),
            };
            format!("{times} failed: {}", failure.message)
        })
    });
    let since = synced_at.map(|at| at.0.to_string()).unwrap_or_default();
    let outcome = match (left, why) {
        (Some(..=0), why) => {
            let why = why.unwrap_or_else(|| "no sync has ended since".to_owned());
            let message = format!("Stale: {what} are from {since}, which is longer ago than spec.maxStale; {why}");
            Outcome::Failed { reason: "Stale".into(), message }
        }
        (_, Some(why)) => {
            let message = format!("Published: {what}, from {since}; {why}");
            Outcome::Ready { reason: LAST_SYNC_FAILED.into(), message }
        }
        (_, None) => Outcome::Ready { reason: "Published".into(), message: format!("Published: {what}") },
    };
    let stale = left.filter(|left| *left > 0).map(|left| Duration::from_secs(left.unsigned_abs()));
    (outcome, look.into_iter().chain(stale).min())
}

/// What a person is told of between two statuses: a failure that was not there before, data that is new.
pub fn news(before: &DataSyncStatus, after: &DataSyncStatus) -> Vec<News> {
    let mut news = Vec::new();
    let set = |status: &DataSyncStatus| status.published.as_ref().map(|published| published.set.clone());
    if let Some(published) = after.published.as_ref().filter(|_| set(before) != set(after)) {
        let note = format!("Published {} files ({} bytes) as set {}", published.files, published.bytes, published.set);
        news.push(News::normal("Published", note));
    }
    let reason = |status: &DataSyncStatus| unsynced(status).map(|synced| synced.reason.clone());
    if let Some(synced) = unsynced(after).filter(|_| reason(before) != reason(after)) {
        news.push(News::warning(&synced.reason, &synced.message));
    }
    let ready = |status: &DataSyncStatus| {
        condition::get(&status.conditions, READY).map(|c| (c.status.clone(), c.reason.clone()))
    };
    if let Some((status, reason)) = ready(after)
        && status == "False"
        && news.is_empty()
        && ready(before) != Some((status, reason.clone()))
        && after.failure.is_none()
    {
        let message = condition::get(&after.conditions, READY).map(|c| c.message.clone()).unwrap_or_default();
        news.push(News::warning(&reason, message));
    }
    news
}

/// The condition that says so where the last sync did not succeed, or the source cannot be asked.
fn unsynced(status: &DataSyncStatus) -> Option<&Condition> {
    condition::get(&status.conditions, SYNCED).filter(|synced| synced.status == "False")
}
