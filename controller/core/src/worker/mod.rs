//! The spec of a QueueProcessor and what is known around it → the objects that its workers run of.

mod build;
mod children;
#[cfg(test)]
mod tests;
mod validate;

pub use build::{build, label_selector, needed_by_jobs, pod_template, release_job, selector};
pub use children::WorkerChildren;
pub use validate::{Count, ValidatedWorkers, validate};
