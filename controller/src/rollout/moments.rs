//! The jobs of a release, at their moments: what their pods need is sent, and each is run, looked at and written down.

use drover_core::release::status;
use drover_core::release::{
    Asked, JobEnd, JobState, Jobs, Observation, PlannedJob, Release, Rollout, State, never_began, observe,
    record_reference, vanished,
};
use drover_core::trouble::Trouble;
use drover_core::workload::build::MakeAssets;
use drover_crds::{AppSpec as _, JobMoment, JobOutcome, Problem, ReleaseStep};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::jobs::JobRuns;
use super::machine::{Known, Rolling};
use super::records::note_ends;
use super::{Workload, once};

/// Seconds that the front of an app may take to know of new files.
const TOLD_WITHIN: i64 = 60;

impl<W: Workload> Rolling<'_, W> {
    /// Where the jobs of that moment of the newest release stand. How one ended is written down before anything follows from it.
    pub(super) async fn jobs(&mut self, at: JobMoment, known: &mut Known<W>) -> Result<Jobs, Trouble> {
        let Some(newest) = known.newest().cloned() else { return Ok(Jobs::Done) };
        for planned in newest.jobs_at(at) {
            match newest.ends.get(&planned.job) {
                Some(end) if end.outcome == JobOutcome::Succeeded => continue,
                Some(end) => return Ok(Jobs::Failed(end.problem.clone().unwrap_or_default())),
                None => {}
            }
            let record = self.record(&newest, known);
            let state = self.runs(&newest, &record, &known.records()).look(&planned.name, &planned.job).await?;
            let has_begun = status::has_begun(self.status, &planned.job);
            let end = match state {
                JobState::NotThere if has_begun => self.failed(&newest, vanished(&planned.name, &planned.job)),
                JobState::NotThere => return Ok(Jobs::Due),
                JobState::Waiting { problem: Some(problem), is_hopeless: true } => return Ok(Jobs::Hopeless(problem)),
                JobState::Waiting { problem, .. } => {
                    known.jobs.hindrance = problem;
                    return Ok(Jobs::Waiting);
                }
                JobState::Running { started_at, problem } => {
                    if started_at.is_some() {
                        known.jobs.started.insert(planned.job.clone(), started_at);
                    }
                    known.jobs.hindrance = problem.map(|problem| self.with_what_was_known(problem, true));
                    return Ok(Jobs::Running);
                }
                JobState::Ended { outcome, started_at, finished_at, problem } => {
                    let has_begun = has_begun || started_at.is_some();
                    let problem = problem.map(|problem| self.with_what_was_known(problem, has_begun));
                    JobEnd { outcome, release: newest.number, started_at, finished_at, problem }
                }
            };
            if planned.once && end.outcome == JobOutcome::Succeeded {
                let at = end.finished_at.as_ref().map(|at| at.0);
                once::remember(self.acting, self.app, self.owner, newest.data.spec.pod(), &planned.name, at).await?;
            }
            let problem = end.problem.clone();
            self.note_end(planned, end, known).await?;
            if let Some(problem) = problem {
                return Ok(Jobs::Failed(problem));
            }
        }
        Ok(Jobs::Done)
    }

    /// Whether pods of the newest release may begin as far as its assets are concerned: what stands before the app knows of a set before a
    /// page names its files. One that cannot come to know it holds nobody up for long.
    pub(super) async fn knows_assets(&self, known: &Known<W>) -> Result<bool, Trouble> {
        let Some(newest) = known.newest() else { return Ok(true) };
        let made = newest.data.jobs.iter().filter(|job| job.assets.is_some());
        let ends = made.filter_map(|job| newest.ends.get(&job.job)).filter(|end| end.release == newest.number);
        let Some(made_at) = ends.filter_map(|end| end.finished_at.as_ref()).map(|at| at.0.as_second()).max() else {
            return Ok(true);
        };
        Ok(self.now.0.as_second() - made_at >= TOLD_WITHIN || self.workload.is_told().await?)
    }

    /// Sends what the pods of jobs need, beside what serves as it is.
    pub(super) async fn prepare(&mut self, state: &State, known: &mut Known<W>) -> Result<(), Trouble> {
        let Some(newest) = known.newest().cloned() else { return Ok(()) };
        let new = self.validated(&newest, true, known)?;
        self.require_copies(&newest, known)?;
        let good = state.last_good.and_then(|good| known.release(good));
        // What cannot be built now stays as it was sent.
        let serving = good.and_then(|good| match self.validated(good, false, known) {
            Ok(serving) => Some(serving),
            Err(error) => {
                tracing::warn!(owner = %self.owner, %error, "cannot put back what others changed");
                None
            }
        });
        status::advance(self.status, ReleaseStep::BeforeDeploy);
        let sent = self.workload.prepare(&new, serving.as_ref()).await?;
        if sent.sent().any(|key| key.kind == "Deployment") {
            self.workload.look_again().await?;
        }
        let deployment = self.workload.deployment();
        if let Some(deployment) = deployment {
            status::count(self.status, &Observation::of(deployment), self.now);
        }
        known.rollout = match (deployment, observe(deployment, Asked::Service, None)) {
            (None, _) | (_, Rollout::Off) if self.is_off() => Rollout::Off,
            _ => Rollout::Progressing(None),
        };
        known.jobs.prepared = true;
        Ok(())
    }

    /// Makes the Job of the first job of that moment that has not ended.
    pub(super) async fn run_job(&mut self, at: JobMoment, known: &Known<W>) -> Result<(), Trouble> {
        let Some((newest, planned)) = next_job(at, known) else { return Ok(()) };
        let valid = self.validated(newest, true, known)?;
        let record = self.record(newest, known);
        let built = if let Some(assets) = &planned.assets {
            let PlannedJob { name, job, content, .. } = planned;
            W::assets_job(&valid, &MakeAssets { name, job, set: content, keep: &assets.keep }, record.clone())
        } else {
            let job = W::pods(&valid).jobs.iter().find(|job| job.name == planned.name);
            job.map(|job| W::job(&valid, job, &planned.job, record.clone(), None))
        };
        let Some(built) = built else { return Ok(()) };
        self.is_still_there().await?;
        Ok(self.runs(newest, &record, &known.records()).start(&built).await?)
    }

    /// Removes the Job of a job that has not begun; whether it is gone.
    pub(super) async fn cancel_job(&self, at: JobMoment, known: &Known<W>) -> Result<bool, Trouble> {
        let Some((newest, planned)) = next_job(at, known) else { return Ok(true) };
        let record = self.record(newest, known);
        Ok(self.runs(newest, &record, &known.records()).cancel(&planned.job).await?)
    }

    /// Removes the Job of a job that will never begin, and notes that it failed; whether it is gone.
    pub(super) async fn give_up_job(
        &mut self,
        at: JobMoment,
        problem: Problem,
        known: &mut Known<W>,
    ) -> Result<bool, Trouble> {
        if !self.cancel_job(at, known).await? {
            return Ok(false);
        }
        let found = next_job(at, known).map(|(newest, planned)| (self.failed(newest, problem), planned.clone()));
        if let Some((end, planned)) = found {
            self.note_end(&planned, end, known).await?;
        }
        Ok(true)
    }

    /// The step of a moment is the one that the release is in.
    pub(super) fn is_at(&mut self, at: JobMoment, failed: bool) {
        let step = match at {
            JobMoment::BeforeDeploy => ReleaseStep::BeforeDeploy,
            JobMoment::AfterDeploy => ReleaseStep::AfterDeploy,
            JobMoment::BeforeSleep => return,
        };
        // What failed tells in which step.
        if !failed {
            status::advance(self.status, step);
        }
    }

    /// Writes down how a job of the newest release ended.
    async fn note_end(&mut self, planned: &PlannedJob, end: JobEnd, known: &mut Known<W>) -> Result<(), Trouble> {
        let Some(newest) = known.releases.first_mut() else { return Ok(()) };
        newest.ends.note(&planned.job, end);
        let newest = newest.clone();
        let record = self.record(&newest, known);
        note_ends(self.acting, self.app, self.owner, &newest, &record.uid).await?;
        self.leave_job(&newest, known, &planned.job).await;
        Ok(())
    }

    /// Leaves a Job that has ended to Kubernetes.
    pub(super) async fn leave_job(&self, release: &Release<W::Spec>, known: &Known<W>, job: &str) {
        let record = self.record(release, known);
        if let Err(error) = self.runs(release, &record, &known.records()).leave(job).await {
            tracing::warn!(owner = %self.owner, %error, "the Job stays for as long as the record of its release");
        }
    }

    fn failed(&self, newest: &Release<W::Spec>, problem: Problem) -> JobEnd {
        JobEnd {
            outcome: JobOutcome::Failed,
            release: newest.number,
            started_at: None,
            finished_at: Some(self.now.clone()),
            problem: Some(problem),
        }
    }

    /// The problem of a job, with what was known of it before its pod went: its log, or what kept it from beginning.
    fn with_what_was_known(&self, mut problem: Problem, has_begun: bool) -> Problem {
        let Some(before) = self.status.release.as_ref().and_then(|release| release.problem.as_ref()) else {
            return problem;
        };
        if problem.log.is_empty() && (problem.reason == before.reason || problem.pod == before.pod) {
            problem.log.clone_from(&before.log);
        }
        if has_begun { problem } else { never_began(problem, before) }
    }

    pub(super) fn record(&self, newest: &Release<W::Spec>, known: &Known<W>) -> OwnerReference {
        let uid = known.uids.get(&newest.number).map(String::as_str).unwrap_or_default();
        record_reference(self.app, newest.number, uid)
    }

    pub(super) fn runs<'r>(
        &'r self,
        newest: &'r Release<W::Spec>,
        record: &'r OwnerReference,
        records: &'r [&'r str],
    ) -> JobRuns<'r> {
        let pods = newest.data.spec.pod();
        JobRuns { acting: self.acting, owner: self.owner, app: self.app, pods, records, record, now: self.now }
    }
}

/// The first job of that moment of the newest release that has not ended.
fn next_job<W: Workload>(at: JobMoment, known: &Known<W>) -> Option<(&Release<W::Spec>, &PlannedJob)> {
    let newest = known.newest()?;
    newest.jobs_at(at).find(|planned| newest.ends.get(&planned.job).is_none()).map(|planned| (newest, planned))
}
