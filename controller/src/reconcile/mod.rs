//! One folder per kind, each with what it does in a [turn](crate::turn). Each reconcile is read in the order in which it happens: dereference → validate → build → apply →
//! status. What decides is pure; what does is thin. What several kinds do alike that is no turn's stands beside the folders.

pub mod data_sync;
pub mod database;
mod depends;
pub mod environment;
pub mod queue_processor;
mod repository;
pub mod web_app;
