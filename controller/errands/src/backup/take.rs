//! The errand `backup-take`: a backup comes out of the repository, for a restore.

use std::fs;

use drover_core::backup::BackupName;
use drover_core::errand::{Reason, Refusal};

use super::{Errand, make_empty};
use crate::failure::Final as _;

/// The file of the work folder that says which one was taken out.
pub(super) const TAKEN: &str = "taken";

/// Takes out the backup of that name, or the newest proven one.
pub fn take(errand: &Errand, name: Option<&BackupName>) -> Result<BackupName, Refusal> {
    let restored = errand.work.join("restored");
    make_empty(&restored)?;
    let backups = errand.open(false)?;
    let backup = match name {
        Some(name) => backups.find(name)?,
        None => backups.list()?.into_iter().rfind(|backup| backup.proof.is_some()).ok_or_else(|| {
            let sentence = "there is no proven backup: name the one to take, at your own risk";
            Refusal::new(Reason::NotFound, sentence)
        })?,
    };
    backups.take_out(&backup, &restored)?;
    fs::write(errand.work.join(TAKEN), backup.name.as_str())
        .or_final(Reason::ClaimFails, "the work folder cannot be written")?;
    tracing::info!(name = %backup.name, is_proven = backup.proof.is_some(), "taken out");
    Ok(backup.name)
}
