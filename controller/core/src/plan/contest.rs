//! Wars: somebody changes again what drover put back, again and again. After three rounds drover slows down and says who it is.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use crate::render::ObjectKey;

/// So often drift of an object is put back at once.
const ROUNDS: u32 = 3;
/// How long is waited after that many rounds; with each further one twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// The longest that is waited.
const LONGEST_PAUSE: Duration = Duration::from_secs(960);

/// Who changes what drover puts back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rival {
    /// It sets these fields to other values.
    Sets {
        /// Its field manager, or several.
        by: String,
        /// The fields.
        fields: String,
    },
    /// It takes away what drover sets.
    Removes {
        /// Its field manager.
        by: String,
    },
    /// The object is deleted.
    Deletes,
}

/// A war, as a person reads of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contested<'a> {
    /// The object.
    pub key: &'a ObjectKey,
    /// The field manager of the owner that puts it back.
    pub manager: &'a str,
    /// Who is on the other side.
    pub rival: &'a Rival,
}

impl Contested<'_> {
    /// The reason in a status.
    pub const REASON: &'static str = "Contested";
}

impl fmt::Display for Contested<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { key, manager, rival } = self;
        match rival {
            Rival::Sets { by, fields } => write!(
                f,
                "{key} is changed again and again: {by} and {manager} (drover) both set {fields}, so drover now puts it back \
                 ever more seldom: leave the field out of git if {by} is to have it, or stop {by} from setting it"
            ),
            Rival::Removes { by } => write!(
                f,
                "{key} is changed again and again: {by} takes away what {manager} (drover) sets, so drover now puts it back \
                 ever more seldom: remove that from git, or stop {by} from changing it"
            ),
            Rival::Deletes => write!(
                f,
                "{key} is deleted again and again, not by {manager} (drover), which now makes it anew ever more seldom: remove \
                 it from git, or stop who deletes it"
            ),
        }
    }
}

struct Contest {
    /// How often it was put back.
    rounds: u32,
    /// When it was last.
    put_back: Timestamp,
    /// Known when it was changed after the last round that is not paused for.
    rival: Option<Rival>,
}

impl Contest {
    fn pause(&self) -> Duration {
        let doublings = self.rounds.saturating_sub(ROUNDS).min(8);
        (FIRST_PAUSE * (1 << doublings)).min(LONGEST_PAUSE)
    }

    /// How long ago the last round was.
    fn age(&self, now: Timestamp) -> Duration {
        now.duration_since(self.put_back).try_into().unwrap_or_default()
    }

    /// What is left of the time after which a change is no longer the same war.
    fn lasts(&self, now: Timestamp) -> Option<Duration> {
        (self.pause() * 2).checked_sub(self.age(now)).filter(|left| !left.is_zero())
    }
}

/// The objects whose drift was put back a short time ago.
#[derive(Default)]
pub struct Contests {
    by_object: HashMap<ObjectKey, Contest>,
}

impl Contests {
    /// Whether the drift of that object, which is seen now, is to be left for the moment.
    pub fn is_paused(&self, key: &ObjectKey, now: Timestamp) -> bool {
        self.by_object.get(key).is_some_and(|contest| contest.rounds >= ROUNDS && contest.age(now) < contest.pause())
    }

    /// Drift of that object was put back.
    pub fn put_back(&mut self, key: &ObjectKey, now: Timestamp) {
        self.by_object.retain(|_, contest| contest.lasts(now).is_some());
        let contest = self.by_object.entry(key.clone()).or_insert(Contest { rounds: 0, put_back: now, rival: None });
        contest.rounds += 1;
        contest.put_back = now;
    }

    /// That object is wanted otherwise now: what was fought over may be gone.
    pub fn forget(&mut self, key: &ObjectKey) {
        self.by_object.remove(key);
    }

    /// Who is on the other side is known.
    pub fn name(&mut self, key: &ObjectKey, rival: Rival) {
        if let Some(contest) = self.by_object.get_mut(key) {
            contest.rival = Some(rival);
        }
    }

    /// The rival in a war that still goes on, as far as anybody knows, and when to look again: to put the object back, or to see
    /// that it is over.
    pub fn rival(&self, key: &ObjectKey, now: Timestamp) -> Option<(&Rival, Duration)> {
        let contest = self.by_object.get(key)?;
        let rival = contest.rival.as_ref()?;
        let lasts = contest.lasts(now)?;
        Some((rival, contest.pause().checked_sub(contest.age(now)).filter(|left| !left.is_zero()).unwrap_or(lasts)))
    }

    /// Whether there is no war at all.
    pub fn is_empty(&self) -> bool {
        self.by_object.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> ObjectKey {
        ObjectKey { group: String::new(), kind: "ConfigMap".into(), namespace: Some("shop".into()), name: "a".into() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("a time")
    }

    fn rival() -> Rival {
        Rival::Sets { by: "injector".into(), fields: ".data.ca".into() }
    }

    /// When drift is put back of an object that somebody changes at once after that, within the first `end` seconds.
    fn rounds(end: i64) -> Vec<i64> {
        let mut contests = Contests::default();
        let mut rounds = Vec::new();
        for second in 0..end {
            if !contests.is_paused(&key(), at(second)) {
                contests.put_back(&key(), at(second));
                contests.name(&key(), rival());
                rounds.push(second);
            }
        }
        rounds
    }

    #[test]
    fn after_three_rounds_a_war_is_slowed_more_and_more() {
        assert_eq!(rounds(1000), [0, 1, 2, 62, 182, 422, 902]);
        assert!(rounds(24 * 3600).len() < 100, "the longest pause is bounded, and so is the number of rounds");
    }

    #[test]
    fn a_war_is_told_until_it_is_over() {
        let mut contests = Contests::default();
        for second in [0, 1, 2] {
            assert!(!contests.is_paused(&key(), at(second)));
            contests.put_back(&key(), at(second));
            assert_eq!(contests.rival(&key(), at(second)), None, "a person edits three times, too");
        }
        assert!(contests.is_paused(&key(), at(3)));
        contests.name(&key(), rival());
        assert_eq!(contests.rival(&key(), at(12)), Some((&rival(), Duration::from_secs(50))), "then it is put back");
        assert_eq!(contests.rival(&key(), at(62)), Some((&rival(), Duration::from_secs(60))), "then it is over");
        assert_eq!(contests.rival(&key(), at(122)), None);
        contests.put_back(&key(), at(122));
        assert!(!contests.is_paused(&key(), at(123)), "that was another one");
    }

    #[test]
    fn what_is_wanted_otherwise_is_put_back_at_once() {
        let mut contests = Contests::default();
        for second in 0..5 {
            contests.put_back(&key(), at(second));
        }
        assert!(contests.is_paused(&key(), at(6)));
        contests.forget(&key());
        assert!(!contests.is_paused(&key(), at(6)) && contests.is_empty());
    }

    #[test]
    fn it_is_told_with_both_names_and_the_field() {
        let key = key();
        let said = |rival: &Rival| Contested { key: &key, manager: "drover-env.shop.prod", rival }.to_string();
        let sets = said(&rival());
        for word in ["ConfigMap shop/a", "injector", "drover-env.shop.prod", ".data.ca", "leave the field out of git"] {
            assert!(sets.contains(word), "{sets}");
        }
        assert!(said(&Rival::Removes { by: "cleaner".into() }).contains("cleaner takes away"));
        assert!(said(&Rival::Deletes).contains("is deleted again and again"));
    }
}
