//! Which kinds the cluster serves. Read once, and again when a kind is asked for that was not there, or one that was is not there any
//! more: CRDs come and go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use drover_crds::Owner;
use kube::Client;
use kube::core::discovery::ApiResource;
use kube::core::gvk::GroupVersionKind;
use kube::discovery::{Discovery, Scope};
use tokio::sync::{Mutex, RwLock};
use tokio::time::Instant;

use crate::unpoisoned;

/// The shortest time between two readings.
const SETTLE: Duration = Duration::from_secs(1);
/// How long a new definition may take until its kind is served.
const DEFINITION_SERVED: Duration = Duration::from_secs(20);

/// A kind that the cluster serves.
#[derive(Clone, Debug)]
pub struct Kind {
    /// How it is addressed.
    pub resource: ApiResource,
    /// Whether its objects live in namespaces.
    pub namespaced: bool,
}

/// What the API server answered when it was asked for its kinds.
#[derive(Default)]
pub struct Known {
    exact: HashMap<(String, String, String), Kind>,
    preferred: HashMap<(String, String), Kind>,
    /// Whether the objects of a kind live in namespaces, also of kinds that were served once.
    namespaced: HashMap<(String, String), bool>,
}

impl Known {
    /// The kind in that very version.
    pub fn exact(&self, api_version: &str, kind: &str) -> Option<&Kind> {
        let (group, version) = api_version.rsplit_once('/').unwrap_or(("", api_version));
        self.exact.get(&(group.to_owned(), version.to_owned(), kind.to_owned()))
    }

    /// The kind in the version that the API server prefers.
    pub fn preferred(&self, group: &str, kind: &str) -> Option<&Kind> {
        self.preferred.get(&(group.to_owned(), kind.to_owned()))
    }

    /// As which apiVersions a kind is served, the preferred one first.
    pub fn versions(&self, group: &str, kind: &str) -> Vec<String> {
        let preferred = self.preferred(group, kind).map(|kind| kind.resource.api_version.clone());
        let of_kind = self.exact.iter().filter(|((of, _, name), _)| of == group && name == kind);
        let mut versions: Vec<String> = of_kind.map(|(_, kind)| kind.resource.api_version.clone()).collect();
        versions.sort_by_key(|version| (preferred.as_ref() != Some(version), version.clone()));
        versions
    }

    /// Whether the objects of that kind live in namespaces. That is known of a kind that is not served any more too, so that what
    /// else a commit holds goes on being looked after.
    pub fn namespaced(&self, group: &str, kind: &str) -> Option<bool> {
        self.namespaced.get(&(group.to_owned(), kind.to_owned())).copied()
    }

    fn read(discovery: &Discovery, before: &Self) -> Self {
        let mut known = Self { namespaced: before.namespaced.clone(), ..Self::default() };
        for group in discovery.groups() {
            for (resource, capabilities) in group.recommended_resources() {
                let kind = Kind { namespaced: capabilities.scope == Scope::Namespaced, resource };
                known.preferred.insert((group.name().to_owned(), kind.resource.kind.clone()), kind);
            }
            for version in group.versions() {
                for (resource, capabilities) in group.versioned_resources(version) {
                    let kind = Kind { namespaced: capabilities.scope == Scope::Namespaced, resource };
                    let GroupVersionKind { group, version, kind: name } =
                        GroupVersionKind::gvk(&kind.resource.group, &kind.resource.version, &kind.resource.kind);
                    known.preferred.entry((group.clone(), name.clone())).or_insert_with(|| kind.clone());
                    known.namespaced.insert((group.clone(), name.clone()), kind.namespaced);
                    known.exact.insert((group, version, name), kind);
                }
            }
        }
        known
    }
}

/// The kinds of a cluster, shared by everybody. Cheap to clone.
#[derive(Clone)]
pub struct Kinds {
    client: Client,
    known: Arc<RwLock<Arc<Known>>>,
    read_at: Arc<Mutex<Option<Instant>>>,
    /// Whose definitions were sent a moment ago, and until when their kinds may come.
    expected: Arc<StdMutex<HashMap<Owner, Instant>>>,
}

impl Kinds {
    /// Nothing is read yet.
    pub fn new(client: Client) -> Self {
        Self { client, known: Arc::default(), read_at: Arc::default(), expected: Arc::default() }
    }

    /// A definition of `owner`'s was sent: its kind is served in a moment.
    pub fn expect(&self, owner: &Owner) {
        let (mut expected, now) = (unpoisoned::lock(&self.expected), Instant::now());
        expected.retain(|_, until| now < *until);
        expected.insert(owner.clone(), now + DEFINITION_SERVED);
    }

    /// Whether a definition of `owner`'s was sent so recently that its kind may not be served yet.
    pub fn are_expected(&self, owner: &Owner) -> bool {
        unpoisoned::lock(&self.expected).get(owner).is_some_and(|until| Instant::now() < *until)
    }

    /// The API server does not know a kind that it served: what is known is read anew when it is next asked for.
    pub async fn doubt(&self) {
        *self.read_at.lock().await = None;
    }

    /// What is known, read now if it never was, or is in doubt.
    pub async fn known(&self) -> Result<Arc<Known>, kube::Error> {
        if self.read_at.lock().await.is_none() {
            return self.refresh().await;
        }
        Ok(self.known.read().await.clone())
    }

    /// Reads again, unless that was done a moment ago. Calls at the same time share one reading.
    pub async fn refresh(&self) -> Result<Arc<Known>, kube::Error> {
        let mut read_at = self.read_at.lock().await;
        if read_at.is_none_or(|at| at.elapsed() >= SETTLE) {
            let discovery = Discovery::new(self.client.clone()).run_aggregated().await?;
            let before = self.known.read().await.clone();
            *self.known.write().await = Arc::new(Known::read(&discovery, &before));
            *read_at = Some(Instant::now());
        }
        Ok(self.known.read().await.clone())
    }
}

#[cfg(test)]
mod tests {
    use drover_crds::OwnerKind;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_kind_is_expected_for_a_while_after_its_definition_was_sent() {
        let (service, _handle) =
            tower_test::mock::pair::<http::Request<kube::client::Body>, http::Response<kube::client::Body>>();
        let kinds = Kinds::new(Client::new(service, "default"));
        let owner = |name| Owner::new(OwnerKind::Environment, "shop", name);
        assert!(!kinds.are_expected(&owner("a")));
        kinds.expect(&owner("a"));
        assert!(kinds.clone().are_expected(&owner("a")) && !kinds.are_expected(&owner("b")));
        tokio::time::advance(DEFINITION_SERVED).await;
        assert!(!kinds.are_expected(&owner("a")));
    }
}
