//! Pure: bytes of a commit → objects. Knows no client, no git, no clock.

mod document;
mod error;
mod generated;
mod hash;
mod left;
mod limits;
mod manifests;
mod namespace;
mod object;
mod own;
mod reading;
mod scalar;
mod secret;
mod served;
mod sops;
mod source_file;
mod sources;
mod stage;
mod substitute;
#[cfg(test)]
mod tests;

pub use error::{Problem, RenderError, amount, named, short};
pub use generated::{Filling, Generated, filling, generated_keys};
pub use hash::{NAME_DIGITS, applied_hash, content_hash, keyed_hash, name_hash};
pub use limits::{Limits, MAX_ERRORS};
pub use manifests::{is_manifest, render, render_with};
pub use namespace::{ScopeError, scope};
pub use object::{NotAnObject, Object, ObjectKey, Origin};
pub use reading::{Entry, EntryKind, Manifests, Store, Unreadable, read_file, read_folder};
pub use served::{Unserved, unserved};
pub use sops::{Opened, Sealed, sealed};
pub use source_file::SourceFile;
pub use sources::Sources;
pub use stage::Stage;
pub use substitute::{Variables, is_name};
