//! The errand `prune-logs`: removes access logs whose days are long over. A log's day is in its name; what has another name stays.

use std::fs;
use std::io;
use std::path::Path;

use jiff::civil::Date;

/// Days beyond those that a log is kept: the log's day is a local one, and may end when that of UTC is over.
const ALLOWANCE: i32 = 1;

/// The day of `access-YYYY-MM-DD.log`.
fn day(name: &str) -> Option<Date> {
    let day = name.strip_prefix("access-")?.strip_suffix(".log")?;
    day.parse().ok().filter(|parsed: &Date| parsed.to_string() == day)
}

/// Removes from `folder` the logs that are older than `keep_days` on the day `today`; how many.
pub fn prune(folder: &Path, keep_days: u32, today: Date) -> io::Result<usize> {
    let keep = i32::try_from(keep_days).unwrap_or(i32::MAX).saturating_add(ALLOWANCE);
    let mut removed = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let old = entry.file_name().to_str().and_then(day).is_some_and(|day| (today - day).get_days() > keep);
        if old && entry.file_type()?.is_file() {
            fs::remove_file(entry.path())?;
            removed += 1;
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logs_go_by_the_day_in_their_names() {
        let folder = tempfile::tempdir().expect("a folder");
        let stay = ["access-2026-11-20.log", "access-2026-11-18.log", "access-2026-1-1.log", "report-2026-01-01.json"];
        let go = ["access-2026-11-17.log", "access-2025-12-31.log"];
        for name in stay.iter().chain(&go) {
            fs::write(folder.path().join(name), "").expect("a file");
        }
        fs::create_dir(folder.path().join("access-2020-01-01.log")).expect("a folder of that name");
        let today = "2026-11-20".parse().expect("a day");
        assert_eq!(prune(folder.path(), 1, today).expect("it can be read"), 2);
        for name in stay {
            assert!(folder.path().join(name).exists(), "{name} is gone");
        }
        assert!(folder.path().join("access-2020-01-01.log").exists());
        assert!(prune(&folder.path().join("none"), 1, today).is_err());
    }
}
