//! What can be wrong with a Database's spec.

use crate::backup::InvalidBackup;
use crate::restore::InvalidInit;
use crate::trouble::{Mend, Trouble};
use crate::workload;

/// Why a spec cannot be carried out, each as one sentence that says what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// A name that no host may have.
    #[error("the name {0} becomes a host name: at most 40 small letters, digits and dashes, with a letter first")]
    Name(String),
    /// A name that the server does not take.
    #[error("spec.{field} is {name:?}: {advice}")]
    Identifier {
        /// The field.
        field: &'static str,
        /// What it says.
        name: String,
        /// What to write.
        advice: &'static str,
    },
    /// Not exactly one.
    #[error("spec.engine names {0} servers: write exactly one of postgres or mariadb")]
    Engines(usize),
    /// The server does not run as root.
    #[error("{0} refuses to run as root: write another user in runAs.user, or leave runAs out")]
    Root(&'static str),
    /// A claim that pods of several nodes may write to: two servers on one folder destroy it.
    #[error("spec.claim.accessModes must be [ReadWriteOnce] or [ReadWriteOncePod]: one server has the data to itself")]
    SharedClaim,
    /// Too little memory to be configured for.
    #[error("spec.resources gives the server {0} of memory: give it {1}Mi or more")]
    Memory(String, i64),
    /// An extension's name that is none.
    #[error("spec.engine.postgres.extensions has {0:?}: write the name as `create extension` takes it, such as q3c")]
    Extension(String),
    /// Backups cannot be as the spec asks.
    #[error(transparent)]
    Backup(#[from] InvalidBackup),
    /// What it begins with cannot be as the spec asks.
    #[error(transparent)]
    Init(#[from] InvalidInit),
    /// The claim cannot be as the spec asks.
    #[error(transparent)]
    Claim(#[from] workload::Invalid),
}

impl From<Invalid> for Trouble {
    fn from(invalid: Invalid) -> Self {
        Self::new("InvalidSpec", invalid.to_string(), Mend::Spec)
    }
}
