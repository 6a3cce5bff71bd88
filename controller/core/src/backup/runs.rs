//! What a Job that makes a backup, or restores one, says of itself.

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

/// A backup or a restore, as its Job shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run<R = BackupResult> {
    /// The Job.
    pub job: String,
    /// When the Job was made.
    pub since: Option<Time>,
    /// Which request it is for; `None` for one of the schedule.
    pub asked: Option<String>,
    /// How it ended; `None` while it runs.
    pub end: Option<End<R>>,
    /// What keeps its pod from working, while it runs.
    pub trouble: Option<String>,
}

/// How one ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End<R = BackupResult> {
    /// When.
    pub at: Time,
    /// What it came to; what said nothing as a reason and a sentence.
    pub result: Result<R, (String, String)>,
}

/// What is left of a Job that has ended.
pub(crate) struct Ends<'a> {
    job: &'a str,
    /// Its last pod: one whose node went away may have been replaced.
    last: Option<&'a Pod>,
    why: Option<(String, String)>,
    now: i64,
}

/// What `job` and those of `pods` that are its say of a backup. `now` is in seconds since 1970.
pub fn run(job: &Job, pods: &[Pod], now: i64) -> Run {
    look(job, pods, now, result)
}

/// The same, where `result` reads what the containers said.
pub(crate) fn look<R>(
    job: &Job,
    pods: &[Pod],
    now: i64,
    result: impl FnOnce(&Ends<'_>) -> Result<R, (String, String)>,
) -> Run<R> {
    let name = job.metadata.name.clone().unwrap_or_default();
    let is_its = |pod: &&Pod| {
        let labels = pod.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get("batch.kubernetes.io/job-name")) == Some(&name)
    };
    let own: Vec<Pod> = pods.iter().filter(is_its).cloned().collect();
    let ended = crate::sync::ended(job);
    let trouble =
        if ended.is_some() { None } else { diagnose(&own, now, Patience::default()).map(|found| found.message) };
    let end = ended.map(|(at, why)| {
        let last = own.iter().max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|at| at.0));
        End { at, result: result(&Ends { job: &name, last, why, now }) }
    });
    Run {
        since: job.metadata.creation_timestamp.clone(),
        asked: job.metadata.annotations.as_ref().and_then(|all| all.get(ANNOTATION_ASKED)).cloned(),
        end,
        trouble,
        job: name,
    }
}

impl Ends<'_> {
    fn ended(&self, container: &str) -> Option<&ContainerStateTerminated> {
        let status = self.last?.status.as_ref()?;
        let mut all = status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten());
        let container: &ContainerStatus = all.find(|status| status.name == container)?;
        container.state.as_ref()?.terminated.as_ref()
    }

    /// The last words of a container.
    pub(crate) fn said(&self, container: &str) -> &str {
        self.ended(container).and_then(|ended| ended.message.as_deref()).unwrap_or_default()
    }

    /// How a container ended that did not succeed.
    pub(crate) fn failed(&self, container: &str) -> Option<&ContainerStateTerminated> {
        self.ended(container).filter(|ended| ended.exit_code != 0)
    }

    /// That the Job took too long: raise `what`.
    pub(crate) fn timed_out(&self, what: &str) -> Option<(String, String)> {
        self.why.as_ref().filter(|(reason, _)| reason == "DeadlineExceeded")?;
        let sentence = format!("Job {} was ended because it took longer than {what}: raise it", self.job);
        Some(("TimedOut".to_owned(), sentence))
    }

    /// What is known of one that left no word.
    pub(crate) fn otherwise(&self, what: &str, again: &str) -> (String, String) {
        let found = self.last.and_then(|pod| diagnose(std::slice::from_ref(pod), self.now, Patience::over()));
        if let Some(found) = found.filter(|found| found.reason != "Error") {
            return (found.reason, found.message);
        }
        let more = self.why.as_ref().map(|(_, message)| format!(" ({message})")).unwrap_or_default();
        let job = self.job;
        let sentence = format!(
            "the {what} ended without a result in Job {job}{more}: `kubectl logs job/{job} --all-containers` shows what it wrote, and {again}"
        );
        ("NoResult".to_owned(), sentence)
    }
}

/// What its last container said, or what ended it before.
fn result(ends: &Ends<'_>) -> Result<BackupResult, (String, String)> {
    if let Ok(result) = BackupResult::read(ends.said(CONCLUDES)) {
        return Ok(result);
    }
    if ends.failed(STORES).is_some()
        && let Ok(result) = BackupResult::read(ends.said(STORES))
    {
        return Ok(result);
    }
    if let Some(timed_out) = ends.timed_out("spec.backup.timeout") {
        return Err(timed_out);
    }
    if ends.failed(DUMPS).is_some() && !ends.said(DUMPS).trim().is_empty() {
        return Err(("DumpFailed".to_owned(), cut(ends.said(DUMPS).trim(), LONGEST)));
    }
    if let Some(proof) = ends.failed(PROVES) {
        let how = proof.reason.clone().unwrap_or_else(|| format!("exit code {}", proof.exit_code));
        let sentence = format!(
            "the server for the proof was ended ({how}), so the backup is stored and not proven: give the Database more memory in resources, if that is what it lacked"
        );
        return Err(("NotProven".to_owned(), sentence));
    }
    Err(ends.otherwise("backup", "`drover backup` tries again"))
}
