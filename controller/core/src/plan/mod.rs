//! Pure: what is wanted × what is live × what was applied → what to do, or a sentence that refuses it.
//! Knows no client, no clock; being unable to ask is an input of its own ([`Knowledge::Unknown`]).

mod action;
mod contest;
mod forbidden;
mod guards;
mod inventory;
mod live;
mod planning;
mod removal;
mod routes;
#[cfg(test)]
mod tests;

pub use action::{Action, Conflict, Why, owner_of};
pub use contest::{Contested, Contests, Rival};
pub use forbidden::forbidden;
pub use guards::{DEFAULT_MAX_PERCENT, Guards, Occasion, Refusal, percent};
pub use inventory::{Ended, InventoryEntry};
pub use live::{Elsewhere, Knowledge, LiveView};
pub use planning::{Answer, Desired, Held, HeldBecause, Plan, Removal, Seen, Step, plan};
pub use removal::{Fate, Mandate, Remover, fate, left_behind};
pub use routes::{Claims, Host, Route, Routes, Taken, unclaimable};
