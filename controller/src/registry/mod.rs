//! I/O: image registries. An image reference becomes the digest that it stands for now, and the user that the image is made
//! for.
//!
//! The address comes from a spec, so nothing is believed of it: connections to this machine, to link-local addresses and to the
//! API server are refused after the name is resolved, redirects lose their credentials when they leave the host, answers are
//! bounded in time and size, and no answer's body appears in an error. Plain HTTP is for registries that the administrator
//! listed.
//!
//! Looking up is work of its own: [`Registry::look_up`] answers from memory, and whoever asked is told when there is an answer. So is
//! following a tag ([`Registry::follow`]): who follows one is told when it has moved.

mod cache;
pub mod challenge;
mod credentials;
mod error;
mod follows;
mod lookups;
pub mod manifest;
mod mirror;
mod places;
mod schedule;
mod transport;

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, Once, Weak};
use std::time::Duration;

use drover_crds::Owner;
use oci_spec::distribution::Reference;
use sha2::{Digest as _, Sha256};
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinError;
use tokio::time::Instant;

pub use credentials::Credentials;
pub use drover_core::release::reference::pinned;
use drover_core::workload::pods::Origin;
pub use error::Error;
pub use mirror::Mirror;
pub(crate) use transport::cause;

use crate::metrics;
use crate::unpoisoned;
use follows::{Follows, Occasion, SPACING, Tag};
use lookups::{At, Lookups, Question, Scope};
use transport::{Session, Transport};

/// The longest that one image may take, all requests together.
const DEADLINE: Duration = Duration::from_secs(30);

/// The largest manifest or configuration that is read.
const LARGEST: usize = 4 << 20;

/// What an administrator sets.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Registries, as `host` or `host:port`, that are asked by plain HTTP, and that may be anywhere.
    pub insecure: Vec<String>,
    /// What is asked in place of a registry, and may be anywhere.
    pub mirrors: Vec<Mirror>,
    /// Addresses that are never asked: the API server's.
    pub refused: Vec<SocketAddr>,
}

/// An image as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The reference with its digest, as a pod names it.
    pub reference: String,
    /// The digest: of the index, where the image is for several platforms.
    pub digest: String,
    /// The user that the image is made for; `None` where it names none, which is root.
    pub user: Option<String>,
    /// What its labels say that it was built from.
    pub origin: Option<Origin>,
}

/// Whether `image` names a digest, so that no tag has to be resolved.
pub fn has_digest(image: &str) -> bool {
    parse(image).is_ok_and(|r| r.digest().is_some())
}

/// Reads an image reference.
pub fn parse(image: &str) -> Result<Reference, Error> {
    image.parse().map_err(|_| Error::Invalid { image: image.to_owned() })
}

/// What is known of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The image as it is now.
    Known(Resolved),
    /// The registry is asked, and who asked is told when it has answered.
    Asking {
        /// What it came to the last time, where that was a failure.
        before: Option<Error>,
    },
    /// It cannot be resolved.
    Failed {
        /// Why.
        error: Error,
        /// After that time the registry is asked again by who wants to know; sooner when a person asks for it.
        again: Duration,
    },
}

/// Where a tag points that is followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pointing {
    /// The registry is asked, and who follows is told when it has answered.
    Asking,
    /// To this digest.
    At(String),
    /// That is not known now. The registry is asked again, and who follows is told when it is.
    Lost {
        /// Why.
        error: Error,
        /// How long ago it was known last.
        ago: Option<Duration>,
    },
}

/// What is wanted of a registry.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// The image, as the spec names it.
    pub image: &'a str,
    /// What the registry is asked with.
    pub credentials: &'a Credentials,
    /// The commit for which a tag is resolved once; without one it is resolved for each who asks.
    pub commit: Option<&'a str>,
    /// Another word here asks at once what failed before.
    pub asked: Option<&'a str>,
}

/// Asks registries, as work of its own; cheap to clone.
///
/// Who asks is answered from memory and told when there is more to know: nobody waits for a registry, and one that takes
/// connections and says nothing holds no more than a few places.
#[derive(Clone)]
pub struct Registry {
    shared: Arc<Shared>,
}

struct Shared {
    transport: Transport,
    known: Mutex<Known>,
    notify: UnboundedSender<Owner>,
    /// Somebody follows a tag; and something is to be asked about tags now.
    following: Once,
    wake: Arc<Notify>,
}

/// What is known of registries, and asked.
#[derive(Default)]
struct Known {
    lookups: Lookups,
    follows: Follows,
}

impl Registry {
    /// A registry client with these settings; `notify` gets who asked when there is an answer. Fails where no certificate
    /// authority can be read.
    pub fn new(settings: Settings, notify: UnboundedSender<Owner>) -> Result<Self, Error> {
        let transport = Transport::new(settings)?;
        let (known, following, wake) = (Mutex::default(), Once::new(), Arc::default());
        Ok(Self { shared: Arc::new(Shared { transport, known, notify, following, wake }) })
    }

    /// What is known of an image. Must be called within a tokio runtime.
    pub fn look_up(&self, who: &Owner, wanted: &Wanted<'_>) -> Answer {
        let Wanted { image, credentials, commit, asked } = *wanted;
        let reference = match parse(image) {
            Ok(reference) => reference,
            Err(error) => return Answer::Failed { again: schedule::pause(&error, 1, 0.5), error },
        };
        let scope = if commit.is_some() || reference.digest().is_some() {
            Scope::Commit(commit.map(str::to_owned))
        } else {
            Scope::Asker(who.clone())
        };
        let question = Question {
            image: image.to_owned(),
            registry: reference.resolve_registry().to_owned(),
            credentials: credentials.fingerprint(),
            scope,
        };
        let answer = self.shared.known().lookups.ask(who, &question, credentials, asked, Instant::now());
        start(&self.shared);
        answer
    }

    /// Where the image's tag points, as far as is known. From now on `who` is told each time that this changes. With another commit
    /// or another word than before it is asked anew. Must be called within a tokio runtime.
    pub fn follow(&self, who: &Owner, wanted: &Wanted<'_>) -> Pointing {
        let Wanted { image, credentials, commit, asked } = *wanted;
        let reference = match parse(image) {
            Ok(reference) => reference,
            Err(error) => return Pointing::Lost { error, ago: None },
        };
        let tag = Tag {
            image: image.to_owned(),
            registry: reference.resolve_registry().to_owned(),
            credentials: credentials.fingerprint(),
        };
        let occasion = Occasion { commit: commit.map(str::to_owned), asked: asked.map(str::to_owned) };
        let pointing = {
            let (mut known, now) = (self.shared.known(), Instant::now());
            let limited = known.lookups.limited(&tag.at(), now);
            known.follows.follow(who, (&tag, occasion), credentials, limited, now)
        };
        self.shared.following.call_once(|| {
            tokio::spawn(keep_asking(Arc::downgrade(&self.shared), self.shared.wake.clone()));
        });
        if pointing == Pointing::Asking {
            self.shared.wake.notify_one();
        }
        pointing
    }

    /// Who followed a tag does so no more.
    pub fn unfollow(&self, who: &Owner) {
        self.shared.known().follows.forget(who);
    }

    /// Who asked is gone, or wants nothing of a registry any more.
    pub fn forget(&self, who: &Owner) {
        let mut known = self.shared.known();
        known.lookups.forget(who);
        known.follows.forget(who);
    }
}

/// Asks where the followed tags point, each when it is due, for as long as there is somebody to follow any.
async fn keep_asking(shared: Weak<Shared>, wake: Arc<Notify>) {
    loop {
        let next = {
            let Some(shared) = shared.upgrade() else { return };
            ask_about_tags(&shared);
            shared.known().follows.next()
        };
        let now = Instant::now();
        // What is due and was not asked waits for a place.
        let next = next.map_or(now + DEADLINE, |next| next.max(now + SPACING));
        tokio::select! {
            () = tokio::time::sleep_until(next) => {}
            () = wake.notified() => {}
        }
    }
}

/// Asks about the tags that are due now.
fn ask_about_tags(shared: &Arc<Shared>) {
    let now = Instant::now();
    let due = {
        let Known { lookups, follows } = &mut *shared.known();
        follows.start(now, |namespace, tag| {
            lookups.limited(&tag.at(), now).is_none() && lookups.places.take(namespace, &tag.registry)
        })
    };
    for (tag, namespace, credentials) in due {
        let shared = shared.clone();
        tokio::spawn(async move {
            let answer = {
                let (shared, image) = (shared.clone(), tag.image.clone());
                tokio::spawn(async move { shared.locate(&image, &credentials).await })
            };
            let answer = answer.await.unwrap_or_else(|error| Err(defect(&tag.image, &tag.registry, &error)));
            metrics::looked_up(answer.as_ref().err().map_or("ok", Error::label));
            let told = {
                let (mut known, now) = (shared.known(), Instant::now());
                known.lookups.places.give_back(&namespace, &tag.registry);
                let (told, until) = known.follows.answered(&tag, answer, now, rand::random());
                let limited = until.map(|until| known.limit(&tag.at(), until, now));
                told.into_iter().chain(limited.unwrap_or_default()).collect()
            };
            shared.tell(told);
            // A place is free, and it is known when this tag is due again.
            start(&shared);
            shared.wake.notify_one();
        });
    }
}

/// Asks what is to be asked now.
fn start(shared: &Arc<Shared>) {
    let due = shared.known().lookups.start();
    for (question, credentials) in due {
        let shared = shared.clone();
        tokio::spawn(async move {
            let asked = {
                let (shared, image) = (shared.clone(), question.image.clone());
                tokio::spawn(async move { shared.resolve(&image, &credentials).await })
            };
            // A defect must not keep its place for ever.
            let answer = asked.await.unwrap_or_else(|error| Err(defect(&question.image, &question.registry, &error)));
            metrics::looked_up(answer.as_ref().err().map_or("ok", Error::label));
            let told = {
                let (mut known, now) = (shared.known(), Instant::now());
                let mut told = known.lookups.answered(&question, answer, now, rand::random());
                if let Some(until) = known.lookups.limited(&question.at(), now) {
                    told.extend(known.follows.limit(&question.at(), until));
                }
                told
            };
            shared.tell(told);
            start(&shared);
        });
    }
}

fn defect(image: &str, registry: &str, error: &JoinError) -> Error {
    tracing::error!(image, %error, "asking a registry ended by a defect");
    unreachable_because(image, registry, "looking it up ended by a defect in drover")
}

fn unreachable_because(image: &str, registry: &str, why: &str) -> Error {
    Error::Unreachable { image: image.to_owned(), registry: registry.to_owned(), why: why.to_owned() }
}

impl Known {
    /// That registry is asked nothing before then. Returns who is told.
    fn limit(&mut self, at: &At, until: Instant, now: Instant) -> BTreeSet<Owner> {
        let mut told = self.lookups.limit(at, until, now);
        told.extend(self.follows.limit(at, until));
        told
    }
}

impl Shared {
    fn known(&self) -> MutexGuard<'_, Known> {
        unpoisoned::lock(&self.known)
    }

    fn tell(&self, told: BTreeSet<Owner>) {
        for name in told {
            // The receiver ends with the process.
            let _ = self.notify.send(name);
        }
    }

    /// The digest, user and origin of `image`, from the registry.
    async fn resolve(&self, image: &str, credentials: &Credentials) -> Result<Resolved, Error> {
        let reference = parse(image)?;
        in_time(image, &reference, self.ask(image, &reference, credentials)).await
    }

    /// The digest that the tag of `image` points to, from the registry.
    async fn locate(&self, image: &str, credentials: &Credentials) -> Result<String, Error> {
        let reference = parse(image)?;
        let mut session = Session::new(&self.transport, image, &reference, credentials);
        let asked = async {
            let tag = reference.tag().unwrap_or("latest");
            match session.digest(tag).await? {
                Some(digest) => Ok(digest),
                None => Ok(digest_of(&session.get(&format!("manifests/{tag}"), LARGEST).await?)),
            }
        };
        in_time(image, &reference, asked).await
    }

    async fn ask(&self, image: &str, reference: &Reference, credentials: &Credentials) -> Result<Resolved, Error> {
        let mut session = Session::new(&self.transport, image, reference, credentials);
        let wanted = reference.digest().or(reference.tag()).unwrap_or("latest");
        let body = session.get(&format!("manifests/{wanted}"), LARGEST).await?;
        let digest = digest_of(&body);
        if reference.digest().is_some_and(|d| d.starts_with("sha256:") && d != digest) {
            return Err(Error::Unusable {
                image: image.to_owned(),
                why: "the manifest does not have its digest".into(),
            });
        }
        let digest = reference.digest().map_or(digest, str::to_owned);
        let mut found = manifest::read(&body).map_err(|why| Error::Unusable { image: image.to_owned(), why })?;
        if let manifest::Manifest::Index(entries) = &found {
            let platform = manifest::platform(entries, manifest::architecture()).ok_or_else(|| Error::Unusable {
                image: image.to_owned(),
                why: "it has no manifest for Linux".into(),
            })?;
            let body = session.get(&format!("manifests/{platform}"), LARGEST).await?;
            found = manifest::read(&body).map_err(|why| Error::Unusable { image: image.to_owned(), why })?;
        }
        let manifest::Manifest::Image { config } = found else {
            return Err(Error::Unusable { image: image.to_owned(), why: "its index leads to another index".into() });
        };
        let body = session.get(&format!("blobs/{config}"), LARGEST).await?;
        let manifest::Said { user, origin } =
            manifest::configuration(&body).map_err(|why| Error::Unusable { image: image.to_owned(), why })?;
        Ok(Resolved { reference: pinned(image, &digest), digest, user, origin })
    }
}

/// The answer, if it comes in time.
async fn in_time<T>(
    image: &str,
    reference: &Reference,
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    tokio::time::timeout(DEADLINE, asked).await.unwrap_or_else(|_| {
        let why = format!("it did not answer within {} seconds", DEADLINE.as_secs());
        Err(unreachable_because(image, reference.resolve_registry(), &why))
    })
}

fn digest_of(body: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(body)))
}

#[cfg(test)]
mod tests;
