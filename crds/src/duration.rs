//! Durations as people write them in Kubernetes manifests: `30s`, `5m`, `24h`, `1h30m`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in whole seconds, written with the units `h`, `m` and `s`, each at most once and in that order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Duration(std::time::Duration);

impl Duration {
    /// The pattern that the API server checks.
    pub const PATTERN: &'static str = "^([0-9]{1,5}h)?([0-9]{1,5}m)?([0-9]{1,7}s)?$";

    /// A duration of that many seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// The number of seconds.
    pub const fn as_secs(self) -> u64 {
        self.0.as_secs()
    }
}

impl From<Duration> for std::time::Duration {
    fn from(value: Duration) -> Self {
        value.0
    }
}

impl FromStr for Duration {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            let shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
            format!("`{shown}` is not a duration: write hours, minutes and seconds such as 90s, 5m or 1h30m")
        };
        let mut rest = text;
        let mut seconds: u64 = 0;
        for (unit, factor) in [('h', 3600), ('m', 60), ('s', 1)] {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if digits > 0 && rest[digits..].starts_with(unit) {
                let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
                seconds = number.checked_mul(factor).and_then(|n| seconds.checked_add(n)).ok_or_else(wrong)?;
                rest = &rest[digits + 1..];
            }
        }
        if rest.is_empty() && !text.is_empty() { Ok(Self::from_secs(seconds)) } else { Err(wrong()) }
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.as_secs();
        let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if seconds > 0 || total == 0 {
            write!(f, "{seconds}s")?;
        }
        Ok(())
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Duration {
    fn schema_name() -> Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "pattern": Self::PATTERN, "minLength": 2, "maxLength": 20})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write_and_writes_it_back() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("24h", 86_400), ("1h30m", 5400), ("0s", 0)] {
            let read: Duration = text.parse().expect(text);
            assert_eq!(read.as_secs(), seconds);
            assert_eq!(read.to_string(), text);
        }
        for text in ["", "5", "m", "5x", "1m1h", "-1s", "1.5h", "99999999999999999999h"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
        let odd = format!("\u{1b}[2J{}", "x".repeat(9000)).parse::<Duration>().expect_err("nonsense");
        assert!(odd.len() < 200 && !odd.contains(char::is_control), "it is shown to people: {odd:?}");
    }
}
