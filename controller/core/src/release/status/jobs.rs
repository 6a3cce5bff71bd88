//! What a person reads of the jobs of a release.

use std::collections::BTreeMap;

use drover_crds::condition::Outcome;
use drover_crds::{AppSpec, JobMoment, JobOutcome, JobStatus, ReleaseStatus, ReleaseStep, RolloutStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::super::record::Release;

/// The reasons of `Ready` while a job of that moment is on its way.
pub(super) const BEFORE_DEPLOY: &str = "BeforeDeploy";
pub(super) const AFTER_DEPLOY: &str = "AfterDeploy";
/// What makes assets stands among the jobs, and changes no schema.
const OF_ASSETS: &str = "assets-";

/// Notes where the jobs of `release` stand, if it is the one that the status speaks of; `started` says since when Jobs run that have not
/// ended.
pub fn note_jobs<S: AppSpec>(
    status: &mut RolloutStatus,
    release: &Release<S>,
    started: &BTreeMap<String, Option<Time>>,
) {
    let Some(told) = status.release.as_mut().filter(|told| told.number == release.number) else { return };
    let before = std::mem::take(&mut told.jobs);
    told.jobs = release
        .data
        .jobs
        .iter()
        .map(|planned| {
            let end = release.ends.get(&planned.job);
            let seen = || match started.get(&planned.job) {
                Some(at) => at.clone(),
                None => before.iter().find(|told| told.job == planned.job).and_then(|told| told.started_at.clone()),
            };
            JobStatus {
                name: planned.name.clone(),
                at: planned.at,
                job: planned.job.clone(),
                outcome: end.map(|end| end.outcome),
                started_at: end.map_or_else(seen, |end| end.started_at.clone()),
                finished_at: end.and_then(|end| end.finished_at.clone()),
            }
        })
        .collect();
    let last_run = release.data.last_run.as_ref().filter(|_| release.goes_back());
    told.last_before_deploy = last_run.map(|last| last.release);
}

/// Whether the program of that Job was seen to run.
pub fn has_begun(status: &RolloutStatus, job: &str) -> bool {
    let jobs = status.release.iter().flat_map(|release| &release.jobs);
    jobs.into_iter().any(|told| told.job == job && told.started_at.is_some())
}

/// The same, where a newer release waits for a job of this one that runs.
pub fn newer_waits(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::InProgress { reason, message } if reason == BEFORE_DEPLOY => {
            Outcome::InProgress { reason, message: format!("{message}; a newer release waits for its end") }
        }
        outcome => outcome,
    }
}

/// The first job of that moment that has not succeeded.
pub(super) fn unfinished(release: &ReleaseStatus, at: JobMoment) -> String {
    let mut jobs = release.jobs.iter().filter(|job| job.at == at && job.outcome != Some(JobOutcome::Succeeded));
    jobs.next().map_or_else(|| "a job".to_owned(), |job| format!("its job {} (Job {})", job.name, job.job))
}

/// Where a release runs no jobs because it goes back: whose ran last.
pub(super) fn of_which_schema(release: &ReleaseStatus) -> String {
    let last = release.last_before_deploy;
    last.map_or_else(String::new, |last| {
        format!(
            "; it goes back to an earlier image, so none of its jobs ran: the last BeforeDeploy jobs were those of release {last}"
        )
    })
}

/// The step in which a release failed.
pub(super) fn failed_in(release: &ReleaseStatus) -> ReleaseStep {
    let failed = |job: &JobStatus| job.at == JobMoment::AfterDeploy && job.outcome == Some(JobOutcome::Failed);
    match release.step {
        ReleaseStep::Restore if release.jobs.iter().any(failed) => ReleaseStep::AfterDeploy,
        ReleaseStep::Restore => ReleaseStep::Rollout,
        step => step,
    }
}

/// Where another release serves than the one that failed: whose schema a database may have by now.
pub(super) fn jobs_of_another(release: &ReleaseStatus, serving: Option<i64>) -> String {
    let began = release.started_at.as_ref().map(|at| at.0);
    let is_a_job = |job: &JobStatus| job.at == JobMoment::BeforeDeploy && !job.name.starts_with(OF_ASSETS);
    let ran = |job: &JobStatus| is_a_job(job) && job.started_at.as_ref().map(|at| at.0) >= began;
    match (serving, release.last_before_deploy) {
        (Some(_), _) if release.jobs.iter().any(ran) => {
            format!("; the last BeforeDeploy jobs were those of release {}", release.number)
        }
        (Some(_), Some(last)) => format!("; the last BeforeDeploy jobs were those of release {last}"),
        _ => String::new(),
    }
}
