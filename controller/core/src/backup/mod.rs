//! A backup of a database: what its errands are asked and what they answer, what is in a database and whether all of it came back, which
//! backups go. The objects that make backups are here too, and what the Jobs that ran say.
//!
//! A backup is three steps in one pod, and a fourth that says what came of them: the database's own programs dump it, an errand stores the
//! dump and takes it out again, the database's programs load that into a server that is thrown away, and an errand compares.

mod answer;
pub(crate) mod build;
mod facts;
mod keep;
mod name;
mod order;
mod proof;
mod request;
mod required;
pub(crate) mod runs;
mod status;
#[cfg(test)]
mod tests;
mod validate;

pub use answer::{BackupResult, Ended, Kept};
pub use build::{Server, claim, cron_job, job, made_up_job, selector, settings};
pub use facts::{Difference, Fact, FactKind, Facts, UnreadableFacts};
pub use keep::{Candidate, Keep, to_forget};
pub use name::{BackupName, BadName};
pub use order::{BackupOrder, BucketPlace, Check, Repository};
pub use proof::{Entry, EntryFinder, Findings, NotProven};
pub(crate) use request::id as request_id;
pub use request::{Catch, Due, Missed, Request, catch_up, due};
pub use required::{Required, required};
pub use runs::{End, Run, run};
pub(crate) use status::NOTED;
pub use status::{conclude, news, none, note};
pub use validate::{InvalidBackup, ValidatedBackup};
