//! What a person reads of a Database's backups. The time comes in.

use std::time::Duration;

use drover_crds::condition::{self, BACKUP_VERIFIED};
use drover_crds::{DatabaseStatus, JobFailure, KeptBackup, RunningJob, VerifiedBackup};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::answer::{Ended, Kept};
use super::runs::{End, Run};
use super::validate::ValidatedBackup;
use crate::news::News;

/// How often the pod of a backup that runs is looked at: what keeps it from starting is no event of its Job's.
const LOOK: Duration = Duration::from_secs(15);
/// How many Jobs are remembered whose results were noted.
pub(crate) const NOTED: usize = 100;

/// Notes what the Jobs say that ended since, in the order in which they did, and which one runs. Returns how those ended.
pub fn note(status: &mut DatabaseStatus, backup: &ValidatedBackup, runs: &[Run]) -> Vec<Ended> {
    let mut all = Vec::new();
    let state = status.backup.get_or_insert_default();
    if state.place.as_ref() != Some(&backup.place) {
        // What is said of another place says nothing of this one.
        (state.place, state.repository, state.failure) = (Some(backup.place.clone()), None, None);
        status.backups.clear();
    }
    let mut ended: Vec<(&Run, &End)> = runs.iter().filter_map(|run| Some((run, run.end.as_ref()?))).collect();
    ended.sort_by(|(one, a), (other, b)| (a.at.0, &one.job).cmp(&(b.at.0, &other.job)));
    for (run, end) in &ended {
        if state.noted.contains(&run.job) {
            continue;
        }
        all.push(end.result.as_ref().map_or(Ended::Failed, |result| result.ended));
        match &end.result {
            Ok(result) => {
                if let Some(kept) = &result.backups {
                    status.backups = kept.iter().map(shown).collect();
                }
                if let Some(repository) = &result.repository {
                    state.repository = Some(repository.clone());
                }
                if result.ended == Ended::Proven {
                    state.failure = None;
                } else {
                    state.failure = Some(failed(state.failure.take(), run, end, &result.reason, &result.message));
                }
            }
            Err((reason, message)) => state.failure = Some(failed(state.failure.take(), run, end, reason, message)),
        }
        if run.asked.is_some() {
            state.asked.clone_from(&run.asked);
        }
    }
    state.noted = ended.iter().rev().take(NOTED).rev().map(|(run, _)| run.job.clone()).collect();
    let running = runs.iter().filter(|run| run.end.is_none()).max_by_key(|run| run.since.as_ref().map(|at| at.0));
    state.running = running.map(|run| RunningJob { job: run.job.clone(), since: run.since.clone() });
    all
}

fn shown(kept: &Kept) -> KeptBackup {
    let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    KeptBackup {
        name: kept.name.to_string(),
        at: kept.name.at().map(Time),
        bytes: count(kept.bytes),
        verified: kept.verified_at.map(|at| VerifiedBackup {
            at: Timestamp::from_second(at.as_second()).ok().map(Time),
            took: kept.took_seconds.map(drover_crds::Duration::from_secs),
            rows: count(kept.rows.unwrap_or_default()),
        }),
    }
}

fn failed(before: Option<JobFailure>, run: &Run, end: &End, reason: &str, message: &str) -> JobFailure {
    JobFailure {
        reason: reason.to_owned(),
        message: message.to_owned(),
        times: before.as_ref().map_or(0, |before| before.times) + 1,
        since: before.and_then(|before| before.since).or_else(|| Some(end.at.clone())),
        at: Some(end.at.clone()),
        job: run.job.clone(),
    }
}

/// What the condition `BackupVerified` says, and after which time to look again although no event comes. `trouble` is what keeps the pod of
/// the backup that runs from working.
pub fn conclude(
    status: &mut DatabaseStatus,
    trouble: Option<&str>,
    generation: Option<i64>,
    now: &Time,
) -> Option<Duration> {
    let newest = status.backups.iter().find_map(|kept| Some((&kept.name, kept.verified.as_ref()?)));
    let state = status.backup.as_ref();
    let failure = state.and_then(|state| state.failure.as_ref());
    let running = state.and_then(|state| state.running.as_ref());
    let last = newest.map_or_else(
        || "no backup is verified yet".to_owned(),
        |(name, verified)| format!("the newest that is verified is {name}, with {} rows", verified.rows),
    );
    let (verdict, reason, message) = match (failure, newest, running) {
        (Some(failure), _, _) => {
            let times = match failure.times {
                1 => "The last backup".to_owned(),
                times => format!("Each of the last {times} backups"),
            };
            let message = format!("{times} did not succeed: {}; {last}", failure.message);
            ("False", failure.reason.clone(), message)
        }
        (None, Some((name, verified)), _) => {
            let took = verified.took.map(|took| format!(" in {took}")).unwrap_or_default();
            let message = format!(
                "Backup {name} was restored{took} and holds all that was backed up, {} rows among it",
                verified.rows
            );
            ("True", "Verified".to_owned(), message)
        }
        (None, None, Some(running)) => {
            let message = match trouble {
                Some(trouble) => format!("The first backup does not get on (Job {}): {trouble}", running.job),
                None => "The first backup is being made".to_owned(),
            };
            ("Unknown", "BackingUp".to_owned(), message)
        }
        (None, None, None) => {
            ("Unknown", "BackingUp".to_owned(), "The first backup is made when the server answers".to_owned())
        }
    };
    let look = running.is_some().then_some(LOOK);
    condition::set(&mut status.conditions, BACKUP_VERIFIED, verdict, &reason, &message, generation, now);
    look
}

/// Forgets what was said of backups, where the spec asks for none any more. What there is of them stays.
pub fn none(status: &mut DatabaseStatus) {
    status.backups.clear();
    status.backup = None;
    status.conditions.retain(|condition| condition.type_ != BACKUP_VERIFIED);
}

/// What a person is told of between two statuses: a backup that is proven, a failure that was not there before.
pub fn news(before: &DatabaseStatus, after: &DatabaseStatus) -> Vec<News> {
    let mut news = Vec::new();
    let newest = |status: &DatabaseStatus| {
        status.backups.iter().find(|kept| kept.verified.is_some()).map(|kept| kept.name.clone())
    };
    let message = || condition::get(&after.conditions, BACKUP_VERIFIED).map(|found| found.message.clone());
    let failure = |status: &DatabaseStatus| status.backup.as_ref().and_then(|state| state.failure.as_ref()).cloned();
    if failure(after).is_none() && newest(after).is_some() && newest(before) != newest(after) {
        news.push(News::normal("BackupVerified", message().unwrap_or_default()));
    }
    let reason = |status: &DatabaseStatus| failure(status).map(|failure| failure.reason);
    if let Some(failure) = failure(after).filter(|_| reason(before) != reason(after)) {
        news.push(News::warning(&failure.reason, message().unwrap_or(failure.message)));
    }
    news
}
