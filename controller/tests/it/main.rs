//! Integration tests of the controller crate, in one binary.

mod git;
mod names;
mod purity;
