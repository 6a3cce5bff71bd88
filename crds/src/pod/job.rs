//! Programs of an app's image that end.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// A program that runs beside the app and ends: at a moment of a release, by a schedule, or by hand with `drover run`. It gets the app's
/// image, environment, volumes and resources.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[x_kube(validation = Rule::new("!has(self.timeZone) || has(self.schedule)")
    .message("timeZone is that of a job's schedule: write schedule too, or remove timeZone"))]
#[x_kube(validation = Rule::new("!has(self.at) || !(has(self.schedule) || has(self.timeZone))")
    .message("a job runs at a moment or by a schedule: remove at, or remove schedule and timeZone"))]
#[x_kube(validation = Rule::new("!has(self.run) || (has(self.at) && self.at != 'BeforeSleep')")
    .message("run: Once is for a job at a moment of a release: write at: BeforeDeploy or at: AfterDeploy, or remove run"))]
#[x_kube(validation = Rule::new("!has(self.requireBackup) || (has(self.at) && self.at == 'BeforeDeploy')")
    .message("requireBackup is for a job that runs before a release: write at: BeforeDeploy, or remove requireBackup"))]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Its name: lower-case letters, digits and dashes.
    #[schemars(length(min = 1, max = 52), regex(pattern = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,

    /// The moment at which it runs. Jobs of the same moment run one after the other, in the order of this list. A release of which a job
    /// fails has failed; such a job runs once for an image and what it reads: not for a commit that changes neither, nor in a release that
    /// goes back to an earlier image. Default: by its schedule, or by hand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<JobMoment>,

    /// With `Once` it runs once for the app's data, not once for an image: that it has succeeded is remembered on the claims of the Databases in
    /// `databaseRefs`, or where there are none on the app's own, by the annotation `drover.dev/ran-once`, and is forgotten with them. Whatever else changes, it is not run again; where it fails the
    /// next release tries again. Default: once for an image and what it reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<JobRun>,

    /// When it runs: minute, hour, day of the month, month and day of the week, as in a CronJob, such as `0 4 * * 1`. A run that cannot begin
    /// within ten minutes of its time, such as while the one before still runs, is left out. Default: by hand only, or at the moment that `at` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 100))]
    pub schedule: Option<String>,

    /// The time zone of the schedule, such as `Europe/London`. What a clock change skips or repeats there is skipped or runs twice. Default
    /// `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 64))]
    pub time_zone: Option<String>,

    /// A backup of a Database that must be there before a release begins in which this job runs: until then the pods of before stay. Default:
    /// none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub require_backup: Option<RequiredBackup>,

    /// The program and its arguments.
    #[schemars(length(min = 1, max = 256), inner(length(max = 32768)))]
    pub command: Vec<String>,

    /// The folder that it starts in. Default: the image's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 4096), regex(pattern = "^/"))]
    pub working_dir: Option<String>,

    /// How long it may take before it is ended and counts as failed. Default `1h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1s') && duration(self) <= duration('168h')")
        .message("a job's deadline must be between 1s and 168h"))]
    pub deadline: Option<Duration>,
}

/// A backup that must be there.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RequiredBackup {
    /// The Database, which has `spec.backup`.
    #[schemars(length(min = 1, max = 40))]
    pub database: String,

    /// How old the newest backup that is verified may be. Default `24h`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(validation = Rule::new("duration(self) >= duration('1m')").message("maxAge must be 1m or more"))]
    pub max_age: Option<Duration>,

    /// With `true` one is made where it is older. Default: the schedule or a person makes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub take_if_older: Option<bool>,
}

/// How often a job of a release runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum JobRun {
    /// Once for the app's data.
    Once,
}

/// The moment at which a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum JobMoment {
    /// Before the first pod of the release starts, while those of before serve: what these pods need, such as a migrated database.
    BeforeDeploy,
    /// Once the pods of the release have served for their probation. Where it fails, the last good release is put back.
    AfterDeploy,
    /// Each time that the app falls asleep by its `uptime`, before its last pods go, which it keeps no longer than its deadline, whether it
    /// succeeds or fails. In `DROVER_DAY` it finds the day that ends so, such as `2026-11-27`, in the time zone of `uptime`.
    BeforeSleep,
}

impl JobMoment {
    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeDeploy => "BeforeDeploy",
            Self::AfterDeploy => "AfterDeploy",
            Self::BeforeSleep => "BeforeSleep",
        }
    }

    /// Whether it is one of a release.
    pub const fn is_of_a_release(self) -> bool {
        match self {
            Self::BeforeDeploy | Self::AfterDeploy => true,
            Self::BeforeSleep => false,
        }
    }
}

impl Job {
    /// Seconds that it may take.
    pub fn deadline_seconds(&self) -> i64 {
        self.deadline.map_or(3600, |deadline| i64::try_from(deadline.as_secs()).unwrap_or(i64::MAX)).clamp(1, 604_800)
    }
}
