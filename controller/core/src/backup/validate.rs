//! What a spec says of backups, with every default filled in.

use std::collections::BTreeMap;

use drover_crds::{self as crds, DatabaseBackup, Duration};
use sha2::{Digest as _, Sha256};

use super::keep::Keep;
use super::order::{BackupOrder, BucketPlace, Check, Repository};
use crate::engine::Engine;
use crate::errand::{Refusal, region};
use crate::schedule::{InvalidSchedule, Schedule};
use crate::workload::pods::{LiveClaim, Shrinking, ValidatedClaim};
use crate::workload::{self, App};

/// How many days stay, and how long a backup may take, in seconds, where the spec does not say.
const DAYS: u32 = 7;
const TIMEOUT: u64 = 2 * 3600;
/// Hexadecimal digits of a place.
const DIGITS: usize = 16;

/// What is wrong with what a spec says of backups, each as one sentence that says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidBackup {
    /// Not exactly one place.
    #[error("spec.backup.to has {0} places: write exactly one of claim or s3")]
    Places(usize),
    /// A schedule that Kubernetes would not keep as it is meant.
    #[error("spec.backup.schedule: {0}")]
    Schedule(#[from] InvalidSchedule),
    /// The errand would not take the order.
    #[error("spec.backup: {0}")]
    Order(#[from] Refusal),
    /// The claim cannot be as the spec asks.
    #[error(transparent)]
    Claim(#[from] workload::Invalid),
}

/// Backups in which nothing is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedBackup {
    /// When they are made.
    pub schedule: Schedule,
    /// What a backup is told.
    pub order: BackupOrder,
    /// Where they go, if that is a volume.
    pub claim: Option<ValidatedClaim>,
    /// The Secret of the bucket, if that is where they go.
    pub secret: Option<String>,
    /// What tells this place and key from others.
    pub place: String,
}

impl ValidatedBackup {
    /// Checks what the spec of `app`, a server of that kind, says. `claims` are those of the namespace that it may mount, as they are.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn new(
        app: &App,
        engine: Engine,
        spec: &DatabaseBackup,
        claims: &BTreeMap<String, LiveClaim>,
    ) -> Result<Self, InvalidBackup> {
        let schedule = Schedule::read(&spec.schedule, spec.time_zone.as_deref())?;
        let (repository, claim, secret) = match (&spec.to.claim, &spec.to.s3) {
            (Some(claim), None) => {
                let claim = ValidatedClaim::new(crds::backup_name(&app.name), claim, claims, Shrinking::Refuse)?;
                (Repository::Claim, Some(claim), None)
            }
            (None, Some(s3)) => {
                let place = BucketPlace {
                    endpoint: s3.endpoint.clone(),
                    region: region(s3.region.as_ref()),
                    bucket: s3.bucket.clone(),
                    prefix: s3.prefix.clone().unwrap_or_else(|| format!("drover/{}/{}", app.namespace, app.name)),
                };
                (Repository::S3(place), None, Some(s3.secret_ref.name.clone()))
            }
            (claim, s3) => return Err(InvalidBackup::Places(usize::from(claim.is_some()) + usize::from(s3.is_some()))),
        };
        let encryption = spec.encryption.as_ref().map(|encryption| encryption.secret_ref.name.clone());
        let place = place(&repository);
        let order = BackupOrder {
            database: format!("{}/{}", app.namespace, app.name),
            engine,
            repository,
            encryption,
            expected: None,
            keep: spec.keep.as_ref().map_or(Keep { daily: Some(DAYS), ..Keep::default() }, keep),
            time_zone: schedule.time_zone().to_owned(),
            checks: spec.checks.iter().map(check).collect(),
            timeout_seconds: spec.timeout.map_or(TIMEOUT, Duration::as_secs),
        };
        order.check()?;
        Ok(Self { schedule, order, claim, secret, place })
    }

    /// With the repository that was found at that place before.
    #[must_use]
    pub fn expecting(mut self, place: Option<&str>, repository: Option<&str>) -> Self {
        if place == Some(&self.place) {
            self.order.expected = repository.map(str::to_owned);
        }
        self
    }
}

fn place(repository: &Repository) -> String {
    let text = serde_json::to_string(repository).expect("a place is JSON");
    hex::encode(Sha256::digest(text))[..DIGITS].to_owned()
}

fn keep(keep: &crds::BackupKeep) -> Keep {
    let count = |count: Option<i32>| count.and_then(|count| u32::try_from(count).ok());
    let crds::BackupKeep { last, hourly, daily, weekly, monthly, yearly } = *keep;
    Keep {
        last: count(last),
        hourly: count(hourly),
        daily: count(daily),
        weekly: count(weekly),
        monthly: count(monthly),
        yearly: count(yearly),
    }
}

fn check(check: &crds::BackupCheck) -> Check {
    Check { name: check.name.clone(), query: check.query.clone(), min: check.min.unwrap_or(1) }
}
