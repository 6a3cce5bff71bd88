//! What a queue's broker is asked and answers, and how many workers its messages ask for.

mod broker;
mod jolokia;
mod scale;
mod status;
#[cfg(test)]
mod tests;
mod unasked;

pub use broker::{Broker, Host};
pub use jolokia::{Counters, DeadLetter, Numbers, Reading, answer, first, first_of, found, question, search};
pub use scale::{Seen, Terms, is_idle, wanted};
pub use status::{Attendance, Lasting, Stuck, Told, idle, news, note, suspect};
pub use unasked::Unasked;
