//! What an errand is asked and what it answers. An errand is what drover's own image does inside a Job: it has no client of
//! Kubernetes, so it reads an order from a file and ends with a result that fits a container's termination message.
//!
//! The errand `sync` keeps a folder equal to data that lives elsewhere. Its checks are here, so that the controller and
//! `drover render` refuse by the same rules what the errand would.

pub use answer::{Outcome, SyncResult};
pub use guard::{judge, judge_content_type, settles_in};
pub use manifest::{File, Last, Manifest, is_set_id};
pub use order::{GitSource, Guard, HttpSource, PathPair, Publish, S3Source, Source, SyncOrder, region};
pub use place::{LARGEST_SET, Object, Selection, place};
pub use progress::Progress;
pub use reason::{Reason, Refusal};
pub use result::{LARGEST_RESULT, Unbelievable};
pub(crate) use result::{check_reason, cut, is_hex, read, to_line};
pub use sets::{Kept, to_remove};
pub use slot::slot;
pub use tree::{Leaf, LeafKind, place_tree, refuse_pointer};

mod answer;
mod guard;
mod manifest;
mod order;
mod path;
mod place;
mod progress;
mod reason;
mod result;
mod sets;
mod slot;
mod tree;

#[cfg(test)]
mod tests;
