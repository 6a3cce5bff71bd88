//! One folder per kind. Each reconcile is read in the order in which it happens: dereference → validate → build → apply →
//! status. What decides is pure; what does is thin.

mod announcer;
pub mod environment;
mod owners;
mod statuses;
pub mod web_app;

pub use announcer::Announcer;
pub use owners::Owners;
pub use statuses::Statuses;
