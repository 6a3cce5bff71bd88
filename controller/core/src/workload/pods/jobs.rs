//! Programs that run beside the app and end.

use drover_crds::{self as crds, AccessMode, JobMoment};
use jiff::Timestamp;

use super::unique;
use super::volumes::{ValidatedVolume, VolumeSource};
use crate::schedule::{Schedule, Told};
use crate::workload::Invalid;

/// A job in which nothing is missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedJob {
    /// Its name.
    pub name: String,
    /// The moment of a release at which it runs, where it does.
    pub at: Option<JobMoment>,
    /// When it runs by a schedule.
    pub times: Option<Schedule>,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The folder that it starts in.
    pub working_dir: Option<String>,
    /// Seconds that it may take.
    pub deadline_seconds: i64,
}

impl ValidatedJob {
    /// What a person has run without a name for it.
    pub fn by_hand(command: Vec<String>) -> Self {
        let deadline_seconds = crds::Job::default().deadline_seconds();
        Self { name: crds::BY_HAND.to_owned(), at: None, times: None, command, working_dir: None, deadline_seconds }
    }
}

/// What is told of the next clock change, by which Kubernetes skips or repeats runs of these jobs.
pub fn clock_change(jobs: &[crds::Job], now: Timestamp) -> Told {
    jobs.iter().fold(Told::default(), |told, job| {
        let read = |written: &String| Schedule::read(written, job.time_zone.as_deref()).ok();
        match job.schedule.as_ref().and_then(read) {
            Some(schedule) => told.with(&schedule, now, |change| change.of_job(&job.name)),
            None => told,
        }
    })
}

pub(super) fn jobs(spec: &crds::PodSpec, volumes: &[ValidatedVolume]) -> Result<Vec<ValidatedJob>, Invalid> {
    unique("jobs", spec.jobs.iter().map(|job| job.name.as_str()))?;
    let shut_out = |volume: &&ValidatedVolume| match &volume.source {
        VolumeSource::Claim(claim) => claim.access_modes.contains(&AccessMode::ReadWriteOncePod),
        _ => false,
    };
    if let (Some(job), Some(volume)) = (spec.jobs.first(), volumes.iter().find(shut_out)) {
        return Err(Invalid::ShutOut { job: job.name.clone(), volume: volume.name.clone() });
    }
    let last_moment = |job: &&crds::Job| job.at == Some(JobMoment::BeforeSleep);
    if let Some(job) = spec.jobs.iter().find(last_moment).filter(|_| spec.uptime.is_none()) {
        return Err(Invalid::NeverSleeps { job: job.name.clone() });
    }
    let is_once = |job: &&crds::Job| job.run.is_some();
    if let Some(job) = spec.jobs.iter().filter(is_once).find(|job| !job.at.is_some_and(JobMoment::is_of_a_release)) {
        return Err(Invalid::OnceAtNoMoment { job: job.name.clone() });
    }
    let is_early = |job: &crds::Job| job.require_backup.is_some() && job.at != Some(JobMoment::BeforeDeploy);
    if let Some(job) = spec.jobs.iter().find(|job| is_early(job)) {
        return Err(Invalid::BackupAtNoMoment { job: job.name.clone() });
    }
    if let Some(job) = spec.jobs.iter().find(is_once).filter(|_| !remembers(spec)) {
        return Err(Invalid::OnceWithoutMemory { job: job.name.clone() });
    }
    spec.jobs.iter().map(job).collect()
}

/// Whether what ran once is remembered.
fn remembers(spec: &crds::PodSpec) -> bool {
    !spec.database_refs.is_empty() || spec.volumes.iter().any(|volume| volume.claim.is_some())
}

fn job(job: &crds::Job) -> Result<ValidatedJob, Invalid> {
    let name = || job.name.clone();
    if job.command.is_empty() {
        return Err(Invalid::NoCommand { job: name() });
    }
    if job.at.is_some() && (job.schedule.is_some() || job.time_zone.is_some()) {
        return Err(Invalid::MomentAndSchedule { job: name() });
    }
    let times = match (&job.schedule, &job.time_zone) {
        (None, Some(_)) => return Err(Invalid::ZoneWithoutSchedule { job: name() }),
        (None, None) => None,
        (Some(written), zone) => {
            let read = Schedule::read(written, zone.as_deref());
            Some(read.map_err(|why| Invalid::Schedule { job: name(), why })?)
        }
    };
    Ok(ValidatedJob {
        name: name(),
        at: job.at,
        times,
        command: job.command.clone(),
        working_dir: job.working_dir.clone(),
        deadline_seconds: job.deadline_seconds(),
    })
}
