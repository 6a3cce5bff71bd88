//! The age keys with which an Environment's files are decrypted.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::render::{ObjectKey, Opened};
use crate::trouble::{Mend, Trouble};

/// How the names of keys of a Secret end that hold age keys.
const SUFFIX: &str = ".agekey";
/// Bytes that all age keys may have together: an environment variable has no room for more.
const LARGEST: usize = 64 << 10;

/// Age keys, one a line. They cannot be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct AgeKeys(String);

impl fmt::Debug for AgeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgeKeys(…)")
    }
}

impl AgeKeys {
    /// Reads what `age-keygen` writes: a key a line, and lines that are empty or comments.
    ///
    /// # Errors
    /// The number of a line that is something else, or 0 where there is no key at all.
    pub fn read(text: &str) -> Result<Self, usize> {
        let lines = text.lines().map(str::trim).enumerate();
        let mut keys = Vec::new();
        for (number, line) in lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#')) {
            if !is_age_key(line) {
                return Err(number + 1);
            }
            keys.push(line);
        }
        if keys.is_empty() { Err(0) } else { Ok(Self(keys.join("\n"))) }
    }

    /// One a line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether a line is an age key, whole and without a slip: it ends with the checksum of BIP 173. Keys of plugins, which run programs,
/// are none.
fn is_age_key(line: &str) -> bool {
    const LETTERS: &str = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    const GENERATORS: [u32; 5] = [0x3b6a_57b2, 0x2650_8e6d, 0x1ea1_19fa, 0x3d42_33dd, 0x2a14_62b3];
    let Some((prefix, data)) = line.rsplit_once('1') else { return false };
    if !matches!(prefix, "AGE-SECRET-KEY-" | "AGE-SECRET-KEY-PQ-") {
        return false;
    }
    let prefix = prefix.to_ascii_lowercase();
    let high = prefix.bytes().map(|byte| u32::from(byte >> 5));
    let low = prefix.bytes().map(|byte| u32::from(byte & 31));
    let data: Option<Vec<u32>> = data.chars().map(|c| u32::try_from(LETTERS.find(c)?).ok()).collect();
    let Some(data) = data.filter(|data| data.len() > 6) else { return false };
    let sum = high.chain([0]).chain(low).chain(data).fold(1_u32, |sum, value| {
        let top = sum >> 25;
        let next = (sum & 0x01ff_ffff) << 5 ^ value;
        GENERATORS.iter().enumerate().filter(|(bit, _)| top >> bit & 1 == 1).fold(next, |sum, (_, of)| sum ^ of)
    });
    sum == 1
}

/// Values that were encrypted, which no sentence may hold. They cannot be printed.
#[derive(Clone, Default)]
pub struct Secrets(Arc<[String]>);

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

impl Secrets {
    /// Those of what was decrypted.
    pub fn of(opened: Option<&Opened>) -> Self {
        Self(opened.map(Opened::secrets).unwrap_or_default().into())
    }

    /// Each.
    pub fn values(&self) -> &[String] {
        &self.0
    }
}

/// What the Secret that `spec.decryption` names brings.
#[derive(Clone, Debug)]
pub struct Keys {
    generation: Option<i64>,
    /// When to look again all the same, where changes are not told.
    pub again: Option<Duration>,
    age: AgeKeys,
}

impl Keys {
    /// From the Secret of that key, with what it has; `None` where it is not there. The spec has that generation; `again` says when to look
    /// again where changes are not told.
    ///
    /// # Errors
    /// There is no age key, or something else in its place. It holds nothing of the Secret.
    pub fn read(
        generation: Option<i64>,
        again: Option<Duration>,
        secret: &ObjectKey,
        data: Option<BTreeMap<String, Vec<u8>>>,
    ) -> Result<Self, Trouble> {
        let named = format!("{secret}, which spec.decryption.secretRef names,");
        let make = format!(
            "`kubectl create secret generic {} --from-file=age{SUFFIX}=FILE` makes one of what `age-keygen` wrote",
            secret.name
        );
        let trouble = |reason: &str, sentence: String| Trouble { again, ..Trouble::new(reason, sentence, Mend::Event) };
        let Some(data) = data else {
            return Err(trouble("DecryptionKeyMissing", format!("{named} is not there: {make}")));
        };
        let mut found = Vec::new();
        for (name, bytes) in data.iter().filter(|(name, _)| name.ends_with(SUFFIX)) {
            let keys = std::str::from_utf8(bytes).map_err(|_| 1).and_then(AgeKeys::read).map_err(|line| {
                let what = if line == 0 { "holds none".to_owned() } else { format!("has none in line {line}") };
                let sentence = format!(
                    "{named} is to hold age keys in {name}, which {what}: write whole lines that begin with AGE-SECRET-KEY-, as `age-keygen` does"
                );
                trouble("DecryptionKeyInvalid", sentence)
            })?;
            found.push(keys.0);
        }
        if found.is_empty() {
            let sentence = format!("{named} has no key whose name ends in {SUFFIX}: {make}");
            return Err(trouble("DecryptionKeyMissing", sentence));
        }
        let age = AgeKeys(found.join("\n"));
        if age.0.len() > LARGEST {
            let sentence = format!(
                "{named} has {} bytes of age keys, and at most {LARGEST} are used: remove those that no file is encrypted for",
                age.0.len()
            );
            return Err(trouble("DecryptionKeyInvalid", sentence));
        }
        Ok(Self { generation, again, age })
    }

    /// Whether they still hold for a spec of that generation, as far as changes are told.
    pub fn holds(&self, generation: Option<i64>) -> bool {
        self.generation == generation && self.again.is_none()
    }

    /// The keys themselves.
    pub fn age(&self) -> &AgeKeys {
        &self.age
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Both made by age-keygen for this test, and used nowhere.
    const KEY: &str = "AGE-SECRET-KEY-1V032LKVSPXP4SXKF9DKWP9NSSST3R6DEEDE487ETL2APX0N5YKQSHKHM38";
    const OTHER: &str = "AGE-SECRET-KEY-1WVGZ98AG8KDN0D0WRTMVUNTXAYMVULXFKZVD8VXDXLM3KDTFLFMQ9KVNHS";

    fn secret() -> ObjectKey {
        ObjectKey::namespaced("", "Secret", "shop", "age")
    }

    fn read(data: &[(&str, &str)]) -> Result<Keys, Trouble> {
        let data = data.iter().map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec())).collect();
        Keys::read(Some(3), None, &secret(), Some(data))
    }

    #[test]
    fn all_keys_of_all_entries_that_are_called_so_are_used() {
        let file = format!("# created: 2026-11-28T05:00:00Z\n# public key: age1…\n{KEY}\n\n");
        let keys = read(&[("a.agekey", &file), ("b.agekey", OTHER), ("note", "x")]).expect("keys");
        assert_eq!(keys.age().as_str(), format!("{KEY}\n{OTHER}"));
        assert!(keys.holds(Some(3)) && !keys.holds(Some(4)));
        assert!(!format!("{keys:?}").contains("AGE-SECRET"));
    }

    #[test]
    fn what_is_no_key_is_told_by_its_line_and_not_shown() {
        let slip = KEY.replace(&KEY[40..42], if &KEY[40..42] == "QQ" { "PP" } else { "QQ" });
        for (text, line) in [
            (KEY[..60].to_owned(), "line 1"),
            (format!("# a comment\n{slip}"), "line 2"),
            (KEY.to_lowercase(), "line 1"),
            ("AGE-PLUGIN-YUBIKEY-1QQPZRY9X8GF".to_owned(), "line 1"),
            ("hunter2".to_owned(), "line 1"),
            ("\n# nothing\n".to_owned(), "holds none"),
        ] {
            let trouble = read(&[("x.agekey", &text)]).expect_err("no key");
            assert_eq!(trouble.reason, "DecryptionKeyInvalid");
            assert!(trouble.sentence.contains(line) && trouble.sentence.contains("x.agekey"), "{trouble}");
            assert!(!trouble.sentence.contains("hunter2") && !trouble.sentence.contains(&KEY[20..50]), "{trouble}");
        }
    }

    #[test]
    fn a_secret_that_is_missing_or_has_none_is_told_with_the_command_that_makes_one() {
        for found in [Keys::read(None, None, &secret(), None), read(&[("age.txt", KEY)])] {
            let trouble = found.expect_err("no key");
            assert_eq!((trouble.reason.as_str(), trouble.mended_by), ("DecryptionKeyMissing", Mend::Event));
            assert!(
                trouble.sentence.contains("kubectl create secret generic age --from-file=age.agekey="),
                "{trouble}"
            );
        }
        let many = vec![KEY; 1000].join("\n");
        assert!(read(&[("x.agekey", &many)]).expect_err("too many").sentence.contains("at most 65536"));
    }
}
