//! A commit that is not applied, and why.

use std::fmt;

use drover_crds::ObjectFailure;

use crate::trouble::{Mend, Trouble};

/// One trouble that says the first of several things that are wrong with a commit, each with its place and its sentence, and keeps all.
pub fn several(reason: &str, mended_by: Mend, commit: &str, errors: impl Iterator<Item = (String, String)>) -> Trouble {
    let each: Vec<ObjectFailure> =
        errors.map(|(object, message)| ObjectFailure { object, reason: reason.to_owned(), message }).collect();
    let first = each.first().map(|f| f.message.clone()).unwrap_or_default();
    let more = each.len().saturating_sub(1);
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    let sentence = not_applied(commit, format_args!("{first}{more}"));
    Trouble { each, ..Trouble::new(reason, sentence, mended_by) }
}

/// That a commit is not applied, and why.
pub fn not_applied(commit: &str, why: impl fmt::Display) -> String {
    format!("Commit {commit} is not applied: {why}")
}
