//! What is wrong with one of drover's own objects, and what can mend it.

use std::fmt;
use std::time::Duration;

use drover_crds::ObjectFailure;

/// Why an object is not as its spec asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// One CamelCase word.
    pub reason: String,
    /// One sentence: what, which, why, what to do.
    pub sentence: String,
    /// The end of that sentence, about the time: it changes while the trouble stays the same.
    pub outlook: String,
    /// What can mend it.
    pub mended_by: Mend,
    /// After what time to look all the same where an event is awaited; `None` for only then.
    pub again: Option<Duration>,
    /// Each thing that is wrong, where there are several.
    pub each: Vec<ObjectFailure>,
}

/// What can mend a trouble: that decides what the conditions say, and when it is worth looking again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mend {
    /// Another spec or another commit, which are events: looking again is useless.
    Spec,
    /// A person, where drover is not told: a Secret, a right, a repository.
    Person,
    /// Something outside that is looked at already, and whose answer is an event: a git host, a registry.
    Event,
    /// Time, perhaps.
    Time,
    /// Others being done: nothing is wrong.
    Turn,
    /// Another of drover's objects, of whose changes drover is told: nothing is wrong.
    Others,
    /// drover's own sight, which it gets in a moment: nothing is known yet, so nothing is said.
    Sight,
}

impl Trouble {
    /// A trouble with one thing.
    pub fn new(reason: impl Into<String>, sentence: impl Into<String>, mended_by: Mend) -> Self {
        Self {
            reason: reason.into(),
            sentence: sentence.into(),
            outlook: String::new(),
            mended_by,
            again: None,
            each: Vec::new(),
        }
    }

    /// What drover needs it does not see yet; no condition says so.
    pub fn unseen(sentence: impl Into<String>) -> Self {
        Self::new("Unseen", sentence, Mend::Sight)
    }
}

/// The sentence to its end.
impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.sentence, self.outlook)
    }
}
