//! Tests of the crate as a whole, in one binary.

mod purity;
