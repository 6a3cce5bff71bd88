//! Faults between drover and what it talks to, as a test orders them.

mod git;

pub use git::{Fault, GitProxy, Request, Rule, Service};
