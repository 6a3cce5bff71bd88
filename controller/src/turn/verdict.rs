//! What becomes of a trouble. It stands here once, for all kinds.

use std::time::Duration;

use drover_core::trouble::{Mend, Trouble};
use drover_crds::condition::Outcome;

use super::Ended;
use crate::driver::Next;

/// How often it is asked whether that is done for which one waits.
pub const TURN: Duration = Duration::from_secs(1);

/// What the conditions say of `trouble`, and when to look again: after `person` whether a person has mended it, where nobody tells.
pub fn verdict(trouble: &Trouble, person: Duration) -> Ended {
    let (reason, message) = (trouble.reason.clone(), trouble.to_string());
    let awaited = trouble.again.map_or(Next::Await, Next::After);
    let (outcome, next) = match trouble.mended_by {
        Mend::Spec => (Outcome::Stalled { reason, message }, awaited),
        Mend::Person => (Outcome::Stalled { reason, message }, Next::After(person)),
        Mend::Event => (Outcome::Failed { reason, message }, awaited),
        Mend::Time => (Outcome::Failed { reason, message }, Next::Retry),
        Mend::Turn => (Outcome::InProgress { reason, message }, Next::Later(TURN)),
        Mend::Others => (Outcome::InProgress { reason, message }, awaited),
        Mend::Sight => return Ended::Unsaid(Next::Later(TURN)),
    };
    Ended::Said { outcome, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_mends_a_trouble_decides_what_is_said_and_when_it_is_looked_again() {
        let minute = Duration::from_mins(1);
        let of = |mended_by, again| {
            let trouble = Trouble::new("Reason", "It is so", mended_by);
            let trouble = Trouble { again, outlook: ", until then".into(), ..trouble };
            let (outcome, next) = match verdict(&trouble, minute) {
                Ended::Said { outcome, next } => (outcome, next),
                Ended::Unsaid(next) => return ("nothing", next),
            };
            let (said, reason, message) = match outcome {
                Outcome::Ready { reason, message } => ("ready", reason, message),
                Outcome::InProgress { reason, message } => ("in progress", reason, message),
                Outcome::Failed { reason, message } => ("failed", reason, message),
                Outcome::Stalled { reason, message } => ("stalled", reason, message),
            };
            assert_eq!((reason.as_str(), message.as_str()), ("Reason", "It is so, until then"));
            (said, next)
        };
        let soon = Duration::from_secs(7);
        assert_eq!(of(Mend::Spec, None), ("stalled", Next::Await));
        assert_eq!(of(Mend::Spec, Some(soon)), ("stalled", Next::After(soon)));
        assert_eq!(of(Mend::Person, None), ("stalled", Next::After(minute)));
        assert_eq!(of(Mend::Event, None), ("failed", Next::Await));
        assert_eq!(of(Mend::Event, Some(soon)), ("failed", Next::After(soon)));
        assert_eq!(of(Mend::Time, None), ("failed", Next::Retry));
        assert_eq!(of(Mend::Turn, None), ("in progress", Next::Later(TURN)));
        assert_eq!(of(Mend::Others, None), ("in progress", Next::Await));
        assert_eq!(of(Mend::Sight, None), ("nothing", Next::Later(TURN)));
    }
}
