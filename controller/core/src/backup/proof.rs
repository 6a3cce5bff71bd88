//! What came of loading a backup into a server that is thrown away.

use std::fmt;

use super::facts::{Facts, UnreadableFacts};
use super::order::Check;
use crate::engine::Engine;
use crate::errand::cut;

/// The most differences that a sentence names.
const MOST_NAMED: usize = 4;
/// The longest text of a program that is shown, in bytes.
const LONGEST: usize = 400;

/// What the script left behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// Whether it came to its end.
    pub is_over: bool,
    /// Why there was no server to load it into.
    pub failure: Option<String>,
    /// What the client said when it stopped, and what of the dump that was about.
    pub broken: Option<(String, Option<Entry>)>,
    /// What is in the restored database.
    pub facts: Option<String>,
    /// What each check answered; an error where it did not.
    pub checks: Vec<Result<String, String>>,
}

/// Why a backup is not proven: one sentence each.
#[derive(Debug, thiserror::Error)]
pub enum NotProven {
    /// The script was ended.
    #[error("the proof was ended before it was done: look at the events of the Job's pod")]
    NotOver,
    /// There was no server.
    #[error("{}", cut(.0, LONGEST))]
    Failure(String),
    /// It does not load.
    #[error(
        "the backup does not load{}: {}; mend that in the database, since no later backup loads before",
        .1.as_ref().map(|entry| format!(", because of {entry}")).unwrap_or_default(), cut(.0, LONGEST)
    )]
    Broken(String, Option<Entry>),
    /// What is in it cannot be read.
    #[error("what is in the {0} database cannot be read: {1}")]
    Facts(&'static str, #[source] UnreadableFacts),
    /// Something is missing or otherwise.
    #[error("the backup does not hold what was backed up: {}", named(.0))]
    Differs(Vec<String>),
    /// A check does not answer as it must.
    #[error("the check {:?} of the restored database {why}", .name)]
    Check {
        /// Its name.
        name: String,
        /// What it answered.
        why: String,
    },
}

fn named(all: &[String]) -> String {
    let more = all.len().saturating_sub(MOST_NAMED);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{}{more}", all.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>().join(", "))
}

impl Findings {
    /// Whether the restored database has all that `source` says, and answers the checks. Returns how many rows there are.
    ///
    /// # Errors
    /// Why not: the first thing that is wrong.
    pub fn judge(&self, source: &str, checks: &[Check]) -> Result<u64, NotProven> {
        if !self.is_over {
            return Err(NotProven::NotOver);
        }
        if let Some(failure) = &self.failure {
            return Err(NotProven::Failure(failure.clone()));
        }
        if let Some((said, entry)) = &self.broken {
            return Err(NotProven::Broken(said.clone(), entry.clone()));
        }
        let source = Facts::read(source).map_err(|why| NotProven::Facts("original", why))?;
        let restored = Facts::read(self.facts.as_deref().unwrap_or_default());
        let restored = restored.map_err(|why| NotProven::Facts("restored", why))?;
        let differences = source.differences(&restored);
        if !differences.is_empty() {
            return Err(NotProven::Differs(differences.iter().map(ToString::to_string).collect()));
        }
        for (at, check) in checks.iter().enumerate() {
            let answered = match self.checks.get(at) {
                Some(Ok(text)) => number(text),
                Some(Err(said)) => Err(format!("fails: {}", cut(said, LONGEST))),
                None => Err("was not asked".to_owned()),
            };
            let min = check.min;
            let enough = answered.and_then(|(whole, shown)| {
                if whole >= i128::from(min) {
                    Ok(())
                } else {
                    Err(format!("answers {shown}, and must be {min} or more"))
                }
            });
            enough.map_err(|why| NotProven::Check { name: check.name.clone(), why })?;
        }
        Ok(source.rows())
    }
}

/// The whole part of a number as the server writes it, and how it is shown.
fn number(text: &str) -> Result<(i128, String), String> {
    let text = text.trim();
    if text.is_empty() || text == "NULL" {
        return Err("answers nothing: write a query of one number".to_owned());
    }
    let whole = text.split('.').next().unwrap_or_default();
    let is_number = text.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'.'));
    let read = whole.parse::<i128>().ok().filter(|_| is_number);
    // Below zero a fraction leads further down.
    let down = i128::from(whole.starts_with('-') && text.len() > whole.len());
    read.map(|whole| (whole - down, text.to_owned()))
        .ok_or_else(|| format!("answers {:?}, which is not one number", text.chars().take(40).collect::<String>()))
}

/// What a part of a dump makes, as the comment before it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry(String);

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads a dump line by line up to where something is wrong.
#[derive(Debug)]
pub struct EntryFinder {
    engine: Engine,
    last: Option<Entry>,
    in_rows: bool,
}

impl EntryFinder {
    /// In a dump of that kind of server.
    pub const fn new(engine: Engine) -> Self {
        Self { engine, last: None, in_rows: false }
    }

    /// The next line, without its end.
    pub fn line(&mut self, line: &[u8]) {
        if self.in_rows {
            self.in_rows = line != b"\\.";
        } else if line.starts_with(b"COPY ") {
            self.in_rows = line.ends_with(b" FROM stdin;");
        } else if line.starts_with(b"-- ")
            && let Some(found) = self.engine.entry(&String::from_utf8_lossy(line))
        {
            self.last = Some(Entry(cut(&found, LONGEST)));
        }
    }

    /// What the last line was about.
    pub fn found(self) -> Option<Entry> {
        self.last
    }
}
