//! What is loaded into a Database: by `init` before anybody sees it, or by a person's `drover restore` in place of what is there.
//!
//! A Job loads it into a new folder of the claim, beside the server, and an errand judges it and lays a link `next` there, which the server's
//! next start follows. Whoever dies in between leaves what was there as it was.

mod answer;
mod build;
mod order;
mod plan;
mod request;
mod runs;
mod status;
#[cfg(test)]
mod tests;

pub use answer::{Loaded, RestoreResult};
pub use build::{Target, job, selector, settings};
pub use order::RestoreOrder;
pub use plan::{DumpSource, InitSource, InvalidInit, Restore, RestoreSource, ValidatedInit};
pub use request::{BadWish, RestoreDue, RestoreRequest, Wish, due, wanted};
pub use runs::{RestoreRun, run};
pub use status::{conclude, news, note, pending};
