//! Pure: what a program printed → what a person may be shown of it.

mod excerpt;
mod secrets;

pub use excerpt::excerpt;
pub use secrets::mask;
