//! Which digest a followed tag asks for: the one that it points to, or the one that a person holds. Time comes in as a value.

use std::time::Duration;

use drover_crds::{HoldStatus, ImageStatus, Problem, RolloutStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{Hold, reference};
use crate::trouble::Trouble;

/// What its registry says of a followed tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// It is asked, and has not answered yet.
    Asking,
    /// The tag points to this digest.
    At(String),
    /// Where it points cannot be seen.
    Lost {
        /// Why.
        trouble: Trouble,
        /// How long ago it was seen last, where it was.
        ago: Option<Duration>,
    },
}

/// The digest that the tag of `image` asks for, where that is known, and what the status says of it. `annotation` is the value of
/// `drover.dev/hold-image`.
///
/// What was seen before counts only for a hold: a release of another digest begins only when the tag is seen to point there.
pub fn follow(
    status: &mut RolloutStatus,
    image: &str,
    sight: &Sight,
    annotation: Option<&str>,
    now: &Time,
) -> Option<String> {
    let tag = reference::tag(image);
    let before = status.image.take().filter(|seen| seen.tag == tag);
    let seen = status.image.insert(before.unwrap_or_else(|| ImageStatus { tag: tag.to_owned(), ..Default::default() }));
    match sight {
        Sight::Asking => return None,
        Sight::At(digest) => {
            if seen.digest.as_ref() != Some(digest) {
                seen.digest = Some(digest.clone());
                seen.since = Some(now.clone());
            }
            (seen.last_seen, seen.problem) = (None, None);
        }
        Sight::Lost { trouble, ago } => {
            if seen.last_seen.is_none() {
                let at = ago.and_then(|ago| jiff::Timestamp::from_second(now.0.as_second() - seconds(ago)).ok());
                seen.last_seen = at.map(Time);
            }
            seen.problem = Some(problem(&trouble.reason, trouble.to_string()));
        }
    }
    let written = annotation.map(Hold::parse);
    if matches!(written, Some(None)) && seen.problem.is_none() {
        let message =
            "the annotation drover.dev/hold-image is not as `drover rollback` writes it, so nothing is held: remove it";
        seen.problem = Some(problem("UnreadableHold", message.to_owned()));
    }
    let held = written.flatten().filter(|held| held.counts(seen.digest.as_deref()));
    seen.hold = held.as_ref().map(|held| HoldStatus {
        release: held.release,
        digest: held.digest.clone(),
        message: format!(
            "the image of release {} is held while the tag {tag} points to the one that was rolled back ({}): push another, or end it with `drover rollback NAME --end`",
            held.release,
            short(&held.bad)
        ),
    });
    match sight {
        Sight::At(digest) => Some(held.map_or_else(|| digest.clone(), |held| held.digest)),
        Sight::Asking | Sight::Lost { .. } => held.map(|held| held.digest),
    }
}

fn problem(reason: &str, message: String) -> Problem {
    Problem { reason: reason.to_owned(), message, ..Problem::default() }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

/// As much of a digest as tells it from others.
fn short(digest: &str) -> &str {
    digest.get(.."sha256:".len() + 12).unwrap_or(digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trouble::Mend;

    const IMAGE: &str = "r.test/web:prod";

    fn digest(letter: char) -> String {
        format!("sha256:{}", letter.to_string().repeat(64))
    }

    fn at(letter: char) -> Sight {
        Sight::At(digest(letter))
    }

    fn lost(ago: u64) -> Sight {
        let trouble = Trouble::new("ImageNotFound", "the image is not there", Mend::Event);
        Sight::Lost { trouble, ago: Some(Duration::from_secs(ago)) }
    }

    fn hold(good: char, bad: char) -> String {
        Hold { release: 3, digest: digest(good), bad: digest(bad) }.to_string()
    }

    fn time(seconds: i64) -> Time {
        Time(jiff::Timestamp::from_second(seconds).expect("a time"))
    }

    struct App {
        status: RolloutStatus,
    }

    impl App {
        fn sees(&mut self, sight: &Sight, hold: Option<&str>, seconds: i64) -> Option<String> {
            follow(&mut self.status, IMAGE, sight, hold, &time(seconds))
        }

        fn image(&self) -> &ImageStatus {
            self.status.image.as_ref().expect("a tag is followed")
        }
    }

    fn app() -> App {
        App { status: RolloutStatus::default() }
    }

    #[test]
    fn a_tag_asks_for_what_it_points_to_and_an_unmoved_one_changes_nothing() {
        let mut app = app();
        assert_eq!(app.sees(&Sight::Asking, None, 5), None);
        assert_eq!(app.sees(&at('a'), None, 10), Some(digest('a')));
        let before = app.status.clone();
        for seconds in 11..21 {
            assert_eq!(app.sees(&at('a'), None, seconds), Some(digest('a')));
            assert_eq!(app.sees(&Sight::Asking, None, seconds), None, "the controller was started anew");
        }
        assert_eq!(app.status, before, "ten looks at an unmoved tag write nothing");
        assert_eq!(app.sees(&at('b'), None, 30), Some(digest('b')));
        assert_eq!((app.image().tag.as_str(), app.image().since.clone()), ("prod", Some(time(30))));
    }

    #[test]
    fn a_tag_that_is_out_of_sight_asks_for_nothing_and_tells_when_it_was_seen() {
        let mut app = app();
        app.sees(&at('a'), None, 10);
        for (ago, seconds) in [(40, 100), (100, 160)] {
            assert_eq!(app.sees(&lost(ago), None, seconds), None);
            assert_eq!((app.image().last_seen.clone(), app.image().since.clone()), (Some(time(60)), Some(time(10))));
        }
        assert_eq!(app.image().problem.as_ref().map(|problem| &*problem.reason), Some("ImageNotFound"));
        let told = app.status.clone();
        // A controller that starts anew has not seen it at all.
        assert_eq!(app.sees(&Sight::Asking, None, 170), None);
        let Sight::Lost { trouble, .. } = lost(0) else { panic!("lost") };
        assert_eq!(app.sees(&Sight::Lost { trouble, ago: None }, None, 180), None);
        assert_eq!(app.status, told);
        assert_eq!(app.sees(&at('a'), None, 200), Some(digest('a')));
        assert_eq!((app.image().last_seen.clone(), app.image().problem.clone()), (None, None));
    }

    #[test]
    fn a_hold_counts_while_the_tag_points_to_the_bad_image_and_ends_by_itself() {
        let (mut app, held) = (app(), hold('a', 'b'));
        assert_eq!(app.sees(&at('b'), Some(&held), 10), Some(digest('a')));
        let message = app.image().hold.clone().expect("held").message;
        assert!(message.contains("release 3") && message.contains("sha256:bbbbbbbbbbbb)"), "{message}");
        // Also where the registry is away, and over a start of the controller.
        assert_eq!(app.sees(&lost(1), Some(&held), 20), Some(digest('a')));
        assert_eq!(app.sees(&Sight::Asking, Some(&held), 30), None);
        assert!(app.image().hold.is_some());
        assert_eq!(app.sees(&at('c'), Some(&held), 40), Some(digest('c')));
        assert_eq!(app.image().hold, None);
        // What was bad stays bad.
        assert_eq!(app.sees(&at('b'), Some(&held), 50), Some(digest('a')));
        assert_eq!(app.sees(&at('b'), None, 60), Some(digest('b')));
    }

    #[test]
    fn a_hold_that_cannot_be_read_holds_nothing_and_says_so() {
        let mut app = app();
        assert_eq!(app.sees(&at('b'), Some("release 3"), 10), Some(digest('b')));
        assert_eq!(app.image().problem.as_ref().map(|problem| &*problem.reason), Some("UnreadableHold"));
        assert_eq!(app.image().hold, None);
    }
}
