//! The clock on the wall, read here and nowhere else. Deadlines, back-offs and the lease go by the monotonic clock instead.

use std::sync::OnceLock;

use jiff::Timestamp;

/// Reads a clock.
pub type Read = fn() -> Timestamp;

static READ: OnceLock<Read> = OnceLock::new();

/// What the clock of this machine says.
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// What time it is: [`wall`], unless the program began with another clock.
pub fn now() -> Timestamp {
    READ.get().map_or_else(wall, |read| read())
}

/// The program begins, and goes by that clock.
pub(crate) fn go_by(read: Read) {
    READ.get_or_init(|| read);
}
