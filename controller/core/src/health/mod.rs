//! Pure: a live object → whether it does what it should, and the most telling trouble among its pods.
//! Knows no client and no clock; time is a value.

mod assess;
mod builtin;
mod container;
mod fields;
mod finding;
mod finished;
mod pods;
mod probe;
#[cfg(test)]
mod tests;
mod verdict;

pub use assess::assess;
pub(crate) use fields::bounded;
pub use finding::{Finding, Patience, has_served};
pub use finished::{Finished, finished};
pub use pods::{diagnose, replica_failure};
pub use verdict::Health;
