//! Integration tests: the library against real servers on loopback.

mod git;
