//! Errors of the operating system as refusals.

use std::io;

use drover_core::errand::{Reason, Refusal};

/// Gives an error the sentence that a person reads.
pub trait Final<T> {
    /// `what` did not work, for this error's reason.
    fn or_final(self, reason: Reason, what: impl Into<String>) -> Result<T, Refusal>;
}

impl<T, E: Into<io::Error>> Final<T> for Result<T, E> {
    fn or_final(self, reason: Reason, what: impl Into<String>) -> Result<T, Refusal> {
        self.map_err(|error| {
            let (what, error) = (what.into(), error.into());
            match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                    Refusal::new(Reason::NoSpace, format!("{what}: the claim is full. Make it larger, or keep less"))
                }
                _ => Refusal::new(reason, format!("{what}: {error}")),
            }
        })
    }
}
