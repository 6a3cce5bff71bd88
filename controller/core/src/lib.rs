//! What drover decides: objects out of files or out of an app's spec, a plan out of what is wanted and what is there, a verdict out of
//! what an object says.
//!
//! Pure: the same input gives the same output, and time is a value. `Cargo.toml` names no client, no runtime and no git.

pub mod address;
pub mod backup;
pub mod branch;
pub mod certificate;
pub mod database;
pub mod engine;
pub mod errand;
pub mod front;
pub mod health;
pub mod mask;
pub mod news;
pub mod plan;
pub mod queue;
pub mod release;
pub mod render;
pub mod restore;
pub mod schedule;
pub mod sync;
pub mod trouble;
pub mod uptime;
pub mod worker;
pub mod workload;
