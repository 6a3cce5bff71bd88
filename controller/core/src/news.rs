//! What a person is told.

/// Whether something is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// It is.
    Normal,
    /// Somebody should look.
    Warning,
}

/// One thing that a person is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// How it is told.
    pub tone: Tone,
    /// One CamelCase word.
    pub reason: String,
    /// A sentence.
    pub note: String,
}

impl News {
    /// Something is as it should be.
    pub fn normal(reason: impl Into<String>, note: impl Into<String>) -> Self {
        Self { tone: Tone::Normal, reason: reason.into(), note: note.into() }
    }

    /// Somebody should look.
    pub fn warning(reason: impl Into<String>, note: impl Into<String>) -> Self {
        Self { tone: Tone::Warning, reason: reason.into(), note: note.into() }
    }
}
