//! What a person reads of restores. The time comes in.

use std::time::Duration;

use drover_crds::condition::{self, Outcome, RESTORED};
use drover_crds::{DatabaseStatus, LastRestore, RestoreFailure, RestoreStatus, RunningJob};

use super::answer::Loaded;
use super::runs::RestoreRun;
use crate::backup::NOTED;
use crate::news::News;

/// How often the pod of a restore that runs is looked at: what keeps it from starting is no event of its Job's.
const LOOK: Duration = Duration::from_secs(10);

/// Notes what the Jobs say that ended since, in the order in which they did, and which one runs. `init` is the id of what the spec begins
/// with.
pub fn note(status: &mut DatabaseStatus, init: &str, runs: &[RestoreRun]) {
    let mut state = status.restore.take().unwrap_or_default();
    let mut ended: Vec<_> = runs.iter().filter_map(|run| Some((run, run.end.as_ref()?))).collect();
    ended.sort_by(|(one, a), (other, b)| (a.at.0, &one.job).cmp(&(b.at.0, &other.job)));
    for (run, end) in &ended {
        if state.noted.contains(&run.job) {
            continue;
        }
        let is_init = run.asked.as_deref() == Some(init);
        let failed = |reason: &str, message: &str, before: Option<RestoreFailure>| RestoreFailure {
            reason: reason.to_owned(),
            message: message.to_owned(),
            times: before.filter(|_| is_init).map_or(0, |before| before.times) + 1,
            at: Some(end.at.clone()),
            job: run.job.clone(),
        };
        match &end.result {
            Ok(result) if result.ended != Loaded::Failed => {
                state.failure = None;
                state.initialized |= is_init;
                if result.ended == Loaded::Restored {
                    state.last = Some(LastRestore {
                        from: result.from.clone(),
                        at: Some(end.at.clone()),
                        took: Some(drover_crds::Duration::from_secs(result.took_seconds)),
                        rows: i64::try_from(result.rows).unwrap_or(i64::MAX),
                    });
                    if !is_init {
                        state.restored.clone_from(&run.asked);
                    }
                }
            }
            Ok(result) => state.failure = Some(failed(&result.reason, &result.message, state.failure.take())),
            Err((reason, message)) => state.failure = Some(failed(reason, message, state.failure.take())),
        }
        if !is_init {
            state.asked.clone_from(&run.asked);
        }
    }
    state.noted = ended.iter().rev().take(NOTED).rev().map(|(run, _)| run.job.clone()).collect();
    let running = runs.iter().filter(|run| run.end.is_none()).max_by_key(|run| run.since.as_ref().map(|at| at.0));
    state.running = running.map(|run| RunningJob { job: run.job.clone(), since: run.since.clone() });
    status.restore = (state != RestoreStatus::default()).then_some(state);
}

/// What the condition `Restored` says, and after which time to look again although no event comes. `trouble` is what keeps the pod of the
/// restore that runs from working, and `refused` what is wrong with what is asked for.
pub fn conclude(
    status: &mut DatabaseStatus,
    trouble: Option<&str>,
    refused: Option<(&str, String)>,
    generation: Option<i64>,
    now: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Time,
) -> Option<Duration> {
    let state = status.restore.clone().unwrap_or_default();
    let (verdict, reason, message) = match (refused, &state.running, &state.failure, &state.last) {
        (Some((reason, message)), None, _, _) => ("False", reason.to_owned(), message),
        (_, Some(running), _, _) => {
            let message = match trouble {
                Some(trouble) => format!("A restore does not get on (Job {}): {trouble}", running.job),
                None => format!("A restore is being loaded beside what is there (Job {})", running.job),
            };
            ("Unknown", "Restoring".to_owned(), message)
        }
        (None, None, Some(failure), _) => {
            let stays =
                if state.initialized || state.asked.is_some() { ", and what was there is as it was" } else { "" };
            let message = format!("Nothing was loaded{stays}: {}", failure.message);
            ("False", failure.reason.clone(), message)
        }
        (None, None, None, Some(last)) => {
            let took = last.took.map(|took| format!(" in {took}")).unwrap_or_default();
            let message = format!("{} was loaded{took} and checked, with {} rows", capital(&last.from), last.rows);
            ("True", "Restored".to_owned(), message)
        }
        (None, None, None, None) => {
            status.conditions.retain(|condition| condition.type_ != RESTORED);
            return None;
        }
    };
    condition::set(&mut status.conditions, RESTORED, verdict, &reason, &message, generation, now);
    state.running.is_some().then_some(LOOK)
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map_or_else(String::new, |first| first.to_uppercase().chain(rest).collect())
}

/// What is said of a server that waits for what its database begins with; `None` where that is done, or nothing was asked for.
pub fn pending(status: &DatabaseStatus, has_init: bool) -> Option<Outcome> {
    if !has_init || status.restore.as_ref().is_some_and(|state| state.initialized) {
        return None;
    }
    let found = condition::get(&status.conditions, RESTORED);
    let said = found.map_or_else(|| "it is on its way".to_owned(), |found| found.message.clone());
    let message = format!("The server waits for what spec.init loads: {said}");
    match found {
        Some(found) if found.status == "False" => Some(Outcome::Failed { reason: found.reason.clone(), message }),
        _ => Some(Outcome::InProgress { reason: "Initializing".to_owned(), message }),
    }
}

/// What a person is told of between two statuses: that something was restored, that it was not.
pub fn news(before: &DatabaseStatus, after: &DatabaseStatus) -> Vec<News> {
    let said = |status: &DatabaseStatus| {
        condition::get(&status.conditions, RESTORED)
            .map(|found| (found.status.clone(), found.reason.clone(), found.message.clone()))
    };
    match said(after).filter(|now| said(before).as_ref() != Some(now)) {
        Some((status, reason, message)) if status == "True" => vec![News::normal(&reason, message)],
        Some((status, reason, message)) if status == "False" => vec![News::warning(&reason, message)],
        _ => Vec::new(),
    }
}
