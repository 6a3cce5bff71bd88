//! What a Database asks for and what became of it: its spec × what is known → the objects that its server runs of; its server's pod →
//! what a person reads.

mod build;
mod children;
mod invalid;
mod said;
mod secret;
mod status;
#[cfg(test)]
mod tests;
mod validate;

pub use build::{children, labels, selector};
pub use children::DatabaseChildren;
pub use invalid::Invalid;
pub use secret::{Connection, PASSWORD};
pub use status::{Seen, conclude, news};
pub use validate::{ValidatedDatabase, engine, validate};
