//! Faults between drover and what it talks to, as a test orders them: [`api`] is the API server, [`git`] the git servers.

pub mod api;
pub mod git;
