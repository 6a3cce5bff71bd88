//! Pure: bytes of a commit → objects. Knows no client, no git, no clock.

mod object;

pub use object::{Object, ObjectKey, Origin};
