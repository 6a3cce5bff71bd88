//! One child process that may use only so much. The parent starts it with a bare environment, speaks with it through pipes and ends it at a
//! deadline ([`exchange()`]); the child limits itself before it reads anything ([`limit()`]), or becomes another program that has neither files
//! nor a network ([`become_tool()`]).
//!
//! Knows nothing of what is exchanged.

mod exchange;
mod tool;

pub use drover_fetch::confine::{Limits, limit};
pub use exchange::{Broken, Ended, Input, Task, exchange};
pub use tool::{become_tool, tool};
