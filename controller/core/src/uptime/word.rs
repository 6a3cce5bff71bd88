//! What a person says over the windows: two annotations, each of which is over by itself.

use drover_crds::{ANNOTATION_ASLEEP_UNTIL, ANNOTATION_AWAKE_UNTIL};
use jiff::Timestamp;

/// Until when a person wants the app awake or asleep, whatever its windows say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word {
    awake_until: Option<Timestamp>,
    asleep_until: Option<Timestamp>,
    /// What stands in an annotation and is no time, as a sentence each.
    unreadable: Vec<String>,
}

impl Word {
    /// Reads the values of `drover.dev/awake-until` and `drover.dev/asleep-until`.
    pub fn read(awake_until: Option<&str>, asleep_until: Option<&str>) -> Self {
        let mut unreadable = Vec::new();
        let mut read = |name: &str, text: Option<&str>| {
            let text = text?;
            let time = text.trim().parse::<Timestamp>();
            if time.is_err() {
                let shown: String = text.chars().take(40).collect();
                unreadable.push(format!(
                    "the annotation {name} is {shown:?}, which is no time and counts for nothing: write it as 2027-03-01T20:00:00Z, or use `drover wake` and `drover sleep`"
                ));
            }
            time.ok()
        };
        let (awake_until, asleep_until) =
            (read(ANNOTATION_AWAKE_UNTIL, awake_until), read(ANNOTATION_ASLEEP_UNTIL, asleep_until));
        Self { awake_until, asleep_until, unreadable }
    }

    /// What cannot be read of it, a sentence each.
    pub fn unreadable(&self) -> &[String] {
        &self.unreadable
    }

    /// Until when it was last kept awake by a person, if that is over at that time.
    pub(super) fn was_over(&self, now: Timestamp) -> Option<Timestamp> {
        self.awake_until.filter(|until| *until <= now)
    }

    /// Whether the app is to be asleep at that time, and until when; `None` where nothing that was said still counts. Who was asked to be
    /// both is awake.
    pub(super) fn counts(&self, now: Timestamp) -> Option<(bool, Timestamp)> {
        let lasts = |until: Option<Timestamp>| until.filter(|until| now < *until);
        let awake = lasts(self.awake_until).map(|until| (false, until));
        awake.or(lasts(self.asleep_until).map(|until| (true, until)))
    }
}
