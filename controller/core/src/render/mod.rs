//! Pure: bytes of a commit → objects. Knows no client, no git, no clock.

mod document;
mod error;
mod hash;
mod left;
mod limits;
mod manifests;
mod namespace;
mod object;
mod scalar;
mod secret;
mod served;
mod source_file;
mod stage;
#[cfg(test)]
mod tests;

pub use error::{Problem, RenderError, short};
pub use hash::applied_hash;
pub use limits::Limits;
pub use manifests::{MAX_ERRORS, is_manifest, render};
pub use namespace::{ScopeError, scope};
pub use object::{NotAnObject, Object, ObjectKey, Origin};
pub use served::{Unserved, unserved};
pub use source_file::SourceFile;
pub use stage::Stage;
