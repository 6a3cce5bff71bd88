//! I/O: image registries. An image reference becomes the digest that it stands for now, and the user that the image is made
//! for.
//!
//! The address comes from a spec, so nothing is believed of it: connections to this machine, to link-local addresses and to the
//! API server are refused after the name is resolved, redirects lose their credentials when they leave the host, answers are
//! bounded in time and size, and no answer's body appears in an error. Plain HTTP is for registries that the administrator
//! listed.
//!
//! Looking up is work of its own: [`Registry::look_up`] answers from memory, and whoever asked is told when there is an answer.

mod cache;
pub mod challenge;
mod credentials;
mod error;
mod lookups;
pub mod manifest;
mod mirror;
mod places;
mod schedule;
mod transport;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use drover_crds::Key;
use oci_spec::distribution::Reference;
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

pub use credentials::Credentials;
pub use error::Error;
pub use mirror::Mirror;

use crate::metrics;
use crate::unpoisoned;
use lookups::{Lookups, Question, Scope};
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
}

/// Whether `image` names a digest, so that no tag has to be resolved.
pub fn has_digest(image: &str) -> bool {
    parse(image).is_ok_and(|r| r.digest().is_some())
}

/// Reads an image reference.
pub fn parse(image: &str) -> Result<Reference, Error> {
    image.parse().map_err(|_| Error::Invalid { image: image.to_owned() })
}

/// The image as the spec names it, with the digest in place of nothing but the tag's meaning: `repository:tag@sha256:…` runs
/// what the digest says, and people still see the tag.
pub fn pinned(image: &str, digest: &str) -> String {
    format!("{}@{digest}", image.split('@').next().unwrap_or(image))
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
    lookups: Mutex<Lookups>,
    notify: UnboundedSender<Key>,
}

impl Registry {
    /// A registry client with these settings; `notify` gets who asked when there is an answer. Fails where no certificate
    /// authority can be read.
    pub fn new(settings: Settings, notify: UnboundedSender<Key>) -> Result<Self, Error> {
        let transport = Transport::new(settings)?;
        Ok(Self { shared: Arc::new(Shared { transport, lookups: Mutex::default(), notify }) })
    }

    /// What is known of an image. Must be called within a tokio runtime.
    pub fn look_up(&self, who: &Key, wanted: &Wanted<'_>) -> Answer {
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
        let answer = self.shared.lookups().ask(who, &question, credentials, asked, Instant::now());
        start(&self.shared);
        answer
    }

    /// Who asked is gone, or wants nothing of a registry any more.
    pub fn forget(&self, who: &Key) {
        self.shared.lookups().forget(who);
    }
}

/// Asks what is to be asked now.
fn start(shared: &Arc<Shared>) {
    let due = shared.lookups().start();
    for (question, credentials) in due {
        let shared = shared.clone();
        tokio::spawn(async move {
            let asked = {
                let (shared, image) = (shared.clone(), question.image.clone());
                tokio::spawn(async move { shared.resolve(&image, &credentials).await })
            };
            // A defect must not keep its place for ever.
            let answer = asked.await.unwrap_or_else(|error| {
                tracing::error!(image = %question.image, %error, "looking up an image ended by a defect");
                Err(unreachable_because(
                    &question.image,
                    &question.registry,
                    "looking it up ended by a defect in drover",
                ))
            });
            metrics::looked_up(answer.as_ref().err().map_or("ok", Error::label));
            let told = shared.lookups().answered(&question, answer, Instant::now(), rand::random());
            for name in told {
                // The receiver ends with the process.
                let _ = shared.notify.send(name);
            }
            start(&shared);
        });
    }
}

fn unreachable_because(image: &str, registry: &str, why: &str) -> Error {
    Error::Unreachable { image: image.to_owned(), registry: registry.to_owned(), why: why.to_owned() }
}

impl Shared {
    fn lookups(&self) -> MutexGuard<'_, Lookups> {
        unpoisoned::lock(&self.lookups)
    }

    /// The digest and user of `image`, from the registry.
    async fn resolve(&self, image: &str, credentials: &Credentials) -> Result<Resolved, Error> {
        let reference = parse(image)?;
        let asked = self.ask(image, &reference, credentials);
        tokio::time::timeout(DEADLINE, asked).await.unwrap_or_else(|_| {
            let why = format!("it did not answer within {} seconds", DEADLINE.as_secs());
            Err(unreachable_because(image, reference.resolve_registry(), &why))
        })
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
        let user = manifest::user(&body).map_err(|why| Error::Unusable { image: image.to_owned(), why })?;
        Ok(Resolved { reference: pinned(image, &digest), digest, user })
    }
}

fn digest_of(body: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(body)))
}

#[cfg(test)]
mod tests;
