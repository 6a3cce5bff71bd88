//! An image that a person holds in place of the one that a followed tag points to. It stands in an annotation of the app, which git
//! does not have and so leaves alone, and counts only while the tag points to the image that was bad.

use std::fmt;

use drover_crds::{ReleaseOutcome, ReleaseRecord, RolloutStatus};
use serde::{Deserialize, Serialize};

use super::reference;

/// What `drover.dev/hold-image` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// The release whose image is held.
    pub release: i64,
    /// Its digest.
    pub digest: String,
    /// The digest of the bad one: the hold ends when the tag points to another.
    #[serde(rename = "while")]
    pub bad: String,
}

impl Hold {
    /// Reads the annotation; `None` for what [`fmt::Display`] does not write.
    pub fn parse(text: &str) -> Option<Self> {
        let hold: Self = serde_json::from_str(text).ok()?;
        (reference::is_digest(&hold.digest) && reference::is_digest(&hold.bad)).then_some(hold)
    }

    /// Whether it counts, while the tag points to `digest`.
    pub fn counts(&self, digest: Option<&str>) -> bool {
        digest == Some(&*self.bad)
    }
}

/// As the annotation has it.
impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// Why there is no image to go back to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTarget {
    /// Where the tag points is not known.
    #[error("drover has not seen yet where the tag points")]
    Unseen,
    /// There is no such release.
    #[error("release {0} is not among the last ten, which `status.history` names")]
    Unknown(i64),
    /// It never served.
    #[error("release {0} was never live, so it is nothing to go back to")]
    NeverLive(i64),
    /// It is of another image.
    #[error("release {0} ran an image of another repository than spec.image names now")]
    Elsewhere(i64),
    /// The tag points to that very image.
    #[error("release {0} ran the very image that the tag points to now")]
    Same(i64),
    /// Nothing else was ever live.
    #[error("no earlier release with another image was live")]
    Nothing,
    /// Nothing else was live before the one that is held.
    #[error("the image of release {0} is held already, and no release with another image was live before it")]
    NothingBefore(i64),
}

/// The image to hold for an app whose spec names `image`: that of the release `to`, or the last good one; where one is held already,
/// by `current`, the last good one before it.
///
/// # Errors
/// When there is none.
pub fn target(status: &RolloutStatus, image: &str, current: Option<&Hold>, to: Option<i64>) -> Result<Hold, NoTarget> {
    let bad = status.image.as_ref().and_then(|seen| seen.digest.clone()).ok_or(NoTarget::Unseen)?;
    let image_of = |record: &ReleaseRecord| -> Result<Hold, NoTarget> {
        let release = record.number;
        if record.outcome != ReleaseOutcome::Live {
            return Err(NoTarget::NeverLive(release));
        }
        let digest = reference::digest(&record.image)
            .filter(|_| reference::repository(&record.image) == reference::repository(image))
            .ok_or(NoTarget::Elsewhere(release))?;
        if digest == bad {
            return Err(NoTarget::Same(release));
        }
        Ok(Hold { release, digest: digest.to_owned(), bad: bad.clone() })
    };
    if let Some(to) = to {
        let record = status.history.iter().find(|record| record.number == to).ok_or(NoTarget::Unknown(to))?;
        return image_of(record);
    }
    let current = current.filter(|current| current.counts(Some(&bad)));
    let is_before = |found: &Hold| current.is_none_or(|c| found.release < c.release && found.digest != c.digest);
    let found = status.history.iter().filter_map(|record| image_of(record).ok()).find(is_before);
    found.ok_or_else(|| current.map_or(NoTarget::Nothing, |current| NoTarget::NothingBefore(current.release)))
}

#[cfg(test)]
mod tests {
    use drover_crds::ImageStatus;
    use proptest::prelude::*;

    use super::*;

    fn digest(letter: char) -> String {
        format!("sha256:{}", letter.to_string().repeat(64))
    }

    fn hold(release: i64, good: char, bad: char) -> Hold {
        Hold { release, digest: digest(good), bad: digest(bad) }
    }

    /// Releases that ran these images, the newest last, all but those in capitals live; the tag points to that of the last.
    fn status(images: &str) -> RolloutStatus {
        let record = |(number, letter): (i64, char)| ReleaseRecord {
            number,
            commit: None,
            image: format!("r.test:5000/web:prod@{}", digest(letter.to_ascii_lowercase())),
            outcome: if letter.is_ascii_uppercase() { ReleaseOutcome::Failed } else { ReleaseOutcome::Live },
            put_back: None,
            at: None,
        };
        let last = images.chars().last().map(|letter| digest(letter.to_ascii_lowercase()));
        let mut history: Vec<ReleaseRecord> = (1..).zip(images.chars()).map(record).collect();
        history.reverse();
        RolloutStatus {
            image: Some(ImageStatus { tag: "prod".into(), digest: last, ..ImageStatus::default() }),
            history,
            ..RolloutStatus::default()
        }
    }

    fn chosen(status: &RolloutStatus, held: Option<&Hold>, to: Option<i64>) -> Result<Hold, NoTarget> {
        target(status, "r.test:5000/web:prod", held, to)
    }

    #[test]
    fn the_last_good_image_is_chosen_whether_the_bad_one_failed_or_served() {
        for images in ["abC", "abc", "abcc", "abcC"] {
            assert_eq!(chosen(&status(images), None, None), Ok(hold(2, 'b', 'c')), "{images}");
        }
        assert_eq!(chosen(&status("abc"), None, Some(1)), Ok(hold(1, 'a', 'c')));
        assert_eq!(chosen(&status("c"), None, None), Err(NoTarget::Nothing));
        assert_eq!(chosen(&status("ABc"), None, None), Err(NoTarget::Nothing));
    }

    #[test]
    fn a_second_time_goes_one_further_back_and_never_forth() {
        let mut status = status("abacb");
        status.image = Some(ImageStatus { digest: Some(digest('c')), ..ImageStatus::default() });
        // Release 5 is that of the hold.
        let first = hold(2, 'b', 'c');
        let second = chosen(&status, Some(&first), None);
        assert_eq!(second, Ok(hold(1, 'a', 'c')));
        assert_eq!(chosen(&status, second.as_ref().ok(), None), Err(NoTarget::NothingBefore(1)));
        // The tag has moved on since: that hold is over.
        let over = hold(2, 'b', 'd');
        assert_eq!(chosen(&status, Some(&over), None), Ok(hold(5, 'b', 'c')));
    }

    #[test]
    fn what_cannot_be_gone_back_to_says_why() {
        let status = status("aBcd");
        for (to, why) in
            [(9, "not among the last ten"), (2, "never live"), (4, "the very image that the tag points to now")]
        {
            let refused = chosen(&status, None, Some(to)).expect_err("refused").to_string();
            assert!(refused.contains(why), "{refused}");
        }
        assert_eq!(target(&status, "r.test:5000/other:prod", None, Some(1)), Err(NoTarget::Elsewhere(1)));
        assert_eq!(chosen(&RolloutStatus::default(), None, None), Err(NoTarget::Unseen));
    }

    proptest! {
        #[test]
        fn a_hold_is_read_as_it_was_written(release in 1..1_000_000_i64, good in "[0-9a-f]{64}", bad in "[0-9a-f]{64}") {
            let hold = Hold { release, digest: format!("sha256:{good}"), bad: format!("sha256:{bad}") };
            prop_assert_eq!(Hold::parse(&hold.to_string()), Some(hold));
        }

        #[test]
        fn no_text_becomes_part_of_an_image_but_a_digest(text in ".{0,80}", digest in "(sha256:)?[0-9a-fA-F@:/]{0,70}") {
            prop_assert_eq!(Hold::parse(&text), None);
            let written = Hold { release: 1, digest: digest.clone(), bad: self::digest('a') }.to_string();
            prop_assert_eq!(Hold::parse(&written).is_some(), reference::is_digest(&digest));
        }
    }
}
