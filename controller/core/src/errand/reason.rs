//! Why an errand did not do what it was asked.

use std::fmt;

/// Why, in one word of a condition's manner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The order cannot be read, or asks for what makes no sense.
    BadOrder,
    /// The mounted Secret lacks a key, or holds what cannot be sent.
    BadSecret,
    /// The source says that there is no such thing: a bucket, a key, a page.
    NotFound,
    /// The source says that whoever asks may not read it.
    Denied,
    /// No answer: name, connection, certificate, silence.
    Unreachable,
    /// The address belongs to the machine itself, or is where clouds keep their credentials.
    AddressRefused,
    /// The source sends elsewhere, to another host.
    Redirected,
    /// The source answers with an error of its own, or breaks off, again and again.
    SourceFails,
    /// The source limits requests for longer than the sync may take.
    RateLimited,
    /// The source changes while it is read.
    SourceChanged,
    /// The source was changed too short a time ago.
    NotSettled,
    /// A part of the source holds nothing.
    Empty,
    /// A part of the source holds much less than before.
    Shrunk,
    /// What the guard requires is not there.
    Missing,
    /// A file is smaller than the guard allows.
    TooSmall,
    /// A file is of another type than was asked for.
    WrongType,
    /// A key that no file can be named after, or two that would be one file.
    BadKey,
    /// More files than a set may hold.
    TooManyFiles,
    /// The claim holds something of somebody else where a link would have to be.
    NameTaken,
    /// The claim is full, or will be.
    NoSpace,
    /// The claim cannot be written or read.
    ClaimFails,
    /// Another sync has the claim.
    ClaimBusy,
    /// The time given was not enough.
    TimedOut,
    /// It was told to stop.
    Stopped,
    /// A repository of backups opens by another key than the one that was given.
    WrongKey,
    /// A repository of backups was there, and is not any more, or another is in its place.
    RepositoryGone,
    /// A repository of backups does not hold what it held.
    RepositoryDamaged,
    /// A dump ends before its last line.
    DumpCut,
    /// A restored database is not what was backed up.
    NotProven,
}

impl Reason {
    /// All there are.
    pub const ALL: [Self; 29] = [
        Self::BadOrder,
        Self::BadSecret,
        Self::NotFound,
        Self::Denied,
        Self::Unreachable,
        Self::AddressRefused,
        Self::Redirected,
        Self::SourceFails,
        Self::RateLimited,
        Self::SourceChanged,
        Self::NotSettled,
        Self::Empty,
        Self::Shrunk,
        Self::Missing,
        Self::TooSmall,
        Self::WrongType,
        Self::BadKey,
        Self::TooManyFiles,
        Self::NameTaken,
        Self::NoSpace,
        Self::ClaimFails,
        Self::ClaimBusy,
        Self::TimedOut,
        Self::Stopped,
        Self::WrongKey,
        Self::RepositoryGone,
        Self::RepositoryDamaged,
        Self::DumpCut,
        Self::NotProven,
    ];

    /// Whether the source answered whole, and what it holds is what was not taken; else something did not work.
    pub const fn is_refusal(self) -> bool {
        matches!(
            self,
            Self::NotSettled
                | Self::Empty
                | Self::Shrunk
                | Self::Missing
                | Self::TooSmall
                | Self::WrongType
                | Self::BadKey
                | Self::TooManyFiles
                | Self::NameTaken
                | Self::BadOrder
                | Self::AddressRefused
                | Self::Redirected
        )
    }

    /// The reason that is written so.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.to_string() == word)
    }

    /// Whether a backup that ended for it may go well the next time although nobody does anything.
    pub const fn may_pass(self) -> bool {
        !matches!(self, Self::NotProven | Self::WrongKey | Self::RepositoryGone | Self::RepositoryDamaged)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Why nothing was published: a reason, one sentence that never holds a secret, and the file or key that it is about.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Refusal {
    /// In one word.
    pub reason: Reason,
    /// What, where, why, what to do.
    pub sentence: String,
    /// The key at the source or the path in the set.
    pub path: Option<String>,
}

impl Refusal {
    /// About the whole.
    pub fn new(reason: Reason, sentence: impl Into<String>) -> Self {
        Self { reason, sentence: sentence.into(), path: None }
    }

    /// About one key or path.
    pub fn of(reason: Reason, path: &str, sentence: impl Into<String>) -> Self {
        Self { reason, sentence: sentence.into(), path: Some(path.to_owned()) }
    }
}
