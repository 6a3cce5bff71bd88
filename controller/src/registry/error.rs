//! Why an image cannot be resolved, each as one sentence that says what to do.

use std::time::Duration;

use drover_core::trouble::{Mend, Trouble};

/// Why an image cannot be resolved.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not an image reference.
    #[error("{image:?} is not an image reference: write it as registry/repository:tag or registry/repository@sha256:…")]
    Invalid {
        /// What is written.
        image: String,
    },
    /// The registry does not have it.
    #[error(
        "the image {image} is not there: the registry {registry} knows no such repository or tag; push the image, or correct spec.image"
    )]
    NotFound {
        /// The image.
        image: String,
        /// The registry.
        registry: String,
    },
    /// The registry wants other credentials.
    #[error(
        "the registry {registry} does not let drover read the image {image} with {with}: name a Secret with valid credentials for {registry} in spec.imagePullSecrets"
    )]
    Unauthorised {
        /// The image.
        image: String,
        /// The registry.
        registry: String,
        /// `the Secret x`, or `no credentials`.
        with: String,
    },
    /// Too many requests.
    #[error("the registry {registry} limits requests, so the image {image} is resolved later{}; credentials in spec.imagePullSecrets usually raise the limit", after(.retry_after.as_ref()))]
    RateLimited {
        /// The image.
        image: String,
        /// The registry.
        registry: String,
        /// When it may be asked again.
        retry_after: Option<Duration>,
    },
    /// No answer, or one that says that the registry is ill.
    #[error(
        "the registry {registry} cannot be asked for the image {image}: {why}; drover tries again, and an image named by digest with runAs.user set needs no registry"
    )]
    Unreachable {
        /// The image.
        image: String,
        /// The registry.
        registry: String,
        /// Why.
        why: String,
    },
    /// An address that specs may not name.
    #[error(
        "the image {image} leads to {host}, which is this machine, a link-local address or the API server: an administrator can allow a registry there with --insecure-registry"
    )]
    Refused {
        /// The image.
        image: String,
        /// The host.
        host: String,
    },
    /// The answer makes no sense.
    #[error("the image {image} cannot be used: {why}; push it again")]
    Unusable {
        /// The image.
        image: String,
        /// Why.
        why: String,
    },
    /// The client cannot be made.
    #[error("no connection to any registry can be made: {0}")]
    NoClient(String),
}

fn after(retry: Option<&Duration>) -> String {
    retry.map(|r| format!(", in {} s", r.as_secs())).unwrap_or_default()
}

impl Error {
    /// Whether trying again cannot help before a person changes the spec.
    pub fn is_terminal(&self) -> bool {
        matches!(self, Self::Invalid { .. } | Self::Refused { .. })
    }

    /// The same without a time, which would be another one each time.
    pub(super) fn timeless(self) -> Self {
        match self {
            Self::RateLimited { image, registry, .. } => Self::RateLimited { image, registry, retry_after: None },
            other => other,
        }
    }

    /// One word for conditions.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Invalid { .. } => "InvalidImageName",
            Self::NotFound { .. } => "ImageNotFound",
            Self::Unauthorised { .. } => "RegistryUnauthorised",
            Self::RateLimited { .. } => "RegistryRateLimited",
            Self::Unreachable { .. } | Self::NoClient(_) => "RegistryUnreachable",
            Self::Refused { .. } => "RegistryRefused",
            Self::Unusable { .. } => "ImageUnusable",
        }
    }

    /// The same as whoever wants the image says it. The registry is asked ever less often, after `again` the next time, and who
    /// asked is told when it has answered.
    pub fn trouble(&self, again: Option<Duration>) -> Trouble {
        let (mended_by, again) = if self.is_terminal() { (Mend::Spec, None) } else { (Mend::Event, again) };
        Trouble { again, ..Trouble::new(self.label(), self.to_string(), mended_by) }
    }
}
