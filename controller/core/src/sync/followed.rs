//! What is known of the repository of a git source.

/// What is known of the commit that a git source leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Followed {
    /// Nothing is followed: the source is another, or is left alone.
    Nothing,
    /// The server has not answered yet.
    Pending,
    /// It leads to this commit.
    At(String),
    /// It cannot be followed now.
    Failing {
        /// Why, in one word.
        reason: String,
        /// Why, in one sentence.
        message: String,
        /// The last commit that was seen.
        last: Option<String>,
    },
}

impl Followed {
    /// Whether syncs can be asked for, and if so the commit that they are for. While the server cannot be asked it is the last one that
    /// was seen, for which one was asked for before.
    pub fn asks_for(&self) -> Option<Option<&str>> {
        match self {
            Self::Nothing => Some(None),
            Self::Pending => None,
            Self::At(commit) => Some(Some(commit)),
            Self::Failing { last, .. } => last.as_deref().map(Some),
        }
    }
}
