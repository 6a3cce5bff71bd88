//! The backup that is due beside those of the schedule: the first one at a place, what a person asks for, and what was missed.

use std::time::Duration;

use drover_crds::{BackupStatus, DatabaseStatus, JobFailure};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::validate::ValidatedBackup;
use crate::errand::Reason;
use crate::schedule::{STARTING_DEADLINE, Slot};

/// Hexadecimal digits of a request's id.
const DIGITS: usize = 8;
/// Seconds until a backup that could not be made is made again; doubled with each.
const RETRY: i64 = 60;
/// The longest that this gets.
const LONGEST_RETRY: i64 = 3600;

/// Seconds after its time when Kubernetes has given a backup up, and whoever looks sees one that began at the last moment.
const GIVEN_UP: i64 = STARTING_DEADLINE + 60;

/// A backup that the spec or a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What tells it from others: the same place, key and wish give the same.
    pub id: String,
    /// When the last one failed, in seconds since 1970, where it is made again.
    pub after: Option<i64>,
}

impl Request {
    /// What the Database of that uid asks for, where a person last asked at `asked`.
    pub fn of(backup: &ValidatedBackup, uid: &str, asked: Option<&str>) -> Self {
        let key = backup.order.encryption.as_deref().unwrap_or_default();
        Self { id: id([uid, &backup.place, key, asked.unwrap_or_default()]), after: None }
    }

    /// The name of its Job.
    pub fn job_name(&self, owner: &str) -> String {
        let id = match self.after {
            None => self.id.clone(),
            Some(at) => id([&self.id, "again", "", &at.to_string()]),
        };
        format!("{owner}-backup-{id}")
    }
}

/// Eight hexadecimal digits, the same for the same parts.
pub(crate) fn id(parts: [&str; 4]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())[..DIGITS].to_owned()
}

/// A time of the schedule at which no backup was made: a clock change skipped it, or nobody was there to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missed {
    at: Timestamp,
}

impl Missed {
    /// The name of the Job that makes up for it.
    pub(super) fn job_name(self, owner: &str, backup: &ValidatedBackup, uid: &str) -> String {
        format!("{owner}-backup-{}", id([uid, &backup.place, "missed", &self.at.to_string()]))
    }
}

/// What the schedule has to be looked at for besides Kubernetes' doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Catch {
    /// Nothing: a backup is being made, or the first one has not ended.
    Nothing,
    /// This time was missed.
    Up(Missed),
    /// Whether the next time is missed, then.
    Look(Timestamp),
}

/// Whether a time of the schedule was missed since the last backup. Of several the first stands for all.
pub fn catch_up(backup: &ValidatedBackup, status: &DatabaseStatus, now: Timestamp) -> Catch {
    let state = status.backup.as_ref();
    if state.is_some_and(|state| state.running.is_some()) {
        return Catch::Nothing;
    }
    let failed = state.and_then(|state| state.failure.as_ref()?.at.as_ref());
    let stored = status.backups.iter().filter_map(|kept| kept.at.as_ref());
    let last = stored.chain(failed).map(|at| at.0).max();
    let Some(slot) = last.and_then(|last| backup.schedule.next_slot(last)) else { return Catch::Nothing };
    let is_missed_at = match slot {
        Slot::Skipped(at) => at.as_second(),
        Slot::OfKubernetes(at) => at.as_second().saturating_add(GIVEN_UP),
    };
    if is_missed_at <= now.as_second() {
        return Catch::Up(Missed { at: slot.at() });
    }
    Timestamp::from_second(is_missed_at).map_or(Catch::Nothing, Catch::Look)
}

/// What is to be done about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// It was made, or the schedule is left to it.
    No,
    /// A Job is to be made, if it is not there.
    Now(Request),
    /// After that time.
    In(Duration),
}

/// Whether a Job is to be made for `request`. `any` says whether any backup is proven; `now` is in seconds since 1970.
///
/// One that could not be made is tried again, ever later, at most every hour. Where one is proven already, the schedule is waited for
/// after what only a person mends: one that was made and is not proven is what the database is, and the same would come of it.
pub fn due(request: Request, status: &BackupStatus, any: bool, now: i64) -> Due {
    if status.running.is_some() {
        return Due::No;
    }
    if status.asked.as_deref() != Some(&request.id) {
        return Due::Now(request);
    }
    // A reason that is none of an errand's is Kubernetes': the Job did not run.
    let may_pass = |failure: &JobFailure| Reason::from_word(&failure.reason).is_none_or(Reason::may_pass);
    let Some(failure) = status.failure.as_ref().filter(|failure| !any || may_pass(failure)) else { return Due::No };
    let failed_at = failure.at.as_ref().map_or(now, |at| at.0.as_second());
    let doubled = u32::try_from(failure.times.clamp(1, 10) - 1).unwrap_or_default();
    let wait = (RETRY << doubled).min(LONGEST_RETRY);
    match failed_at + wait - now {
        left @ 1.. => Due::In(Duration::from_secs(left.unsigned_abs())),
        _ => Due::Now(Request { after: Some(failed_at), ..request }),
    }
}
