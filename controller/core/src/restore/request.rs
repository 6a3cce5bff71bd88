//! The restore that is due.

use std::time::Duration;

use drover_crds::{ANNOTATION_RESTORE, RestoreStatus};

use crate::backup::{BackupName, BadName, request_id};

/// Seconds until `init` is tried again that did not succeed; doubled with each.
const RETRY: i64 = 30;
/// The longest that this gets.
const LONGEST_RETRY: i64 = 3600;

/// What asks for a restore.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestoreRequest {
    /// What tells it from others: eight hexadecimal digits.
    pub id: String,
    /// It is the spec's `init`, and loads nothing where there is data.
    pub is_init: bool,
    /// How many did not succeed before it.
    pub attempt: i64,
}

/// What a person asks for, as `drover restore` writes it down: the backup's name, and when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wish {
    /// Which backup.
    pub backup: BackupName,
    /// The whole text.
    text: String,
}

/// What is no wish.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the annotation {ANNOTATION_RESTORE}: {0}; `drover restore` writes it")]
pub struct BadWish(#[from] BadName);

impl Wish {
    /// Reads the annotation.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &str) -> Result<Self, BadWish> {
        let backup = text.split_whitespace().next().unwrap_or_default().parse()?;
        Ok(Self { backup, text: text.to_owned() })
    }

    /// As the annotation has it.
    pub fn written(backup: &BackupName, at: &str) -> String {
        format!("{} {at}", backup.as_str())
    }
}

impl RestoreRequest {
    /// What the spec of the Database of that uid begins with.
    pub fn of_init(uid: &str) -> Self {
        Self { id: request_id([uid, "init", "", ""]), is_init: true, attempt: 0 }
    }

    /// What a person asks for.
    pub fn of_person(uid: &str, wish: &Wish) -> Self {
        Self { id: request_id([uid, "restore", &wish.text, ""]), is_init: false, attempt: 0 }
    }

    /// The name of its Job.
    pub fn job_name(&self, owner: &str) -> String {
        let attempt = if self.attempt == 0 { String::new() } else { format!("-{}", self.attempt) };
        format!("{owner}-restore-{}{attempt}", self.id)
    }
}

/// When a restore begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestoreDue {
    /// One runs.
    Runs,
    /// A Job is to be made, if it is not there.
    Now,
    /// After that time.
    In(Duration),
}

/// What is asked for and not done. What a person asks for is done once, well or not; what the spec begins with is tried again until it is
/// done.
pub fn wanted(uid: &str, has_init: bool, wish: Option<&Wish>, status: &RestoreStatus) -> Option<RestoreRequest> {
    if has_init && !status.initialized {
        let attempt = status.failure.as_ref().map_or(0, |failure| failure.times);
        return Some(RestoreRequest { attempt, ..RestoreRequest::of_init(uid) });
    }
    let request = RestoreRequest::of_person(uid, wish?);
    (status.asked.as_deref() != Some(&request.id)).then_some(request)
}

/// When that begins; `now` is in seconds since 1970.
pub fn due(request: &RestoreRequest, status: &RestoreStatus, now: i64) -> RestoreDue {
    if status.running.is_some() {
        return RestoreDue::Runs;
    }
    let Some(failure) = status.failure.as_ref().filter(|_| request.is_init) else { return RestoreDue::Now };
    let failed_at = failure.at.as_ref().map_or(now, |at| at.0.as_second());
    let doubled = u32::try_from(failure.times.clamp(1, 10) - 1).unwrap_or_default();
    match failed_at + (RETRY << doubled).min(LONGEST_RETRY) - now {
        left @ 1.. => RestoreDue::In(Duration::from_secs(left.unsigned_abs())),
        _ => RestoreDue::Now,
    }
}
