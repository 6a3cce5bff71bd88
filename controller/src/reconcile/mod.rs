//! One folder per kind. Each reconcile is read in the order in which it happens: dereference → validate → build → apply →
//! status. What decides is pure; what does is thin.

mod owners;
pub mod web_app;

pub use owners::Owners;
