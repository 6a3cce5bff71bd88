//! The backup that is due beside those of the schedule: the first one at a place, and what a person asks for.

use std::time::Duration;

use drover_crds::BackupStatus;
use sha2::{Digest as _, Sha256};

use super::validate::ValidatedBackup;

/// Hexadecimal digits of a request's id.
const DIGITS: usize = 8;
/// Seconds until a backup that did not succeed is made again, where there is none yet; doubled with each.
const RETRY: i64 = 60;
/// The longest that this gets.
const LONGEST_RETRY: i64 = 3600;

/// A backup that the spec or a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What tells it from others: the same place, key and wish give the same.
    pub id: String,
    /// How many backups did not succeed before it.
    pub attempt: i64,
}

impl Request {
    /// What the Database of that uid asks for, where a person last asked at `asked`.
    pub fn of(backup: &ValidatedBackup, uid: &str, asked: Option<&str>) -> Self {
        let key = backup.order.encryption.as_deref().unwrap_or_default();
        let mut hash = Sha256::new();
        for part in [uid, &backup.place, key, asked.unwrap_or_default()] {
            hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            hash.update(part);
        }
        Self { id: hex::encode(hash.finalize())[..DIGITS].to_owned(), attempt: 0 }
    }

    /// The name of its Job.
    pub fn job_name(&self, owner: &str) -> String {
        let attempt = if self.attempt == 0 { String::new() } else { format!("-{}", self.attempt) };
        format!("{owner}-backup-{}{attempt}", self.id)
    }
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

/// Whether a Job is to be made for `request`. `any` says whether there is any backup; `now` is in seconds since 1970.
///
/// One that could not be made is tried again, ever later, until there is one; after that the schedule does it. One that was made and is not
/// proven is what the database is: the same would come of it.
pub fn due(request: Request, status: &BackupStatus, any: bool, now: i64) -> Due {
    if status.running.is_some() {
        return Due::No;
    }
    if status.asked.as_deref() != Some(&request.id) {
        return Due::Now(request);
    }
    let Some(failure) = status.failure.as_ref().filter(|_| !any) else { return Due::No };
    let failed_at = failure.at.as_ref().map_or(now, |at| at.0.as_second());
    let doubled = u32::try_from(failure.times.clamp(1, 10) - 1).unwrap_or_default();
    let wait = (RETRY << doubled).min(LONGEST_RETRY);
    match failed_at + wait - now {
        left @ 1.. => Due::In(Duration::from_secs(left.unsigned_abs())),
        _ => Due::Now(Request { attempt: failure.times, ..request }),
    }
}
