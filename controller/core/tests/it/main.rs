//! What reads golden files, in one binary.

mod release;
mod workload;
