//! What reads golden folders, in one binary.

mod workload;
