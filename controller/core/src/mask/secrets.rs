//! Keeps secrets out of what people are shown.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::{Captures, Regex};

/// What stands in a secret's place.
const MASK: &str = "***";

/// The shortest value that is looked for: shorter ones would hide half of every line.
const SHORTEST: usize = 6;

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern, compiled by a test")
}

static IN_ADDRESS: LazyLock<Regex> = LazyLock::new(|| pattern(r"([A-Za-z][A-Za-z0-9+.-]*://[^\s:/@]*):[^\s/@]+@"));
static AUTHORIZATION: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?i)\b(bearer|basic)(\s+)[A-Za-z0-9._~+/=-]{6,}"));
static ASSIGNED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?i)([\w.-]*(?:passw(?:or)?d|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credential)[\w-]*["']?\s*[:=]\s*)("[^"]*"|'[^']*'|[^\s,;&]+)"#,
    )
});

/// Replaces every value of `secrets`, whole or line by line, plain or in Base64, and whatever looks like a password or token.
pub fn mask(text: &str, secrets: &[String]) -> String {
    let mut values: Vec<String> = secrets
        .iter()
        .flat_map(|secret| {
            let lines = secret.lines().map(|line| line.trim().to_owned());
            let encoded = STANDARD.encode(secret);
            [secret.trim().to_owned(), encoded].into_iter().chain(lines)
        })
        .filter(|value| value.chars().count() >= SHORTEST)
        .collect();
    // The longest first, or a secret that contains another would be left in part.
    values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
    values.dedup();
    let mut masked = text.to_owned();
    for value in &values {
        masked = masked.replace(value, MASK);
    }
    let masked = IN_ADDRESS.replace_all(&masked, |c: &Captures<'_>| format!("{}:{MASK}@", &c[1]));
    let masked = AUTHORIZATION.replace_all(&masked, |c: &Captures<'_>| format!("{}{}{MASK}", &c[1], &c[2]));
    ASSIGNED.replace_all(&masked, |c: &Captures<'_>| format!("{}{MASK}", &c[1])).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_looks_like_a_secret_is_hidden() {
        for (line, expected) in [
            ("connecting to mysql://stager:hunter2@db:3306/x", "connecting to mysql://stager:***@db:3306/x"),
            ("Authorization: Bearer abcdef.123", "Authorization: Bearer ***"),
            ("DB_PASSWORD=hunter2 host=db", "DB_PASSWORD=*** host=db"),
            (r#"{"api_key": "k 1", "user": "x"}"#, r#"{"api_key": ***, "user": "x"}"#),
            ("GET /?token=abc&x=1", "GET /?token=***&x=1"),
            ("listening at http://0.0.0.0:8000", "listening at http://0.0.0.0:8000"),
        ] {
            assert_eq!(mask(line, &[]), expected);
        }
    }

    #[test]
    fn the_values_of_secrets_are_hidden_in_all_their_forms() {
        let key = "-----BEGIN-----\nMIIBcafecafe\n-----END-----".to_owned();
        assert_eq!(mask("bad line MIIBcafecafe", std::slice::from_ref(&key)), "bad line ***");
        assert_eq!(mask(&STANDARD.encode(&key), &[key]), "***");
    }

    proptest! {
        #[test]
        fn no_secret_survives(
            secrets in prop::collection::vec("[a-zA-Z0-9/+-]{6,30}", 1..5),
            words in prop::collection::vec("[a-zA-Z0-9 =:@/.\n\"']{0,20}", 1..6),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        ) {
            let mut log = String::new();
            for (word, pick) in words.iter().zip(&picks) {
                log.push_str(word);
                log.push_str(&secrets[pick.index(secrets.len())]);
            }
            let shown = mask(&log, &secrets);
            for secret in &secrets {
                prop_assert!(!shown.contains(secret.as_str()), "{shown:?}");
            }
        }
    }
}
