//! Whether what a source holds is what somebody meant to publish.

use std::collections::BTreeMap;

use super::manifest::{File, Manifest};
use super::order::Guard;
use super::reason::{Reason, Refusal};

/// How many files and bytes an entry of the source's paths gave.
#[derive(Clone, Copy, Default)]
struct Amount {
    files: u64,
    bytes: u64,
}

/// Refuses `now` where the guard does. `entries` are those of the source's paths; each is judged by itself, so that one that was
/// emptied does not hide behind large others.
pub fn judge(guard: &Guard, entries: &[String], before: Option<&Manifest>, now: &Manifest) -> Result<(), Refusal> {
    let (had, has) = (before.map(amounts).unwrap_or_default(), amounts(now));
    for entry in entries {
        let name = if entry.is_empty() { "the source".to_owned() } else { format!("`{}`", entry.escape_debug()) };
        let has = has.get(entry.as_str()).copied().unwrap_or_default();
        let had = had.get(entry.as_str());
        if has.files == 0 {
            let then = match had {
                Some(had) => format!(" and gave {} files before", had.files),
                None => String::new(),
            };
            let sentence = format!("{name} holds nothing{then}: mend the source, or the entry of paths");
            return Err(Refusal::of(Reason::Empty, entry, sentence));
        }
        if let (Some(most), Some(had)) = (guard.max_shrink, had) {
            for (before, now, what) in [(had.files, has.files, "files"), (had.bytes, has.bytes, "bytes")] {
                if shrank_more(before, now, most) {
                    let sentence = format!(
                        "{name} holds {now} {what} and held {before}, which is less by more than {most}%: mend the source, \
                         or raise maxShrink for one sync"
                    );
                    return Err(Refusal::of(Reason::Shrunk, entry, sentence));
                }
            }
        }
    }
    for path in &guard.require {
        let folder = format!("{}/", path.trim_end_matches('/'));
        let is_there = |file: &File| file.path.starts_with(&folder) || (file.path == *path);
        if !now.files().iter().any(is_there) {
            let sentence = format!("{path} is required and not in the source: mend the source, or the guard");
            return Err(Refusal::of(Reason::Missing, path, sentence));
        }
    }
    let too_small = |file: &&File| guard.min_bytes.is_some_and(|least| file.size < least);
    if let Some(file) = now.files().iter().find(too_small) {
        let sentence = format!(
            "{} has {} bytes, less than the {} of minBytes: mend the source, or the guard",
            file.path.escape_debug(),
            file.size,
            guard.min_bytes.unwrap_or_default()
        );
        return Err(Refusal::of(Reason::TooSmall, &file.path, sentence));
    }
    now.files()
        .iter()
        .filter_map(|file| Some((file, file.content_type.as_deref()?)))
        .try_for_each(|(file, given)| judge_content_type(guard, &file.path, Some(given)))
}

/// Refuses a file of a type that the guard does not list. Without a list, a page of a web server is refused where the file's name
/// says that it is something else: so answer servers that have nothing to give.
pub fn judge_content_type(guard: &Guard, path: &str, given: Option<&str>) -> Result<(), Refusal> {
    let given = given.map(|given| given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    let sentence = match given.as_deref().filter(|given| !given.is_empty()) {
        _ if guard.content_types.is_empty() && !is_unexpected_page(path, given.as_deref()) => return Ok(()),
        Some(given) if guard.content_types.iter().any(|allowed| is_of(given, allowed)) => return Ok(()),
        Some(given) => format!(
            "{} came as `{}`{}: mend the source, or list the type in contentTypes",
            path.escape_debug(),
            given.escape_debug(),
            if guard.content_types.is_empty() { ", a page and not a file of that name" } else { "" }
        ),
        None => format!("{} came without a type: mend the source, or leave contentTypes out", path.escape_debug()),
    };
    Err(Refusal::of(Reason::WrongType, path, sentence))
}

/// For how many seconds to wait until nothing was changed for as long as the guard asks; 0 for not at all. Times are in seconds
/// since 1970.
pub fn settles_in(guard: &Guard, newest: Option<i64>, now: i64) -> u64 {
    let (Some(settle), Some(newest)) = (guard.settle_seconds, newest) else { return 0 };
    let settled = newest.saturating_add_unsigned(settle);
    u64::try_from(settled.saturating_sub(now)).unwrap_or(0)
}

fn amounts(manifest: &Manifest) -> BTreeMap<&str, Amount> {
    let mut amounts: BTreeMap<&str, Amount> = BTreeMap::new();
    for file in manifest.files() {
        let amount = amounts.entry(&file.entry).or_default();
        amount.files += 1;
        amount.bytes = amount.bytes.saturating_add(file.size);
    }
    amounts
}

fn shrank_more(before: u64, now: u64, most: u8) -> bool {
    u128::from(now) * 100 < u128::from(before) * u128::from(100 - most.min(100))
}

fn is_of(given: &str, allowed: &str) -> bool {
    let allowed = allowed.to_ascii_lowercase();
    match allowed.strip_suffix('*') {
        Some(family) if family.ends_with('/') => given.starts_with(family),
        _ => given == allowed,
    }
}

fn is_unexpected_page(path: &str, given: Option<&str>) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    let is_page = matches!(ending.as_str(), "" | "html" | "htm" | "xhtml" | "shtml");
    matches!(given, Some("text/html" | "application/xhtml+xml")) && !is_page
}
