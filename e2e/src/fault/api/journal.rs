//! The record of the requests that drover made, and which of them met a fault.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::call::Call;
use super::plan::Fault;

/// One request.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// When it was made, in milliseconds since 1970.
    pub at: u64,
    /// What it asked for.
    #[serde(flatten)]
    pub call: Call,
    /// What happened to it.
    pub fault: Option<Fault>,
}

/// A file of entries.
pub struct Journal {
    file: Mutex<File>,
}

impl Journal {
    /// Adds to the file at `path`.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        Ok(Self { file: Mutex::new(OpenOptions::new().create(true).append(true).open(path)?) })
    }

    /// Notes a request, before anything happens to it.
    pub(super) fn note(&self, call: &Call, fault: Option<&Fault>) {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let entry = Entry { at: u64::try_from(at).unwrap_or(u64::MAX), call: call.clone(), fault: fault.cloned() };
        let line = serde_json::to_string(&entry).expect("an entry is plain data") + "\n";
        // One write for a line, so that a killed process leaves whole lines.
        self.file
            .lock()
            .expect("no holder of this lock panics")
            .write_all(line.as_bytes())
            .expect("the journal's file");
    }

    /// What is in the file at `path` so far, in the order in which the requests were made.
    pub fn read(path: &Path) -> Vec<Entry> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        // A reader may see a line of which the rest is still being written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_still_being_written_does_not_count_yet() {
        let folder = tempfile::tempdir().expect("the temporary folder is ours to write");
        let path = folder.path().join("journal");
        let journal = Journal::open(&path).expect("the file can be made");
        journal.note(&Call { verb: "get".into(), ..Call::default() }, None);
        journal.note(&Call { verb: "patch".into(), ..Call::default() }, None);
        let text = std::fs::read_to_string(&path).expect("the journal");
        std::fs::write(&path, &text[..text.len() - 7]).expect("the file can be written");
        let verbs: Vec<String> = Journal::read(&path).into_iter().map(|entry| entry.call.verb).collect();
        assert_eq!(verbs, ["get"]);
        assert!(Journal::read(&folder.path().join("none")).is_empty());
    }
}
