//! How far an errand is, as it says line by line.

use serde::{Deserialize, Serialize};

/// A line of an errand's output: how much of what has to be fetched is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Progress {
    /// Files that are whole.
    pub files: u64,
    /// Of so many.
    pub of_files: u64,
    /// Bytes that are there.
    pub bytes: u64,
    /// Of so many; 0 where that is not known.
    pub of_bytes: u64,
    /// Bytes that came in the last second.
    pub bytes_per_second: u64,
}

impl Progress {
    /// Reads a line; `None` for any other.
    pub fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line.trim()).ok()
    }

    /// How much of it is done, in 0..=1: by bytes where their number is known, else by files.
    pub fn part(&self) -> f64 {
        let (done, all) = if self.of_bytes > 0 { (self.bytes, self.of_bytes) } else { (self.files, self.of_files) };
        #[expect(clippy::cast_precision_loss, reason = "a bar has no more than a few dozen steps")]
        let part = done as f64 / all.max(1) as f64;
        part.min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_read_back_and_nothing_else_is() {
        let progress = Progress { files: 1, of_files: 4, bytes: 10, of_bytes: 100, bytes_per_second: 7 };
        let line = serde_json::to_string(&progress).expect("JSON");
        assert_eq!(Progress::parse(&format!("{line}\n")), Some(progress));
        assert_eq!([Progress::parse(""), Progress::parse("{}"), Progress::parse("a warning")], [None; 3]);
    }

    #[test]
    fn bytes_count_where_their_number_is_known() {
        let progress = Progress { files: 1, of_files: 4, bytes: 10, of_bytes: 100, bytes_per_second: 7 };
        let percent = |progress: Progress| (progress.part() * 100.0).round();
        assert!((percent(progress) - 10.0).abs() < 0.1);
        assert!((percent(Progress { of_bytes: 0, ..progress }) - 25.0).abs() < 0.1);
        assert!((percent(Progress { bytes: 900, ..progress }) - 100.0).abs() < 0.1);
        assert!(percent(Progress::default()).abs() < 0.1);
    }
}
