//! What a DataSync asks for and what became of it: its spec × what is known → the objects that keep its volume filled; the Jobs that
//! ran → what is published, and what a person reads.

mod build;
mod children;
mod followed;
mod freshness;
mod invalid;
mod published;
mod rejection;
mod request;
mod runs;
mod slots;
mod status;
#[cfg(test)]
mod tests;
mod validate;

pub use build::{ErrandImage, children, job, made_up_job};
pub use children::SyncChildren;
pub use followed::Followed;
pub use freshness::{Freshness, Refresh, moment, patience, stamp};
pub use invalid::Invalid;
pub use published::{SETS, data_set};
pub use rejection::Rejection;
pub use request::{Due, Request, due};
pub(crate) use runs::ended;
pub use runs::{End, Run, run, selector, sets_in_use};
pub use slots::{Catch, Missed, catch_up, clock_change, note_next};
pub use status::{LAST_SYNC_FAILED, conclude, news, note};
pub use validate::{ValidatedSync, validate};
