//! What is known about an object in the cluster.

use super::inventory::Ended;
use crate::render::Generated;

/// The answer to "what is there under this key?". Being unable to ask is an answer of its own, and never means absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// The API server said that there is no such object.
    Absent,
    /// It ran to its end and was removed since.
    Ended(Ended),
    /// It is there.
    Present(LiveView),
    /// Nobody could say: the watch is not ready, drover may not read the kind, the API is down.
    Unknown,
}

/// As much of a live object as a plan needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveView {
    /// Its uid.
    pub uid: String,
    /// The annotation that says what was last sent ([`drover_crds::ANNOTATION_APPLIED`]).
    pub applied: Option<String>,
    /// Hash of the set of fields that our field manager holds now; `None` when it holds none.
    pub fields: Option<u64>,
    /// The label that says who applies it ([`drover_crds::LABEL_OWNER`]).
    pub owner_label: Option<String>,
    /// It has a deletion timestamp.
    pub deleting: bool,
    /// It carries [`drover_crds::ANNOTATION_PRUNE`]` : disabled`.
    pub prune_disabled: bool,
    /// What it has of values that drover made.
    pub generated: Generated,
    /// It ran to its end.
    pub ended: Option<Ended>,
    /// What the other Environments say about it.
    pub elsewhere: Elsewhere,
}

/// What another Environment, named as a person would, has to do with an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Elsewhere {
    /// Nothing that would change what is done.
    #[default]
    Nothing,
    /// It wants the object, which is to be handed over.
    Wanted(String),
    /// It is looked at in a moment; whether it wants the object is known then.
    NotYetKnown(String),
    /// It follows the same and cannot be read, so it may want the object.
    Unreadable(String),
    /// It is the owner whose label the object carries, and does not want it any more.
    LetGo,
}
