//! Jobs that run once for the data of an app: what a claim remembers of them.

use std::collections::BTreeMap;

use jiff::Timestamp;

/// The jobs that have succeeded once, and when, where that is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RanOnce(BTreeMap<String, Option<Timestamp>>);

impl RanOnce {
    /// Reads the annotation of a claim. A name alone counts as well: a person may write it who brings data along.
    pub fn parse(text: &str) -> Self {
        let of = |word: &str| match word.split_once('=') {
            Some((name, at)) => (name.to_owned(), at.parse().ok()),
            None => (word.to_owned(), None),
        };
        Self(text.split_whitespace().map(of).filter(|(name, _)| !name.is_empty()).collect())
    }

    /// The same with a job that succeeded then.
    #[must_use]
    pub fn with(mut self, job: &str, at: Option<Timestamp>) -> Self {
        self.0.entry(job.to_owned()).or_insert(at);
        self
    }

    /// What both remember.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        for (job, at) in &other.0 {
            self = self.with(job, *at);
        }
        self
    }

    /// Whether that job has succeeded, and when.
    pub fn of(&self, job: &str) -> Option<Option<Timestamp>> {
        self.0.get(job).copied()
    }

    /// As the annotation has it.
    pub fn annotation(&self) -> String {
        let word = |(job, at): (&String, &Option<Timestamp>)| match at {
            Some(at) => format!("{job}={at}"),
            None => job.clone(),
        };
        self.0.iter().map(word).collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_a_person_writes_is_read_as_well() {
        let read = RanOnce::parse("superuser=2026-11-27T21:00:00Z  loader odd=yesterday ");
        let at = "2026-11-27T21:00:00Z".parse().expect("a time");
        assert_eq!([read.of("superuser"), read.of("loader"), read.of("odd")], [Some(Some(at)), Some(None), Some(None)]);
        assert_eq!(read.of("other"), None);
        assert_eq!(read.with("superuser", None).annotation(), "loader odd superuser=2026-11-27T21:00:00Z");
        assert_eq!(RanOnce::parse("").annotation(), "");
        let both = RanOnce::parse("a=2026-11-27T21:00:00Z").and(&RanOnce::parse("a b"));
        assert_eq!(both.annotation(), "a=2026-11-27T21:00:00Z b");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(text in "[a-z0-9=: -]{0,60}|.{0,40}") {
            let read = RanOnce::parse(&text);
            prop_assert_eq!(RanOnce::parse(&read.annotation()), read);
        }
    }
}
