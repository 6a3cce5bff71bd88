//! What a Job that restores a Database says of itself.

use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;

use super::answer::RestoreResult;
use super::build::{CONCLUDES, LOADS, TAKES};
use crate::backup::BackupResult;
use crate::backup::runs::{Ends, Run, look};
use crate::errand::{Outcome, SyncResult};

/// A restore, as its Job shows it.
pub type RestoreRun = Run<RestoreResult>;

/// What `job` and those of `pods` that are its say of a restore. `now` is in seconds since 1970.
pub fn run(job: &Job, pods: &[Pod], now: i64) -> RestoreRun {
    look(job, pods, now, result)
}

/// What its last container said, or what ended it before.
fn result(ends: &Ends<'_>) -> Result<RestoreResult, (String, String)> {
    if let Ok(result) = RestoreResult::read(ends.said(CONCLUDES)) {
        return Ok(result);
    }
    if ends.failed(TAKES).is_some() {
        if let Ok(result) = BackupResult::read(ends.said(TAKES)) {
            return Err((result.reason, result.message));
        }
        if let Ok(result) = SyncResult::read(ends.said(TAKES))
            && !matches!(result.outcome, Outcome::Published | Outcome::Unchanged)
        {
            return Err((result.reason, format!("the dump is not fetched: {}", result.message)));
        }
    }
    if let Some(timed_out) = ends.timed_out("spec.init.timeout, or spec.backup.timeout of where the backup comes from,")
    {
        return Err(timed_out);
    }
    if let Some(load) = ends.failed(LOADS) {
        let how = load.reason.clone().unwrap_or_else(|| format!("exit code {}", load.exit_code));
        let sentence = format!(
            "the server that it is loaded into was ended ({how}): give the Database more memory in resources, if that is what it lacked"
        );
        return Err(("NotRestored".to_owned(), sentence));
    }
    Err(ends.otherwise("restore", "`drover restore` tries again"))
}
