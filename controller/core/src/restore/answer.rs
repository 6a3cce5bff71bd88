//! What a restore came to.

use serde::{Deserialize, Serialize};

use crate::errand::{Refusal, Unbelievable, check_reason, cut, read, to_line};

/// The longest message, and the longest name of what was loaded, in bytes.
const LONGEST_MESSAGE: usize = 1500;
const LONGEST_NAME: usize = 400;

/// How a restore ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Loaded {
    /// It is loaded and checked, and the server's next start follows it.
    Restored,
    /// There is data already, which stays.
    Present,
    /// It is not loaded. What was there is as it was.
    Failed,
}

/// What the errands of a restore answer, as one line of JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RestoreResult {
    /// How it ended.
    pub ended: Loaded,
    /// One CamelCase word.
    pub reason: String,
    /// One sentence: what, where, why, what to do.
    pub message: String,
    /// What was loaded.
    #[serde(default)]
    pub from: String,
    /// How many rows there are.
    #[serde(default)]
    pub rows: u64,
    /// How long it took, in seconds.
    #[serde(default)]
    pub took_seconds: u64,
}

impl RestoreResult {
    /// A result of what did not come to its end.
    pub fn failed(refusal: &Refusal) -> Self {
        let (reason, message) = (refusal.reason.to_string(), refusal.sentence.clone());
        Self { ended: Loaded::Failed, reason, message, from: String::new(), rows: 0, took_seconds: 0 }
    }

    /// Reads what a container left behind. It is believed no further than an errand could have written it.
    ///
    /// # Errors
    /// Why it is none.
    pub fn read(text: &str) -> Result<Self, Unbelievable> {
        let mut result: Self = read(text)?;
        check_reason(&result.reason)?;
        if result.ended == Loaded::Restored && result.from.is_empty() {
            return Err(Unbelievable::Field("from"));
        }
        result.bound();
        Ok(result)
    }

    /// The result as one line that [`RestoreResult::read`] reads.
    ///
    /// # Panics
    ///
    /// Never: strings and numbers are JSON.
    pub fn to_text(&self) -> String {
        let mut result = self.clone();
        result.bound();
        to_line(result, |result| result.message = cut(&result.message, result.message.len() / 2))
    }

    fn bound(&mut self) {
        self.message = cut(&self.message, LONGEST_MESSAGE);
        self.from = cut(&self.from, LONGEST_NAME);
    }
}
