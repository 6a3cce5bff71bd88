//! What time of day it is: sets are dated by it, and requests signed. Deadlines go by the monotonic clock.

use jiff::Timestamp;

/// Now.
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// Milliseconds since 1970.
pub fn millis() -> u64 {
    u64::try_from(now().as_millisecond()).unwrap_or(0)
}
