//! What several targets ask of what they got.

/// The longest sentence for a person: a condition's message holds 32 KiB, and an event's 1 KiB is cut from it.
const LONGEST: usize = 8 << 10;

/// Asserts that `text` can be shown to a person: one line of bounded length, without control characters.
pub fn assert_sentence(text: &str) {
    assert!(text.len() <= LONGEST, "{} bytes are no sentence: {}…", text.len(), &text[..200]);
    assert!(!text.chars().any(char::is_control), "it has control characters: {text:?}");
}

/// Cuts `data` at its first line feeds into `N` parts; the last takes the rest, and missing ones are empty.
pub fn parts<const N: usize>(data: &[u8]) -> [&[u8]; N] {
    let mut rest = data.splitn(N, |byte| *byte == b'\n');
    std::array::from_fn(|_| rest.next().unwrap_or_default())
}

/// The same for text.
pub fn texts<const N: usize>(text: &str) -> [&str; N] {
    let mut rest = text.splitn(N, '\n');
    std::array::from_fn(|_| rest.next().unwrap_or_default())
}
