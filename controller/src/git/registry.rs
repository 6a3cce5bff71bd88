//! Pure: who follows what, and what is known about it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::time::Duration;

use drover_core::branch::CommitId;
use drover_crds::{Owner, Reference};
use drover_fetch::{Address, Credential, Error};
use jiff::Timestamp;

use super::apart::Found;
use super::cache::CacheId;
use super::head::Head;
use super::schedule::Again;
use super::webhook::webhook_id_of;

/// What an Environment follows.
#[derive(Clone, PartialEq, Eq)]
pub struct Subscription {
    /// The repository's address, as the spec has it.
    pub url: String,
    /// The branch, tag, range of versions or commit.
    pub reference: Reference,
    /// Who drover is for the server; `Credential::default()` for a public repository.
    pub credential: Credential,
    /// How often the server is asked.
    pub interval: Duration,
    /// What the git host was given to prove that a webhook is its own; `None` where webhooks are not accepted.
    pub webhook_token: Option<Vec<u8>>,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("url", &self.url)
            .field("reference", &self.reference)
            .field("credential", &self.credential)
            .field("interval", &self.interval)
            .field("webhook_token", &self.webhook_token.as_ref().map(|_| "…"))
            .finish()
    }
}

/// All subscribers and the repositories they share. `R` is what runs for a repository.
pub(super) struct Registry<R> {
    subscribers: HashMap<Owner, Subscriber>,
    repositories: HashMap<CacheId, Repository<R>>,
}

struct Subscriber {
    subscription: Subscription,
    place: Result<CacheId, (Error, Timestamp)>,
}

struct Repository<R> {
    address: Address,
    credential: Credential,
    webhook: String,
    followers: BTreeSet<Owner>,
    /// The shortest interval asked for since the last sync was planned.
    interval: Duration,
    heads: HashMap<Reference, Head>,
    /// What somebody wants a look at.
    asked: HashSet<Reference>,
    /// Why the last sync failed as a whole, since when, and when the next one comes.
    failing: Option<(Error, Timestamp, Option<Again>)>,
    /// Everybody hears of the next successful sync, even if it finds nothing new: they lack a commit that it brings back.
    recheck: bool,
    running: R,
}

/// What one sync has to do.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub address: Address,
    pub credential: Credential,
    pub references: Vec<Reference>,
    /// Those that somebody wants a look at.
    pub asked: HashSet<Reference>,
    pub interval: Duration,
}

/// A subscriber that accepts a webhook.
#[derive(Clone, Debug)]
pub(super) struct Hooked {
    pub name: Owner,
    pub token: Option<Vec<u8>>,
    pub reference: Reference,
    pub head: Option<CommitId>,
}

/// What a change of subscription asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// There is an answer already: the subscriber should hear of it.
    pub look: bool,
    /// The repository has to be asked sooner than it would be.
    pub ask: Option<CacheId>,
}

impl<R> Default for Registry<R> {
    fn default() -> Self {
        Self { subscribers: HashMap::new(), repositories: HashMap::new() }
    }
}

impl<R> Registry<R> {
    /// Enters a subscription, in the place of an older one of that name. `start` makes what runs for a repository that nobody
    /// followed until now.
    pub(super) fn subscribe(
        &mut self,
        name: Owner,
        subscription: Subscription,
        allow_http: bool,
        now: Timestamp,
        start: impl FnOnce(&CacheId) -> R,
    ) -> Change {
        if self.subscribers.get(&name).is_some_and(|known| known.subscription == subscription) {
            return Change::default();
        }
        self.unsubscribe(&name);
        let address = Address::parse(&subscription.url, allow_http);
        let usable = address.and_then(|address| subscription.credential.suits(&address).map(|()| address));
        let address = match usable {
            Ok(address) => address,
            Err(error) => {
                self.subscribers.insert(name, Subscriber { subscription, place: Err((error, now)) });
                return Change { look: true, ask: None };
            }
        };
        let Subscription { reference, credential, interval, .. } = subscription.clone();
        let id = CacheId::of(&address, &credential);
        let mut is_new = false;
        let repository = self.repositories.entry(id.clone()).or_insert_with(|| {
            is_new = true;
            Repository {
                webhook: webhook_id_of(&address),
                address,
                credential,
                followers: BTreeSet::new(),
                interval,
                heads: HashMap::new(),
                asked: HashSet::new(),
                failing: None,
                recheck: false,
                running: start(&id),
            }
        });
        repository.followers.insert(name.clone());
        let sooner = interval < repository.interval;
        repository.interval = repository.interval.min(interval);
        let is_followed = repository.heads.contains_key(&reference);
        let head = repository.heads.entry(reference).or_insert_with(|| match repository.failing.clone() {
            Some((error, since, again)) => Head::Failed { error, since, again, last_good: None },
            None => Head::Pending,
        });
        let look = *head != Head::Pending;
        // A repository that was just started is asked without being told to.
        let ask = (!is_new && (!is_followed || sooner)).then(|| id.clone());
        self.subscribers.insert(name, Subscriber { subscription, place: Ok(id) });
        Change { look, ask }
    }

    /// Forgets a subscriber; its repository stays until `unused` takes it out.
    pub(super) fn unsubscribe(&mut self, name: &Owner) {
        let gone = self.subscribers.remove(name);
        if let Some(repository) = gone.and_then(|s| s.place.ok()).and_then(|id| self.repositories.get_mut(&id)) {
            repository.followers.remove(name);
        }
    }

    /// Takes out the repositories that nobody follows any more.
    pub(super) fn unused(&mut self) -> Vec<(CacheId, R)> {
        let unused = self.repositories.extract_if(|_, repository| repository.followers.is_empty());
        unused.map(|(id, repository)| (id, repository.running)).collect()
    }

    pub(super) fn is_used(&self, id: &CacheId) -> bool {
        self.repositories.contains_key(id)
    }

    /// The repository's address, for messages.
    pub(super) fn url(&self, id: &CacheId) -> Option<String> {
        self.repositories.get(id).map(|repository| repository.address.to_string())
    }

    pub(super) fn head(&self, name: &Owner) -> Head {
        let Some(subscriber) = self.subscribers.get(name) else { return Head::Pending };
        match &subscriber.place {
            Err((error, since)) => Head::Failed { error: error.clone(), since: *since, again: None, last_good: None },
            Ok(id) => {
                let known = self.repositories.get(id).and_then(|r| r.heads.get(&subscriber.subscription.reference));
                known.cloned().unwrap_or(Head::Pending)
            }
        }
    }

    /// Somebody wants a look at what `name` follows. Returns what runs for its repository.
    pub(super) fn ask(&mut self, name: &Owner) -> Option<&R> {
        let subscriber = self.subscribers.get(name)?;
        let repository = self.repositories.get_mut(subscriber.place.as_ref().ok()?)?;
        repository.asked.insert(subscriber.subscription.reference.clone());
        Some(&repository.running)
    }

    /// What runs for the repository that `name` follows.
    pub(super) fn running(&self, name: &Owner) -> Result<(CacheId, &R), Error> {
        let nobody = || Error::NotSubscribed { name: name.to_string() };
        let subscriber = self.subscribers.get(name).ok_or_else(nobody)?;
        let id = subscriber.place.clone().map_err(|(error, _)| error)?;
        let repository = self.repositories.get(&id).ok_or_else(nobody)?;
        Ok((id, &repository.running))
    }

    pub(super) fn running_of(&self, id: &CacheId) -> Option<&R> {
        self.repositories.get(id).map(|repository| &repository.running)
    }

    fn followers<'a>(&'a self, repository: &'a Repository<R>) -> impl Iterator<Item = (&'a Owner, &'a Subscription)> {
        repository.followers.iter().filter_map(|name| Some((name, &self.subscribers.get(name)?.subscription)))
    }

    /// What the next sync of a repository has to do; `None` when nobody follows it.
    pub(super) fn task(&mut self, id: &CacheId) -> Option<Task> {
        let repository = self.repositories.get(id)?;
        let interval = self.followers(repository).map(|(_, subscription)| subscription.interval).min()?;
        let references: HashSet<&Reference> = self.followers(repository).map(|(_, s)| &s.reference).collect();
        let references = references.into_iter().cloned().collect();
        let repository = self.repositories.get_mut(id)?;
        repository.interval = interval;
        let (address, credential) = (repository.address.clone(), repository.credential.clone());
        Some(Task { address, credential, references, asked: std::mem::take(&mut repository.asked), interval })
    }

    /// Enters what a sync found, and returns who should hear of it. `again` is when a server that failed is asked again.
    pub(super) fn record(
        &mut self,
        id: &CacheId,
        references: &[Reference],
        result: &Result<Vec<Found>, Error>,
        again: Option<Again>,
        now: Timestamp,
    ) -> Vec<Owner> {
        let Some(repository) = self.repositories.get(id) else { return Vec::new() };
        let followed: HashSet<Reference> = self.followers(repository).map(|(_, s)| s.reference.clone()).collect();
        let Some(repository) = self.repositories.get_mut(id) else { return Vec::new() };
        repository.heads.retain(|reference, _| followed.contains(reference));
        repository.failing = result.as_ref().err().map(|error| {
            let since = repository.failing.as_ref().map_or(now, |(_, since, _)| *since);
            (error.clone(), since, again)
        });
        let mut news = BTreeSet::new();
        for (n, reference) in references.iter().enumerate() {
            let (answer, again) = match result {
                Ok(found) => match found.get(n).cloned() {
                    Some(Ok(commit)) => (Ok(commit), None),
                    Some(Err((error, again))) => (Err(error), again),
                    None => continue,
                },
                Err(error) => (Err(error.clone()), again),
            };
            if let Some(head) = repository.heads.get_mut(reference) {
                let (after, is_news) = head.after(answer, again, now);
                *head = after;
                if is_news {
                    news.insert(n);
                }
            }
        }
        let everybody = result.is_ok() && std::mem::take(&mut repository.recheck);
        let hears =
            |subscription: &Subscription| everybody || news.iter().any(|n| references[*n] == subscription.reference);
        let Some(repository) = self.repositories.get(id) else { return Vec::new() };
        self.followers(repository).filter(|(_, s)| hears(s)).map(|(name, _)| name.clone()).collect()
    }

    /// A reading lacked a commit. Returns whether a sync brings it back, which is so while it is at a head.
    pub(super) fn lacks(&mut self, id: &CacheId, commit: &CommitId) -> bool {
        let Some(repository) = self.repositories.get_mut(id) else { return false };
        let at_head =
            repository.heads.values().any(|head| matches!(head, Head::At { commit: at, .. } if at.id == *commit));
        repository.recheck |= at_head;
        at_head
    }

    /// The subscribers of the repositories behind a webhook's address.
    pub(super) fn hooked(&self, webhook: &str) -> Vec<Hooked> {
        let behind = self.repositories.values().filter(|repository| repository.webhook == webhook);
        behind
            .flat_map(|repository| {
                self.followers(repository).map(|(name, subscription)| Hooked {
                    name: name.clone(),
                    token: subscription.webhook_token.clone(),
                    reference: subscription.reference.clone(),
                    head: match repository.heads.get(&subscription.reference) {
                        Some(Head::At { commit, .. }) => Some(commit.id.clone()),
                        _ => None,
                    },
                })
            })
            .collect()
    }
}
