//! Names of what a repository holds, as git gives them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A commit's full id: 40 lower-case hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CommitId(String);

/// The id of a folder's (or a file's) content: equal ids mean equal content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct TreeId(String);

macro_rules! id {
    ($name:ident) => {
        impl $name {
            /// Reads 40 lower-case hexadecimal digits.
            pub fn parse(text: &str) -> Option<Self> {
                let fits = text.len() == 40 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
                fits.then(|| Self(text.to_owned()))
            }

            /// The digits.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                Self::parse(&text).ok_or_else(|| format!("`{text}` is not the id of a git object"))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(CommitId);
id!(TreeId);

impl CommitId {
    /// The first 12 digits, for people.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// What drover shows of a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitInfo {
    /// Its full id.
    pub id: CommitId,
    /// The id of its root folder.
    pub tree: TreeId,
    /// First line of its message, at most 200 characters.
    pub message: String,
    /// Its author's name, at most 100 characters.
    pub author: String,
    /// When it was committed, by the committer's clock.
    pub time: Timestamp,
}

#[cfg(test)]
impl CommitInfo {
    /// A commit whose ids are that digit, again and again.
    pub(super) fn of_digit(digit: char) -> Self {
        let id = digit.to_string().repeat(40);
        Self {
            id: CommitId::parse(&id).expect("40 digits"),
            tree: TreeId::parse(&id).expect("40 digits"),
            message: "Ship it".into(),
            author: "Ada".into(),
            time: jiff::Timestamp::UNIX_EPOCH,
        }
    }
}
