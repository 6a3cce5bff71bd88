//! Pure: bytes of a commit → objects. Knows no client, no git, no clock.

mod object;
mod source_file;

pub use object::{Object, ObjectKey, Origin};
pub use source_file::SourceFile;
