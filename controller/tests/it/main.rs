//! Integration tests of the controller crate, in one binary.

mod children;
mod circles;
mod clock;
mod examples;
mod git;
mod names;
mod purity;
mod rooms;
mod sops;
