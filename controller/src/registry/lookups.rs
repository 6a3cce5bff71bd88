//! Pure: who wants to know which image, what is known, and what is asked next. Time comes in as a value.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use drover_crds::Owner;
use tokio::time::Instant;

use super::cache::Cache;
use super::places::Places;
use super::schedule::pause;
use super::{Answer, Credentials, Error, Resolved};

/// What a registry is asked. The same question is asked once, whoever waits for the answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// The image, as the spec names it.
    pub image: String,
    /// The registry's host.
    pub registry: String,
    /// Who drover is for the registry.
    pub credentials: String,
    /// For what the answer holds.
    pub scope: Scope,
}

/// For what an answer holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Scope {
    /// A digest is what it is, and a tag is resolved once per commit.
    Commit(Option<String>),
    /// A tag without a commit may have moved since another asked.
    Asker(Owner),
}

/// Everything that is known and asked.
#[derive(Default)]
pub(super) struct Lookups {
    cache: Cache<Question>,
    questions: HashMap<Question, Lookup>,
    /// What each asker asked last, and the word by which a person asked for it.
    asked: HashMap<Owner, (Question, Option<String>)>,
    waiting: VecDeque<Question>,
    pub(super) places: Places,
    /// Registries that want to be left alone.
    limited: HashMap<At, Instant>,
}

/// A registry, and who drover is for it: limits are counted per user.
pub(super) type At = (String, String);

/// One question.
struct Lookup {
    /// Whose places it takes.
    namespace: String,
    credentials: Credentials,
    askers: BTreeSet<Owner>,
    failures: u32,
    /// What it came to the last time, and when it is asked again.
    failed: Option<(Error, Instant)>,
    standing: Standing,
}

#[derive(PartialEq, Eq)]
enum Standing {
    Waiting,
    Running,
    /// The last answer was a failure.
    Failed,
    /// The answer, for an asker of its own to take.
    Answered(Resolved),
}

impl Lookups {
    /// What is known of `question`; where that is nothing, or old, it is asked, and `who` is told when there is an answer.
    /// A new word in `asked` asks at once what failed before.
    pub(super) fn ask(
        &mut self,
        who: &Owner,
        question: &Question,
        credentials: &Credentials,
        asked: Option<&str>,
        now: Instant,
    ) -> Answer {
        let before = self.asked.get(who).cloned();
        let same = before.as_ref().is_some_and(|(before, _)| before == question);
        if !same {
            self.forget(who);
        }
        if let Some(known) = self.cache.get(question) {
            self.forget(who);
            return Answer::Known(known);
        }
        let is_urgent = same && before.is_some_and(|(_, word)| word.as_deref() != asked);
        self.asked.insert(who.clone(), (question.clone(), asked.map(str::to_owned)));
        let lookup = self.questions.entry(question.clone()).or_insert_with(|| {
            self.waiting.push_back(question.clone());
            Lookup {
                namespace: who.key.namespace.clone(),
                credentials: credentials.clone(),
                askers: BTreeSet::new(),
                failures: 0,
                failed: None,
                standing: Standing::Waiting,
            }
        });
        lookup.askers.insert(who.clone());
        match &lookup.standing {
            Standing::Answered(resolved) => {
                let resolved = resolved.clone();
                self.forget(who);
                return Answer::Known(resolved);
            }
            Standing::Failed => {
                if let Some((error, again)) = lookup.failed.as_ref().filter(|(_, again)| now < *again && !is_urgent) {
                    return Answer::Failed { error: error.clone(), again: *again - now };
                }
                lookup.standing = Standing::Waiting;
                self.waiting.push_back(question.clone());
            }
            Standing::Waiting | Standing::Running => {}
        }
        if let Some(until) = self.limited(&question.at(), now) {
            self.leave_alone(question, until, now);
        }
        let Some(lookup) = self.questions.get(question) else { return Answer::Asking { before: None } };
        match (&lookup.standing, &lookup.failed) {
            (Standing::Failed, Some((error, again))) => {
                Answer::Failed { error: error.clone(), again: again.saturating_duration_since(now) }
            }
            (_, failed) => Answer::Asking { before: failed.as_ref().map(|(error, _)| error.clone()) },
        }
    }

    /// `who` wants to know nothing any more.
    pub(super) fn forget(&mut self, who: &Owner) {
        let Some((question, _)) = self.asked.remove(who) else { return };
        let Some(lookup) = self.questions.get_mut(&question) else { return };
        lookup.askers.remove(who);
        // What is under way ends, and is dropped then: its places are taken so long.
        if lookup.askers.is_empty() && lookup.standing != Standing::Running {
            self.questions.remove(&question);
            self.waiting.retain(|waiting| *waiting != question);
        }
    }

    /// What is to be asked now. It counts as asked until [`Lookups::answered`].
    pub(super) fn start(&mut self) -> Vec<(Question, Credentials)> {
        let (places, questions) = (&mut self.places, &mut self.questions);
        let mut started = Vec::new();
        self.waiting.retain(|question| {
            let Some(lookup) = questions.get_mut(question) else { return false };
            let starts = places.take(&lookup.namespace, &question.registry);
            if starts {
                lookup.standing = Standing::Running;
                started.push((question.clone(), lookup.credentials.clone()));
            }
            !starts
        });
        started
    }

    /// A question was answered. Returns who is told.
    pub(super) fn answered(
        &mut self,
        question: &Question,
        answer: Result<Resolved, Error>,
        now: Instant,
        jitter: f64,
    ) -> BTreeSet<Owner> {
        self.limited.retain(|_, until| now < *until);
        let Some(lookup) = self.questions.get_mut(question) else { return BTreeSet::new() };
        self.places.give_back(&lookup.namespace, &question.registry);
        let mut told = lookup.askers.clone();
        match answer {
            Ok(resolved) if matches!(question.scope, Scope::Commit(_)) => {
                self.cache.put(question.clone(), resolved);
                self.questions.remove(question);
            }
            Ok(resolved) => lookup.standing = Standing::Answered(resolved),
            Err(error) => {
                lookup.failures = lookup.failures.saturating_add(1);
                let again = now + pause(&error, lookup.failures, jitter);
                let is_limited = matches!(error, Error::RateLimited { .. });
                lookup.failed = Some((error, again));
                lookup.standing = Standing::Failed;
                if is_limited {
                    told.extend(self.limit(&question.at(), again, now));
                }
            }
        }
        if self.questions.get(question).is_some_and(|lookup| lookup.askers.is_empty()) {
            self.questions.remove(question);
        }
        told
    }

    /// Until when that registry wants to be left alone, where it does.
    pub(super) fn limited(&self, at: &At, now: Instant) -> Option<Instant> {
        self.limited.get(at).copied().filter(|until| now < *until)
    }

    /// That registry is asked nothing until then. Returns who waited.
    pub(super) fn limit(&mut self, at: &At, until: Instant, now: Instant) -> BTreeSet<Owner> {
        self.limited.insert(at.clone(), until);
        let waiting: Vec<Question> = self.waiting.iter().filter(|q| q.at() == *at).cloned().collect();
        let mut told = BTreeSet::new();
        for question in waiting {
            self.leave_alone(&question, until, now);
            told.extend(self.questions.get(&question).into_iter().flat_map(|lookup| lookup.askers.iter().cloned()));
        }
        told
    }

    /// Answers a question that waits, in the words of the registry's limit.
    fn leave_alone(&mut self, question: &Question, until: Instant, now: Instant) {
        let Some(lookup) = self.questions.get_mut(question).filter(|l| l.standing == Standing::Waiting) else { return };
        let error = Error::RateLimited {
            image: question.image.clone(),
            registry: question.registry.clone(),
            // In whole seconds, as registries say it.
            retry_after: Some(Duration::from_secs(until.saturating_duration_since(now).as_secs() + 1)),
        };
        lookup.failed = Some((error, until));
        lookup.standing = Standing::Failed;
        self.waiting.retain(|waiting| waiting != question);
    }
}

impl Question {
    /// Where it is asked, and as whom.
    pub(super) fn at(&self) -> At {
        (self.registry.clone(), self.credentials.clone())
    }
}

#[cfg(test)]
mod tests;
