//! What the answers of all errands have in common: each is one line of JSON that fits a termination message.

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The longest text that a result may be, in bytes: Kubernetes cuts a termination message there.
pub const LARGEST_RESULT: usize = 4096;
/// The longest word, in bytes.
const LONGEST_WORD: usize = 64;

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

/// Reads what a container left behind.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Unbelievable> {
    if text.trim().is_empty() {
        return Err(Unbelievable::Nothing);
    }
    if text.len() > LARGEST_RESULT {
        return Err(Unbelievable::TooLong);
    }
    serde_json::from_str(text).map_err(Unbelievable::Unreadable)
}

/// The result as one line that [`read`] reads: `shorten` is asked again and again to make less of it, because escapes may make a text six
/// times as long.
pub(crate) fn to_line<T: Serialize>(mut result: T, mut shorten: impl FnMut(&mut T)) -> String {
    loop {
        let text = serde_json::to_string(&result).expect("strings and numbers are JSON");
        if text.len() <= LARGEST_RESULT {
            return text;
        }
        shorten(&mut result);
    }
}

/// Checks that a reason is one CamelCase word.
pub(crate) fn check_reason(reason: &str) -> Result<(), Unbelievable> {
    let is_word = reason.len() <= LONGEST_WORD
        && reason.starts_with(|c: char| c.is_ascii_uppercase())
        && reason.chars().all(|c| c.is_ascii_alphanumeric());
    if is_word { Ok(()) } else { Err(Unbelievable::Field("reason")) }
}

/// Whether it is so many hexadecimal digits, as a digest or an id is written.
pub(crate) fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
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
