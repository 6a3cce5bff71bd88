//! Which sets go.

use std::collections::BTreeSet;

/// A set in the claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Its name.
    pub id: String,
    /// When it was last published, in seconds since 1970.
    pub published: u64,
}

/// The sets that nobody can still be reading. What stays: `published`, those in use, the `keep` newest, and each whose place was
/// taken less than `keep_for` seconds ago: who began to read it then may still be at it.
pub fn to_remove(
    sets: &[Kept],
    published: &str,
    in_use: &BTreeSet<&str>,
    keep: u32,
    keep_for: u64,
    now: u64,
) -> Vec<String> {
    let mut newest_first: Vec<&Kept> = sets.iter().collect();
    newest_first.sort_by(|a, b| {
        let (a_is, b_is) = (a.id == published, b.id == published);
        b_is.cmp(&a_is).then(b.published.cmp(&a.published)).then(a.id.cmp(&b.id))
    });
    let keep = usize::try_from(keep.max(1)).unwrap_or(usize::MAX);
    let mut remove = Vec::new();
    for (at, set) in newest_first.iter().enumerate().skip(1) {
        let replaced = newest_first[at - 1].published;
        let is_old = replaced.saturating_add(keep_for) <= now;
        if at >= keep && is_old && !in_use.contains(set.id.as_str()) {
            remove.push(set.id.clone());
        }
    }
    remove
}
