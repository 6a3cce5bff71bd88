//! A clock on the wall that a test moves while drover runs. What goes by the monotonic clock does not see it.

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;

/// Environment variable: the file that says by how many seconds the clock is ahead. Without the variable or the file it is right.
pub const CLOCK: &str = "DROVER_FAULT_CLOCK";

/// Whoever goes by the file at `path` is ahead by that much from now on.
pub fn set_ahead(path: &Path, by: Duration) {
    let new = path.with_extension("new");
    let written = std::fs::write(&new, by.as_secs().to_string()).and_then(|()| std::fs::rename(&new, path));
    written.expect("the file can be written");
}

/// What the clock says.
pub fn now() -> Timestamp {
    let file = std::env::var_os(CLOCK).and_then(|path| std::fs::read_to_string(path).ok());
    let ahead = file.map_or(0, |text| text.parse().unwrap_or_else(|error| panic!("{CLOCK}: {error}: {text}")));
    drover::clock::wall() + Duration::from_secs(ahead)
}
