//! The shell of a turn: what is the same whatever the kind.

mod verdict;

pub use verdict::{TURN, verdict};
