//! Pure: which tags are followed, where they point, and about which of them a registry is asked next. Time comes in as a value.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use drover_crds::Owner;
use tokio::time::Instant;

use super::lookups::At;
use super::schedule::pause;
use super::{Credentials, Error, Pointing};

/// How often it is asked where a tag points.
const INTERVAL: Duration = Duration::from_mins(1);

/// After a question about one tag a registry is asked about the next no sooner, whoever follows it.
pub(super) const SPACING: Duration = Duration::from_millis(100);

/// A tag that is followed. It is asked about once, however many follow it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tag {
    /// The image, as the spec names it.
    pub image: String,
    /// The registry's host.
    pub registry: String,
    /// Who drover is for the registry.
    pub credentials: String,
}

impl Tag {
    /// Where it is asked about, and as whom.
    pub(super) fn at(&self) -> At {
        (self.registry.clone(), self.credentials.clone())
    }
}

/// What a follower goes by: where another comes, the answer of before is too old.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Occasion {
    /// The commit that last changed it.
    pub commit: Option<String>,
    /// The word by which a person asked for a look.
    pub asked: Option<String>,
}

/// All tags that are followed.
#[derive(Default)]
pub(super) struct Follows {
    tags: HashMap<Tag, Followed>,
    followers: HashMap<Owner, (Tag, Occasion)>,
    /// When a registry may be asked about another tag.
    free: HashMap<String, Instant>,
}

/// One tag.
struct Followed {
    /// Whose places it takes.
    namespace: String,
    credentials: Credentials,
    /// Who follows it, and since when one waits for an answer to a question that was asked later.
    followers: BTreeMap<Owner, Option<Instant>>,
    /// Where it pointed when that was known last, and when that was.
    seen: Option<(String, Instant)>,
    /// Why that is not known now.
    failed: Option<Error>,
    failures: u32,
    due: Instant,
    asked_at: Option<Instant>,
}

impl Followed {
    fn pointing(&self, who: &Owner, now: Instant) -> Pointing {
        match (&self.failed, &self.seen) {
            _ if self.followers.get(who).is_none_or(Option::is_some) => Pointing::Asking,
            (Some(error), seen) => {
                Pointing::Lost { error: error.clone(), ago: seen.as_ref().map(|(_, at)| now.duration_since(*at)) }
            }
            (None, Some((digest, _))) => Pointing::At(digest.clone()),
            (None, None) => Pointing::Asking,
        }
    }

    /// The registry is not asked before then.
    fn leave_alone(&mut self, tag: &Tag, until: Instant) -> BTreeSet<Owner> {
        let error = Error::RateLimited { image: tag.image.clone(), registry: tag.registry.clone(), retry_after: None };
        let is_news = self.failed.as_ref() != Some(&error);
        self.failed = Some(error);
        self.due = self.due.max(until);
        self.answer(is_news, None)
    }

    /// There is an answer to what was asked at that time, or none to whatever is asked. Returns who is told.
    fn answer(&mut self, is_news: bool, asked_at: Option<Instant>) -> BTreeSet<Owner> {
        let mut told = BTreeSet::new();
        for (who, waits) in &mut self.followers {
            let is_answered = waits.is_some_and(|since| asked_at.is_none_or(|at| at >= since));
            if is_answered {
                *waits = None;
            }
            // Who waits on is told of the answer that is waited for.
            if is_answered || (is_news && waits.is_none()) {
                told.insert(who.clone());
            }
        }
        told
    }
}

impl Follows {
    /// Where `tag` points, as far as is known. From now on `who` is told when that changes. On another occasion than before it is
    /// asked anew, unless the registry wants to be left alone: `limited` says until when.
    pub(super) fn follow(
        &mut self,
        who: &Owner,
        (tag, occasion): (&Tag, Occasion),
        credentials: &Credentials,
        limited: Option<Instant>,
        now: Instant,
    ) -> Pointing {
        let before = self.followers.get(who);
        let (is_same, is_new) = match before {
            Some((before, by)) => (before == tag, before != tag || *by != occasion),
            None => (false, true),
        };
        if !is_same {
            self.forget(who);
        }
        if is_new {
            self.followers.insert(who.clone(), (tag.clone(), occasion));
        }
        let followed = self.tags.entry(tag.clone()).or_insert_with(|| Followed {
            namespace: who.key.namespace.clone(),
            credentials: credentials.clone(),
            followers: BTreeMap::new(),
            seen: None,
            failed: None,
            failures: 0,
            due: now,
            asked_at: None,
        });
        if is_new {
            followed.followers.insert(who.clone(), Some(now));
            followed.due = now;
        }
        if let Some(until) = limited {
            followed.leave_alone(tag, until);
        }
        followed.pointing(who, now)
    }

    /// `who` follows nothing any more.
    pub(super) fn forget(&mut self, who: &Owner) {
        let Some((tag, _)) = self.followers.remove(who) else { return };
        let Some(followed) = self.tags.get_mut(&tag) else { return };
        followed.followers.remove(who);
        // What is asked is dropped when it is answered.
        if followed.followers.is_empty() && followed.asked_at.is_none() {
            self.tags.remove(&tag);
        }
    }

    /// What is to be asked now, with whose places and as whom. `may_ask` takes a place where there is one. Each counts as asked until
    /// [`Follows::answered`].
    pub(super) fn start(
        &mut self,
        now: Instant,
        mut may_ask: impl FnMut(&str, &Tag) -> bool,
    ) -> Vec<(Tag, String, Credentials)> {
        self.free.retain(|_, free| now < *free);
        let mut due: Vec<(Instant, &Tag, &mut Followed)> = self
            .tags
            .iter_mut()
            .filter(|(_, f)| f.asked_at.is_none() && f.due <= now)
            .map(|(t, f)| (f.due, t, f))
            .collect();
        due.sort_by_key(|(due, ..)| *due);
        let mut started = Vec::new();
        for (_, tag, followed) in due {
            if !self.free.contains_key(&tag.registry) && may_ask(&followed.namespace, tag) {
                self.free.insert(tag.registry.clone(), now + SPACING);
                followed.asked_at = Some(now);
                started.push((tag.clone(), followed.namespace.clone(), followed.credentials.clone()));
            }
        }
        started
    }

    /// When there is something to ask next, as far as is known.
    pub(super) fn next(&self) -> Option<Instant> {
        let waiting = self.tags.iter().filter(|(_, followed)| followed.asked_at.is_none());
        waiting
            .map(|(tag, followed)| self.free.get(&tag.registry).map_or(followed.due, |free| followed.due.max(*free)))
            .min()
    }

    /// It was answered where a tag points. `jitter` from 0 to 1 spreads what was asked together. Returns who is told, and where the
    /// registry wants to be left alone, until when.
    pub(super) fn answered(
        &mut self,
        tag: &Tag,
        answer: Result<String, Error>,
        now: Instant,
        jitter: f64,
    ) -> (BTreeSet<Owner>, Option<Instant>) {
        let Some(followed) = self.tags.get_mut(tag) else { return (BTreeSet::new(), None) };
        let asked_at = followed.asked_at.take();
        let mut until = None;
        let is_news = match answer {
            Ok(digest) => {
                followed.failures = 0;
                followed.due = now + INTERVAL.mul_f64(0.8 + 0.4 * jitter);
                let before = followed.seen.replace((digest.clone(), now)).map(|(digest, _)| digest);
                followed.failed.take().is_some() || before != Some(digest)
            }
            Err(error) => {
                followed.failures = followed.failures.saturating_add(1);
                followed.due = now + pause(&error, followed.failures, jitter);
                until = matches!(error, Error::RateLimited { .. }).then_some(followed.due);
                let error = error.timeless();
                let is_news = followed.failed.as_ref() != Some(&error);
                followed.failed = Some(error);
                is_news
            }
        };
        let told = followed.answer(is_news, asked_at);
        // Who came meanwhile is not answered by this.
        if followed.followers.values().any(Option::is_some) {
            followed.due = until.unwrap_or(now);
        }
        if followed.followers.is_empty() {
            self.tags.remove(tag);
        }
        (told, until)
    }

    /// That registry is asked nothing before then. Returns who is told.
    pub(super) fn limit(&mut self, at: &At, until: Instant) -> BTreeSet<Owner> {
        let tags = self.tags.iter_mut().filter(|(tag, followed)| tag.at() == *at && followed.asked_at.is_none());
        tags.flat_map(|(tag, followed)| followed.leave_alone(tag, until)).collect()
    }
}

#[cfg(test)]
mod tests;
