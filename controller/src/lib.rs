//! drover: a team pushes to a branch, and what it describes there becomes a running system on Kubernetes.
//!
//! The rooms, from the outside in; each knows only those after it (`docs/architecture.md` tells the rest):
//! `program` → `run` → `reconcile`, `cli` → `turn`, `rollout` → `driver`, `owned` → `git`, `registry`, `queues`, `cluster` → the crates `drover_core` and `drover_crds`.

pub mod cli;
pub mod clock;
pub mod cluster;
pub mod confined;
pub mod driver;
pub mod git;
pub mod interest;
pub mod metrics;
pub mod owned;
pub mod program;
pub mod queues;
pub mod reconcile;
pub mod registry;
pub mod rollout;
pub mod run;
pub mod settings;
pub mod tools;
pub mod turn;
mod unpoisoned;
pub mod web;
