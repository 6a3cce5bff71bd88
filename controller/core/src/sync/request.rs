//! Which sync is asked for besides those of the schedule, and when it is due.

use std::time::Duration;

use drover_crds::DataSyncStatus;
use sha2::{Digest as _, Sha256};

use super::{Missed, ValidatedSync};

/// Hexadecimal digits of a request's id.
const DIGITS: usize = 8;
/// Seconds until a sync that did not succeed is made again, where no schedule does; doubled with each.
const RETRY: i64 = 60;
/// The longest that this gets.
const LONGEST_RETRY: i64 = 3600;

/// A sync that the spec or a person asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// What tells it from others: the same spec, claim and wish give the same.
    pub id: String,
    /// How many syncs did not succeed before it.
    pub attempt: i64,
    /// The value of `drover.dev/reconcile-at` that asks for it.
    pub asked: Option<String>,
}

impl Request {
    /// What the spec of that generation asks for with the claim of that uid, where a person last asked at `asked`, and `commit` is the one
    /// that a git source leads to. An edit that is taken back asks anew: what is published may be the edit's by then.
    pub fn of(sync: &ValidatedSync, generation: i64, claim: &str, asked: Option<&str>, commit: Option<&str>) -> Self {
        let uid = sync.app.uid.as_deref().unwrap_or_default();
        let generation = [&generation.to_string(), commit.unwrap_or_default()].concat();
        let id = id([uid, &generation, claim, asked.unwrap_or_default()]);
        Self { id, attempt: 0, asked: asked.map(str::to_owned) }
    }

    /// The name of its Job.
    pub fn job_name(&self, owner: &str) -> String {
        let attempt = if self.attempt == 0 { String::new() } else { format!("-{}", self.attempt) };
        format!("{owner}-sync-{}{attempt}", self.id)
    }
}

/// The name of the Job that makes up for what was missed on the claim of that uid.
pub fn made_up_name(sync: &ValidatedSync, missed: Missed, claim: &str) -> String {
    let (uid, at) = (sync.app.uid.as_deref().unwrap_or_default(), missed.at.to_string());
    format!("{}-sync-{}", sync.app.name, id([uid, "missed", claim, &at]))
}

fn id(parts: [&str; 4]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())[..DIGITS].to_owned()
}

/// What is to be done about a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// It has run, or the schedule is left to it.
    No,
    /// A Job is to be made, if it is not there.
    Now(Request),
    /// After that time.
    In(Duration),
}

/// Whether a Job is to be made for `request`; `is_running` says whether any sync is under way, and `now` is in seconds since 1970.
///
/// One that did not succeed is made again, ever later, until something is published; after that the schedule does it, where there is one.
pub fn due(sync: &ValidatedSync, request: Request, status: &DataSyncStatus, is_running: bool, now: i64) -> Due {
    if sync.is_suspended {
        return Due::No;
    }
    if status.asked.as_deref() != Some(&request.id) {
        return Due::Now(request);
    }
    let Some(failure) = &status.failure else { return Due::No };
    if is_running || sync.schedule.is_some() && status.published.is_some() {
        return Due::No;
    }
    let failed_at = failure.at.as_ref().map_or(now, |at| at.0.as_second());
    let doubled = u32::try_from(failure.times.clamp(1, 10) - 1).unwrap_or_default();
    let wait = (RETRY << doubled).min(LONGEST_RETRY);
    match failed_at + wait - now {
        left @ 1.. => Due::In(Duration::from_secs(left.unsigned_abs())),
        _ => Due::Now(Request { attempt: failure.times, ..request }),
    }
}
