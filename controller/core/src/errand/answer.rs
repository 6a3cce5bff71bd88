//! What the errand `sync` answers.

use serde::{Deserialize, Serialize};

use super::manifest::is_set_id;
use super::reason::Refusal;

/// The longest text that a result may be, in bytes: Kubernetes cuts a termination message there.
pub const LARGEST_RESULT: usize = 4096;

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

/// Why a text is not taken for a result.
#[derive(Debug, thiserror::Error)]
pub enum Unbelievable {
    /// It ended without a word, as a container does that was killed.
    #[error("the errand ended without a result")]
    Nothing,
    /// It is longer than a termination message.
    #[error("the errand's result is longer than {LARGEST_RESULT} bytes")]
    TooLong,
    /// It is no result.
    #[error("the errand's result cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// A field holds what no errand writes.
    #[error("the errand's result has a {0} that no errand writes")]
    Field(&'static str),
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
        if text.trim().is_empty() {
            return Err(Unbelievable::Nothing);
        }
        if text.len() > LARGEST_RESULT {
            return Err(Unbelievable::TooLong);
        }
        let mut result: Self = serde_json::from_str(text).map_err(Unbelievable::Unreadable)?;
        let good = matches!(result.outcome, Outcome::Published | Outcome::Unchanged);
        if result.set.as_deref().map_or(good, |set| !is_set_id(set)) {
            return Err(Unbelievable::Field("set"));
        }
        let is_digest = |digest: &str| {
            digest.strip_prefix("sha256:").is_some_and(|hex| {
                hex.len() == 64
                    && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
                    && result.set.as_deref().is_none_or(|set| hex.starts_with(set))
            })
        };
        if result.digest.as_deref().is_some_and(|digest| !is_digest(digest)) {
            return Err(Unbelievable::Field("digest"));
        }
        let is_commit = |id: &str| id.len() == 40 && id.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if result.commit.as_deref().is_some_and(|commit| !is_commit(commit)) {
            return Err(Unbelievable::Field("commit"));
        }
        if result.reason.len() > 64
            || !result.reason.starts_with(|c: char| c.is_ascii_uppercase())
            || !result.reason.chars().all(|c| c.is_ascii_alphanumeric())
        {
            return Err(Unbelievable::Field("reason"));
        }
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
        // Escapes may make a text six times as long.
        loop {
            let text = serde_json::to_string(&result).expect("strings and numbers are JSON");
            if text.len() <= LARGEST_RESULT {
                return text;
            }
            result.failed_path = None;
            result.message = cut(&result.message, result.message.len() / 2);
        }
    }

    fn bound(&mut self) {
        self.message = cut(&self.message, LONGEST_MESSAGE);
        self.failed_path = self.failed_path.as_deref().map(|path| cut(path, LONGEST_PATH));
    }
}

/// At most so many bytes of it, in one line, without what a terminal would obey.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let room = if text.len() <= most { most } else { most.saturating_sub('…'.len_utf8()) };
    let mut kept = String::with_capacity(text.len().min(most));
    for c in text.chars() {
        let c = if c.is_control() { '\u{fffd}' } else { c };
        if kept.len() + c.len_utf8() > room {
            kept.push('…');
            break;
        }
        kept.push(c);
    }
    kept
}
