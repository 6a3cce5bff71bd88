//! I/O: everything that talks to the Kubernetes API.
//!
//! Invariants: every call ends; nothing is written by a process that is not the leader; objects of a team are read and
//! written only as a service account of their namespace; what is unknown is never treated as absent.

mod apply;
mod autoscalers;
mod classes;
pub mod client;
mod contests;
pub mod crds;
pub mod discovery;
mod error;
mod gate;
mod generated;
mod index;
pub mod inventory;
pub mod lease;
#[cfg(test)]
pub mod mocked;
mod onlooker;
mod refusal;
mod rehearsal;
mod replicas;
mod restart;
mod routes;
mod secrets;
mod status;
mod watch;
mod writes;

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use apply::Acting;
pub use autoscalers::AUTOSCALER;
pub use classes::ingress_class;
pub use error::{ApiError, namespace_ends};
pub use gate::{Connection, connect, connection};
pub use generated::random_text;
pub use index::{GroupKind, Index, Live};
pub use refusal::{Refusal, is_conflict, is_not_found, refusal};
pub use restart::Restarts;
pub use secrets::Data;
pub use status::{current_uid, definition, is_gone, namespace_is_going, patch_status, read_status};
pub use watch::Sight;

use drover_crds::{Owner, OwnerKind};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ListParams, ObjectMeta, PostParams};
use kube::core::DynamicObject;
use kube::{Api, Client};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedSender;

use self::lease::Leadership;

/// Applies under way at the same time, for all owners together.
const SLOTS: usize = 32;
/// The Secret in drover's own namespace that holds the key of the applied hashes.
const HASH_KEY: &str = "drover-hash-key";

/// The cluster, as all rooms above see it. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<apply::Shared>,
    client: Client,
}

impl Cluster {
    /// `client` carries drover's own rights; owner labels of changed objects are told on `changed`.
    /// Each watch lists anew every `resync` or so.
    pub fn new(
        client: Client,
        leadership: Leadership,
        resync: Duration,
        hash_key: [u8; 32],
        changed: UnboundedSender<String>,
    ) -> Self {
        let routes = routes::RouteTable::new(changed.clone());
        let index = Index::new(changed);
        let autoscalers = autoscalers::AutoscalerTable::new(index.clone());
        let kinds = discovery::Kinds::new(client.clone());
        let shared = apply::Shared {
            watches: watch::Watches::new(
                client.clone(),
                Restarts::new(leadership, resync),
                kinds.clone(),
                index.clone(),
                routes.clone(),
                autoscalers.clone(),
            ),
            kinds,
            index,
            routes,
            autoscalers,
            contests: Mutex::default(),
            secrets: secrets::Secrets::default(),
            hash_key,
            slots: Semaphore::new(SLOTS),
        };
        Self { shared: Arc::new(shared), client }
    }

    /// A client with drover's own rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// drover, acting as that service account.
    pub fn acting_as(&self, namespace: &str, service_account: &str) -> Acting {
        Acting {
            shared: self.shared.clone(),
            client: client::impersonating(self.client.clone(), namespace, service_account),
            namespace: namespace.to_owned(),
            account: service_account.to_owned(),
        }
    }

    /// What the watches know.
    pub fn index(&self) -> &Index {
        &self.shared.index
    }

    /// Makes sure that the index shows objects of this kind. While its first listing is under way `owner` is called when that has
    /// ended.
    pub fn watch(&self, kind: &discovery::Kind, owner: &Owner) -> Sight {
        self.shared.watches.ensure(kind, owner)
    }

    /// Whether an object of drover's with that owner label exists. Asked of the API server, because a label can be cut and
    /// so cannot be read back; only needed when an object's owner may have been deleted.
    pub async fn owner_exists(&self, label: &str) -> Result<bool, kube::Error> {
        for kind in OwnerKind::ALL {
            if labels_of(&self.client, kind).await?.contains(label) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The kinds that the cluster serves.
    pub fn kinds(&self) -> &discovery::Kinds {
        &self.shared.kinds
    }
}

async fn labels_of(client: &Client, kind: OwnerKind) -> Result<HashSet<String>, kube::Error> {
    let api: Api<DynamicObject> = Api::all_with(client.clone(), &kind.api_resource());
    let mut params = ListParams::default().limit(500);
    let mut labels = HashSet::new();
    loop {
        let page = api.list_metadata(&params).await?;
        labels.extend(page.items.into_iter().map(|object| {
            let (namespace, name) = (object.metadata.namespace, object.metadata.name);
            Owner::new(kind, namespace.unwrap_or_default(), name.unwrap_or_default()).label()
        }));
        match page.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => params.continue_token = Some(token),
            None => return Ok(labels),
        }
    }
}

/// The key under which applied hashes are made: random, made once per installation, so that a hash tells nothing of a Secret's
/// content to who reads the annotation.
pub async fn hash_key(client: Client, namespace: &str) -> Result<[u8; 32], kube::Error> {
    let api: Api<Secret> = Api::namespaced(client, namespace);
    let mut key = read_hash_key(&api).await?;
    if key.is_none() {
        let secret = Secret {
            metadata: ObjectMeta { name: Some(HASH_KEY.to_owned()), ..ObjectMeta::default() },
            data: Some([("key".to_owned(), ByteString(rand::random::<[u8; 32]>().to_vec()))].into()),
            ..Secret::default()
        };
        match api.create(&PostParams::default(), &secret).await {
            Ok(_) => {}
            Err(error) if is_conflict(&error) => {}
            Err(error) => return Err(error),
        }
        key = read_hash_key(&api).await?;
    }
    key.ok_or_else(|| {
        kube::Error::Service(format!("Secret {namespace}/{HASH_KEY} has no 32 bytes under `key`: delete it").into())
    })
}

async fn read_hash_key(api: &Api<Secret>) -> Result<Option<[u8; 32]>, kube::Error> {
    let secret = api.get_opt(HASH_KEY).await?;
    Ok(secret.and_then(|s| s.data?.get("key")?.0.as_slice().try_into().ok()))
}
