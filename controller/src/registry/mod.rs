//! I/O: image registries. An image reference becomes the digest that it stands for now, and the user that the image is made
//! for.
//!
//! The address comes from a spec, so nothing is believed of it: connections to this machine, to link-local addresses and to the
//! API server are refused after the name is resolved, redirects lose their credentials when they leave the host, answers are
//! bounded in time and size, and no answer's body appears in an error. Plain HTTP is for registries that the administrator
//! listed.

mod address;
mod cache;
pub mod challenge;
mod credentials;
mod error;
pub mod manifest;
mod mirror;
mod transport;

use std::net::SocketAddr;
use std::time::Duration;

use oci_spec::distribution::Reference;
use sha2::{Digest as _, Sha256};

pub use credentials::Credentials;
pub use error::Error;
pub use mirror::Mirror;

use cache::Cache;
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

/// Asks registries.
pub struct Registry {
    transport: Transport,
    cache: Cache,
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

impl Registry {
    /// A registry client with these settings. Fails where no certificate authority can be read.
    pub fn new(settings: Settings) -> Result<Self, Error> {
        Ok(Self { transport: Transport::new(settings)?, cache: Cache::default() })
    }

    /// The digest and user of `image`. What was asked for the same `commit` with the same credentials is not asked again.
    pub async fn resolve(
        &self,
        image: &str,
        credentials: &Credentials,
        commit: Option<&str>,
    ) -> Result<Resolved, Error> {
        let reference = parse(image)?;
        let pinned_by_spec = reference.digest().is_some();
        let key = (commit.is_some() || pinned_by_spec)
            .then(|| format!("{image} {} {}", commit.unwrap_or_default(), credentials.fingerprint()));
        if let Some(known) = key.as_ref().and_then(|k| self.cache.get(k)) {
            return Ok(known);
        }
        let asked = self.ask(image, &reference, credentials);
        let resolved = tokio::time::timeout(DEADLINE, asked).await.map_err(|_| Error::Unreachable {
            image: image.to_owned(),
            registry: reference.resolve_registry().to_owned(),
            why: format!("it did not answer within {} seconds", DEADLINE.as_secs()),
        })??;
        if let Some(key) = key {
            self.cache.put(key, resolved.clone());
        }
        Ok(resolved)
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
