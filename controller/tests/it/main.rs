//! Integration tests of the controller crate, in one binary.

mod children;
mod circles;
mod git;
mod names;
mod purity;
