//! What an app does before its last pods go, and before the first ones come again.

use std::time::Duration;

use drover_core::release::{JobState, is_waking};
use drover_core::trouble::{Mend, Trouble};
use drover_crds::{AppSpec as _, JobMoment, JobOutcome, JobStatus, Problem, RefreshOn};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::Workload;
use super::machine::{Known, Rolling};

/// How often an app in trouble that has windows looks at the clock, at least.
const CLOCK: Duration = Duration::from_secs(60);
/// How often a job before sleep is looked at: what keeps its pod from starting is no event of its Job's.
const LOOK: Duration = Duration::from_secs(15);
/// When whoever has just woken is led to.
const AT_ONCE: Duration = Duration::from_secs(1);

impl<W: Workload> Rolling<'_, W> {
    /// Whether no pods are to run.
    pub(super) fn is_asleep(&self) -> bool {
        (self.uptime.asleep.is_some() && !self.lingers) || self.still_asleep.is_some()
    }

    /// What an app that wakes, and has no pods yet, waits for with none.
    pub(super) async fn wakes_for(&self, known: &Known<W>) -> Result<Option<Trouble>, Trouble> {
        let Some(since) = self.uptime.waking_since.as_ref().filter(|_| !self.has_pods()) else { return Ok(None) };
        let spec = self.wanted.spec.pod();
        match known.data.refreshed(self.acting, self.owner, spec, (RefreshOn::Wake, since), self.now).await {
            Ok(()) => Ok(None),
            Err(trouble) if trouble.mended_by == Mend::Others => Ok(Some(trouble)),
            Err(trouble) => Err(trouble),
        }
    }

    /// When to look again at what falls asleep, or has just woken: it was on its way at the begin of this turn.
    pub(super) fn looks_again(&self) -> Option<Duration> {
        let has_woken = self.uptime.waking_since.is_some() && !is_waking(self.status);
        self.lingers.then_some(LOOK).or(has_woken.then_some(AT_ONCE))
    }

    /// Who is in trouble wakes and falls asleep all the same.
    pub(super) fn in_time(&self, trouble: Trouble) -> Trouble {
        let Some(time) = self.uptime.again else { return trouble };
        let pause = Duration::try_from(time.duration_since(self.now.0)).unwrap_or_default();
        let pause = pause.clamp(Duration::from_secs(1), CLOCK);
        Trouble { again: trouble.again.into_iter().chain([pause]).min(), ..trouble }
    }

    /// Runs the jobs of an app that is to sleep and still has pods, one after the other; whether one has not ended. None is run twice before
    /// the same sleep, and none that fails keeps the app awake.
    pub(super) async fn has_to_do_before_sleep(&mut self, known: &Known<W>) -> Result<bool, Trouble> {
        let Some(sleep) = self.uptime.sleep.clone().filter(|_| self.has_pods()) else { return Ok(false) };
        let Some(serving) = known.releases.iter().find(|release| self.was_live(Some(release.number))) else {
            return Ok(false);
        };
        let valid = match self.validated(serving, false, known) {
            Ok(valid) => valid,
            Err(error) => {
                tracing::warn!(owner = %self.owner, %error, "falls asleep without its jobs");
                return Ok(false);
            }
        };
        let record = self.record(serving, known);
        for job in W::pods(&valid).jobs.iter().filter(|job| job.at == Some(JobMoment::BeforeSleep)) {
            let name = sleep.job_name(self.app, &job.name);
            let before = self.noted(&name);
            if before.as_ref().is_some_and(|before| before.outcome.is_some()) {
                continue;
            }
            let state = self.runs(serving, &record, &known.records()).look(&job.name, &name).await?;
            let mut told = JobStatus {
                name: job.name.clone(),
                at: JobMoment::BeforeSleep,
                job: name.clone(),
                outcome: None,
                started_at: None,
                finished_at: None,
            };
            let problem = match state {
                JobState::NotThere if before.is_none() => {
                    let built = W::job(&valid, job, &name, record.clone(), Some(&sleep.day));
                    self.is_still_there().await?;
                    self.runs(serving, &record, &known.records()).start(&built).await?;
                    self.tell(told, None);
                    return Ok(true);
                }
                JobState::NotThere => {
                    let message = format!(
                        "Job {name} of the job {} was deleted before it ended, so how far it came is not known",
                        job.name
                    );
                    Some(Problem { reason: "JobDeleted".into(), message, ..Problem::default() })
                }
                JobState::Waiting { problem, is_hopeless: true } => {
                    self.runs(serving, &record, &known.records()).cancel(&name).await?;
                    problem
                }
                JobState::Waiting { .. } => {
                    self.tell(told, None);
                    return Ok(true);
                }
                JobState::Running { started_at, .. } => {
                    told.started_at = started_at;
                    self.tell(told, None);
                    return Ok(true);
                }
                JobState::Ended { outcome, started_at, finished_at, problem } => {
                    (told.outcome, told.started_at, told.finished_at) = (Some(outcome), started_at, finished_at);
                    self.leave_job(serving, known, &name).await;
                    self.tell(told, problem);
                    continue;
                }
            };
            (told.outcome, told.finished_at) = (Some(JobOutcome::Failed), Some(Time(self.now.0)));
            self.tell(told, problem);
        }
        Ok(false)
    }

    /// Whether pods are asked for by what was sent last.
    fn has_pods(&self) -> bool {
        let spec = self.workload.deployment().and_then(|deployment| deployment.spec.as_ref());
        spec.is_some_and(|spec| spec.replicas != Some(0))
    }

    /// What the status says of that Job.
    fn noted(&self, job: &str) -> Option<JobStatus> {
        self.status.uptime.as_ref()?.jobs.iter().find(|told| told.job == job).cloned()
    }

    /// Has the status say how a job before sleep stands.
    fn tell(&mut self, job: JobStatus, problem: Option<Problem>) {
        let Some(uptime) = &mut self.status.uptime else { return };
        uptime.problem = problem.or(uptime.problem.take());
        match uptime.jobs.iter_mut().find(|told| told.job == job.job) {
            Some(told) => *told = job,
            None => uptime.jobs.push(job),
        }
    }
}
