//! Faults between drover and what it talks to, as a test orders them: [`api`] is the API server, [`git`] the git servers, and [`clock`] the time
//! of day.

pub mod api;
pub mod clock;
pub mod git;
