//! What is known about an object in the cluster.

/// The answer to "what is there under this key?". Being unable to ask is an answer of its own, and never means absent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Knowledge {
    /// The API server said that there is no such object.
    Absent,
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
}
