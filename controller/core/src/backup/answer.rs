//! What a backup came to.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::name::BackupName;
use crate::errand::{Refusal, Unbelievable, check_reason, cut, is_hex, read, to_line};

/// The longest message, in bytes.
const LONGEST_MESSAGE: usize = 1024;
/// The most backups that a result lists.
pub(super) const MOST_BACKUPS: usize = 20;

/// How a backup ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ended {
    /// It is stored, and a restore of it was checked.
    Proven,
    /// It is stored, and is not what was backed up, or does not load.
    Unproven,
    /// It is not stored, or nothing is known of it.
    Failed,
}

impl Ended {
    /// As a metric has it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Unproven => "unproven",
            Self::Failed => "failed",
        }
    }
}

/// A backup that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kept {
    /// What it is called.
    pub name: BackupName,
    /// How large the dump is, in bytes.
    pub bytes: u64,
    /// When a restore of it was checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified_at: Option<Timestamp>,
    /// How long that restore took, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_seconds: Option<u64>,
    /// How many rows there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

/// What the errands of a backup answer, as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BackupResult {
    /// How it ended.
    pub ended: Ended,
    /// One CamelCase word: how it ended, or why it did not end well.
    pub reason: String,
    /// One sentence: what, where, why, what to do.
    pub message: String,
    /// The backup that was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<BackupName>,
    /// The id of the repository, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// How many bytes were added to the repository.
    #[serde(default)]
    pub added_bytes: u64,
    /// The newest backups that are there, the newest first. Not known where it did not come so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backups: Option<Vec<Kept>>,
}

impl BackupResult {
    /// A result of what did not come to its end.
    pub fn failed(refusal: &Refusal) -> Self {
        Self {
            ended: Ended::Failed,
            reason: refusal.reason.to_string(),
            message: refusal.sentence.clone(),
            name: None,
            repository: None,
            added_bytes: 0,
            backups: None,
        }
    }

    /// Reads what a container left behind. It is believed no further than an errand could have written it.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(text: &str) -> Result<Self, Unbelievable> {
        let mut result: Self = read(text)?;
        if result.ended != Ended::Failed && (result.name.is_none() || result.repository.is_none()) {
            return Err(Unbelievable::Field("name"));
        }
        if result.repository.as_ref().is_some_and(|id| !is_hex(id, 64)) {
            return Err(Unbelievable::Field("repository"));
        }
        check_reason(&result.reason)?;
        let backups = result.backups.as_deref().unwrap_or_default();
        if backups.len() > MOST_BACKUPS || !backups.is_sorted_by(|one, other| one.name > other.name) {
            return Err(Unbelievable::Field("list of backups"));
        }
        let is_proven = |kept: &Kept| Some(&kept.name) == result.name.as_ref() && kept.verified_at.is_some();
        if result.ended == Ended::Proven && !backups.iter().any(is_proven) {
            return Err(Unbelievable::Field("proof"));
        }
        result.message = cut(&result.message, LONGEST_MESSAGE);
        Ok(result)
    }

    /// The result as one line that [`BackupResult::read`] reads.
    ///
    /// # Panics
    ///
    /// Never: strings and numbers are JSON.
    pub fn to_text(&self) -> String {
        let mut result = self.clone();
        result.message = cut(&result.message, LONGEST_MESSAGE);
        let own = self.name.as_ref();
        // The oldest go first, and never the one that this is about.
        let shorten = |backups: &mut Vec<Kept>| {
            let last = backups.iter().rposition(|kept| Some(&kept.name) != own);
            last.map(|last| backups.remove(last)).is_some()
        };
        if let Some(backups) = &mut result.backups {
            while backups.len() > MOST_BACKUPS && shorten(backups) {}
        }
        to_line(result, |result| {
            if !result.backups.as_mut().is_some_and(shorten) {
                result.message = cut(&result.message, result.message.len() / 2);
            }
        })
    }
}
