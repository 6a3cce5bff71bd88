//! What is in a database, as its own catalogue tells it, and whether a restored one has it all.
//!
//! A dump that is cut at the right place loads without an error, with all rows: what is missing then is only found by comparing.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The most bytes that are read of them.
const LARGEST: usize = 64 << 20;
/// The longest name that is shown, in characters.
const LONGEST: usize = 160;

/// What something in a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FactKind {
    /// The database itself.
    Database,
    /// A role that owns something, or may do something.
    Role,
    /// An extension.
    Extension,
    /// A table; its value is the number of rows.
    Table,
    /// A view.
    View,
    /// A view that is kept.
    MaterializedView,
    /// An index; its value is what kind.
    Index,
    /// A constraint; its value is what kind.
    Constraint,
    /// A column; its value is its type.
    Column,
    /// A sequence; its value is where it is.
    Sequence,
    /// A sequence, when the dump was done: nothing holds it still meanwhile.
    SequenceLater,
    /// What a table numbers its next row with.
    AutoIncrement,
    /// A trigger.
    Trigger,
    /// What is done by the clock.
    Event,
    /// A function; of PostgreSQL also a procedure.
    Function,
    /// A procedure of MariaDB.
    Procedure,
    /// Large objects; the value is how many.
    LargeObjects,
    /// The end: there is no more.
    End,
}

/// One thing in a database.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fact {
    /// What it is.
    pub kind: FactKind,
    /// Its name, with its schema.
    #[serde(default)]
    pub name: String,
    /// The table that it is of.
    #[serde(default)]
    pub of: Option<String>,
    /// What else is known of it.
    #[serde(default)]
    pub value: Option<String>,
    /// What keeps a table, where that takes no part in a snapshot.
    #[serde(default)]
    pub engine: Option<String>,
}

/// What is in a database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts(BTreeMap<(FactKind, String), Fact>);

/// Why they are not taken.
#[derive(Debug, thiserror::Error)]
pub enum UnreadableFacts {
    /// The file is too long.
    #[error("it is longer than {LARGEST} bytes")]
    TooLong,
    /// It is cut.
    #[error("it ends before its last line")]
    Cut,
    /// A line is no fact.
    #[error("line {0} is none that the script writes")]
    Line(usize),
}

/// What is there in place of something.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    /// Nothing of its name.
    Missing,
    /// The same, with another value, or none.
    Other(Option<String>),
}

/// Something that did not come back as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    kind: FactKind,
    name: String,
    of: Option<String>,
    was: Option<String>,
    found: Found,
    engine: Option<String>,
}

impl Facts {
    /// Reads lines of JSON, the last of which is the end.
    ///
    /// # Errors
    /// What is not all of what the script writes.
    pub fn read(text: &str) -> Result<Self, UnreadableFacts> {
        if text.len() > LARGEST {
            return Err(UnreadableFacts::TooLong);
        }
        let mut facts = BTreeMap::new();
        let mut is_over = false;
        for (at, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            let fact: Fact = serde_json::from_str(line).map_err(|_| UnreadableFacts::Line(at + 1))?;
            if is_over {
                return Err(UnreadableFacts::Line(at + 1));
            }
            is_over = fact.kind == FactKind::End;
            facts.insert((fact.kind, fact.name.clone()), fact);
        }
        if is_over { Ok(Self(facts)) } else { Err(UnreadableFacts::Cut) }
    }

    fn of_kind(&self, kind: FactKind) -> impl Iterator<Item = &Fact> {
        self.0.values().filter(move |fact| fact.kind == kind)
    }

    /// How many tables there are.
    pub fn tables(&self) -> u64 {
        self.of_kind(FactKind::Table).count() as u64
    }

    /// How many rows these have.
    pub fn rows(&self) -> u64 {
        let rows = self.of_kind(FactKind::Table).filter_map(|fact| fact.value.as_deref()?.parse::<u64>().ok());
        rows.fold(0, u64::saturating_add)
    }

    /// What of this is missing or otherwise in `restored`: what matters most first.
    pub fn differences(&self, restored: &Self) -> Vec<Difference> {
        let compared = self.0.values().filter(|fact| {
            !matches!(fact.kind, FactKind::Database | FactKind::Role | FactKind::SequenceLater | FactKind::End)
        });
        compared.filter_map(|was| self.difference(was, restored)).collect()
    }

    fn difference(&self, was: &Fact, restored: &Self) -> Option<Difference> {
        let found = restored.0.get(&(was.kind, was.name.clone()));
        let is_same = found.is_some_and(|found| match was.kind {
            // Another version of the image may bring another version of the extension.
            FactKind::Extension
            | FactKind::View
            | FactKind::MaterializedView
            | FactKind::Function
            | FactKind::Procedure => true,
            FactKind::Sequence => {
                let later = self.0.get(&(FactKind::SequenceLater, was.name.clone()));
                is_between(was.value.as_deref(), later.and_then(|l| l.value.as_deref()), found.value.as_deref())
            }
            // Rows that were numbered by hand may have led further than the number that was next.
            FactKind::AutoIncrement => {
                let number = |fact: &Fact| fact.value.as_deref().and_then(|value| value.parse::<u64>().ok());
                number(found).zip(number(was)).is_some_and(|(found, was)| found >= was)
            }
            _ => found.value == was.value && found.of == was.of,
        });
        (!is_same).then(|| Difference {
            kind: was.kind,
            name: was.name.clone(),
            of: was.of.clone(),
            was: was.value.clone(),
            found: found.map_or(Found::Missing, |found| Found::Other(found.value.clone())),
            engine: was.engine.clone(),
        })
    }
}

/// Whether a sequence that was at `before` when the dump began, and at `after` when it was done, may have been dumped at `found`.
fn is_between(before: Option<&str>, after: Option<&str>, found: Option<&str>) -> bool {
    let Some(after) = after.filter(|after| Some(*after) != before) else { return found == before };
    // `5` is what was taken last, and `5 unused` what comes next.
    let number = |value: &str| value.split(' ').next().and_then(|number| number.parse::<i64>().ok());
    match (before.and_then(number), number(after), found.and_then(number)) {
        (Some(before), Some(after), Some(found)) => (before.min(after)..=before.max(after)).contains(&found),
        _ => false,
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            FactKind::Database => "database",
            FactKind::Role => "role",
            FactKind::Extension => "extension",
            FactKind::Table => "table",
            FactKind::View => "view",
            FactKind::MaterializedView => "materialized view",
            FactKind::Index => "index",
            FactKind::Constraint => "constraint",
            FactKind::Sequence | FactKind::SequenceLater => "sequence",
            FactKind::Column => "column",
            FactKind::AutoIncrement => "AUTO_INCREMENT of table",
            FactKind::Event => "event",
            FactKind::Trigger => "trigger",
            FactKind::Function => "function",
            FactKind::Procedure => "procedure",
            FactKind::LargeObjects => "large objects",
            FactKind::End => "end",
        };
        let shown = |text: &str| text.chars().take(LONGEST).flat_map(char::escape_debug).collect::<String>();
        write!(f, "{kind} {}", shown(&self.name))?;
        if let Some(of) = &self.of {
            write!(f, " of {}", shown(of))?;
        }
        let Found::Other(found) = &self.found else { return f.write_str(" is missing") };
        let value = |value: &Option<String>| shown(value.as_deref().unwrap_or("nothing"));
        match self.kind {
            FactKind::Table => {
                write!(f, " has {} rows in place of {}", value(found), value(&self.was))?;
                self.engine.as_deref().map_or(Ok(()), |engine| {
                    write!(
                        f,
                        " (its engine, {}, takes no part in a snapshot: `alter table … engine=InnoDB`)",
                        shown(engine)
                    )
                })
            }
            FactKind::Sequence | FactKind::AutoIncrement => {
                write!(f, " is at {} in place of {}", value(found), value(&self.was))
            }
            _ => write!(f, " is {} in place of {}", value(found), value(&self.was)),
        }
    }
}
