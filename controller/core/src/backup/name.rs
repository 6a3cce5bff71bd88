//! What a backup is called: the second at which it was stored, in UTC, such as `20261127T020005Z`.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

const FORMAT: &str = "%Y%m%dT%H%M%SZ";
const LENGTH: usize = 16;

/// The name of a backup. Later ones are greater.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BackupName(String);

/// What is no name of a backup.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name of a backup, such as 20261127T020005Z: `drover status` lists those that there are")]
pub struct BadName(String);

impl BackupName {
    /// Of a backup that is stored at that time.
    pub fn of(at: Timestamp) -> Self {
        Self(at.to_zoned(TimeZone::UTC).strftime(FORMAT).to_string())
    }

    /// When that was.
    pub fn at(&self) -> Option<Timestamp> {
        let time = jiff::civil::DateTime::strptime(FORMAT, &self.0).ok()?;
        time.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp())
    }

    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for BackupName {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName(text.chars().take(40).collect());
        let is_written_so = |(at, b): (usize, u8)| match at {
            8 => b == b'T',
            15 => b == b'Z',
            _ => b.is_ascii_digit(),
        };
        if text.len() != LENGTH || !text.bytes().enumerate().all(is_written_so) {
            return Err(bad());
        }
        let is_a_time = jiff::civil::DateTime::strptime(FORMAT, text).is_ok();
        is_a_time.then(|| Self(text.to_owned())).ok_or_else(bad)
    }
}

impl TryFrom<String> for BackupName {
    type Error = BadName;

    fn try_from(text: String) -> Result<Self, BadName> {
        text.parse()
    }
}

impl From<BackupName> for String {
    fn from(name: BackupName) -> Self {
        name.0
    }
}

impl fmt::Display for BackupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
