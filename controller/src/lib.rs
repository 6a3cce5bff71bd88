//! drover: a team pushes to a branch, and what it describes there becomes a running system on Kubernetes.
//!
//! The rooms, from the outside in; each knows only those after it (`docs/architecture.md` tells the rest):
//! `program` → `run` → `reconcile`, `cli` → `driver`, `owned` → `git`, `registry`, `cluster` → the crates `drover_core` and `drover_crds`.

pub mod cli;
pub mod cluster;
pub mod driver;
pub mod git;
pub mod metrics;
pub mod owned;
pub mod program;
pub mod reconcile;
pub mod registry;
pub mod run;
mod unpoisoned;
pub mod web;
