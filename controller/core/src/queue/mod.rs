//! What a queue's broker is asked and answers, and how many workers its messages ask for.

mod broker;
mod jolokia;
mod scale;
mod status;
#[cfg(test)]
mod tests;
mod unasked;

pub use broker::{Broker, Host};
pub use jolokia::{Numbers, Reading, answer, question};
pub use scale::{Seen, Terms, is_idle, wanted};
pub use status::{Told, idle, news, note};
pub use unasked::Unasked;
