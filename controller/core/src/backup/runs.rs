//! What a Job that makes a backup says of itself.

use drover_crds::ANNOTATION_ASKED;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::answer::BackupResult;
use super::build::{CONCLUDES, DUMPS, PROVES, STORES};
use crate::errand::cut;
use crate::health::{Patience, diagnose};

/// The longest sentence of a script that is told, in bytes.
const LONGEST: usize = 700;

/// A backup, as its Job shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The Job.
    pub job: String,
    /// When the Job was made.
    pub since: Option<Time>,
    /// Which request it is for; `None` for one of the schedule.
    pub asked: Option<String>,
    /// How it ended; `None` while it runs.
    pub end: Option<End>,
    /// What keeps its pod from working, while it runs.
    pub trouble: Option<String>,
}

/// How a backup ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: Time,
    /// What it came to; what said nothing as a reason and a sentence.
    pub result: Result<BackupResult, (String, String)>,
}

/// What `job` and those of `pods` that are its say of a backup. `now` is in seconds since 1970.
pub fn run(job: &Job, pods: &[Pod], now: i64) -> Run {
    let name = job.metadata.name.clone().unwrap_or_default();
    let is_its = |pod: &&Pod| {
        let labels = pod.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get("batch.kubernetes.io/job-name")) == Some(&name)
    };
    let own: Vec<Pod> = pods.iter().filter(is_its).cloned().collect();
    let ended = crate::sync::ended(job);
    let trouble =
        if ended.is_some() { None } else { diagnose(&own, now, Patience::default()).map(|found| found.message) };
    Run {
        since: job.metadata.creation_timestamp.clone(),
        asked: job.metadata.annotations.as_ref().and_then(|all| all.get(ANNOTATION_ASKED)).cloned(),
        end: ended.map(|(at, why)| End { at, result: result(&name, &own, why, now) }),
        trouble,
        job: name,
    }
}

/// What its last container said, or what ended it before.
fn result(job: &str, pods: &[Pod], why: Option<(String, String)>, now: i64) -> Result<BackupResult, (String, String)> {
    // The last one: a pod whose node went away may have been replaced.
    let last = pods.iter().max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|at| at.0));
    let ended = |container: &str| last.and_then(|pod| terminated(pod, container));
    let said = |container: &str| ended(container).and_then(|ended| ended.message.as_deref()).unwrap_or_default();
    if let Ok(result) = BackupResult::read(said(CONCLUDES)) {
        return Ok(result);
    }
    let failed = |container: &str| ended(container).filter(|ended| ended.exit_code != 0);
    if failed(STORES).is_some()
        && let Ok(result) = BackupResult::read(said(STORES))
    {
        return Ok(result);
    }
    if let Some((reason, _)) = &why
        && reason == "DeadlineExceeded"
    {
        let sentence = format!("Job {job} was ended because it took longer than spec.backup.timeout: raise it");
        return Err(("TimedOut".to_owned(), sentence));
    }
    if failed(DUMPS).is_some() && !said(DUMPS).trim().is_empty() {
        return Err(("DumpFailed".to_owned(), cut(said(DUMPS).trim(), LONGEST)));
    }
    if let Some(proof) = failed(PROVES) {
        let how = proof.reason.clone().unwrap_or_else(|| format!("exit code {}", proof.exit_code));
        let sentence = format!(
            "the server for the proof was ended ({how}), so the backup is stored and not proven: give the Database more memory in resources, if that is what it lacked"
        );
        return Err(("NotProven".to_owned(), sentence));
    }
    let found = last.and_then(|pod| diagnose(std::slice::from_ref(pod), now, Patience::over()));
    if let Some(found) = found.filter(|found| found.reason != "Error") {
        return Err((found.reason, found.message));
    }
    let more = why.map(|(_, message)| format!(" ({message})")).unwrap_or_default();
    let sentence = format!(
        "the backup ended without a result in Job {job}{more}: `kubectl logs job/{job} --all-containers` shows what it wrote, and `drover backup` tries again"
    );
    Err(("NoResult".to_owned(), sentence))
}

fn terminated<'a>(pod: &'a Pod, name: &str) -> Option<&'a ContainerStateTerminated> {
    let status = pod.status.as_ref()?;
    let mut all = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
    let container: &ContainerStatus = all.find(|container| container.name == name)?;
    container.state.as_ref()?.terminated.as_ref()
}
