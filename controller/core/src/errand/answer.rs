//! What the errand `sync` answers.

use serde::{Deserialize, Serialize};

use super::manifest::is_set_id;
use super::reason::Refusal;
use super::result::{Unbelievable, check_reason, cut, is_hex, read, to_line};

/// The longest sentence that is believed, in bytes.
const LONGEST_MESSAGE: usize = 1500;

/// The longest key or path that is told, in bytes: S3 allows keys of 1,024.
const LONGEST_PATH: usize = 1024;

/// How an errand ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// A set took the place of the one before.
    Published,
    /// The source holds what is published.
    Unchanged,
    /// What the source holds is not wanted. What was published stays.
    Refused,
    /// Something did not work. What was published stays.
    Failed,
}

/// What an errand answers, as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyncResult {
    /// How it ended.
    pub outcome: Outcome,
    /// The set that is published now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// How many files that set holds.
    #[serde(default)]
    pub files: u64,
    /// How many bytes these are.
    #[serde(default)]
    pub bytes: u64,
    /// How many files were fetched.
    #[serde(default)]
    pub fetched_files: u64,
    /// How many bytes were fetched.
    #[serde(default)]
    pub fetched_bytes: u64,
    /// How long it took, in seconds.
    #[serde(default)]
    pub took_seconds: u64,
    /// The digest of what is published, `sha256:` and 64 hexadecimal digits, of which the set's name are the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// The commit whose files they are, of a git source: 40 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// One CamelCase word: the outcome, or why it is none that was wished for.
    pub reason: String,
    /// One sentence: what, where, why, what to do.
    pub message: String,
    /// The key or path that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_path: Option<String>,
}

impl SyncResult {
    /// A result without a set.
    pub fn refused(refusal: &Refusal) -> Self {
        Self {
            outcome: if refusal.reason.is_refusal() { Outcome::Refused } else { Outcome::Failed },
            set: None,
            files: 0,
            bytes: 0,
            fetched_files: 0,
            fetched_bytes: 0,
            took_seconds: 0,
            digest: None,
            commit: None,
            reason: refusal.reason.to_string(),
            message: refusal.sentence.clone(),
            failed_path: refusal.path.clone(),
        }
    }

    /// Reads what a container left behind. It is believed no further than an errand could have written it.
    pub fn read(text: &str) -> Result<Self, Unbelievable> {
        let mut result: Self = read(text)?;
        let good = matches!(result.outcome, Outcome::Published | Outcome::Unchanged);
        if result.set.as_deref().map_or(good, |set| !is_set_id(set)) {
            return Err(Unbelievable::Field("set"));
        }
        let is_digest = |digest: &str| {
            digest
                .strip_prefix("sha256:")
                .is_some_and(|hex| is_hex(hex, 64) && result.set.as_deref().is_none_or(|set| hex.starts_with(set)))
        };
        if result.digest.as_deref().is_some_and(|digest| !is_digest(digest)) {
            return Err(Unbelievable::Field("digest"));
        }
        if result.commit.as_deref().is_some_and(|commit| !is_hex(commit, 40)) {
            return Err(Unbelievable::Field("commit"));
        }
        check_reason(&result.reason)?;
        result.bound();
        Ok(result)
    }

    /// The result as one line that [`SyncResult::read`] reads.
    ///
    /// # Panics
    ///
    /// Never: strings and numbers are JSON.
    pub fn to_text(&self) -> String {
        let mut result = self.clone();
        result.bound();
        to_line(result, |result| {
            result.failed_path = None;
            result.message = cut(&result.message, result.message.len() / 2);
        })
    }

    fn bound(&mut self) {
        self.message = cut(&self.message, LONGEST_MESSAGE);
        self.failed_path = self.failed_path.as_deref().map(|path| cut(path, LONGEST_PATH));
    }
}
