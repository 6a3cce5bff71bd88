//! I/O: everything that talks to the Kubernetes API.

use kube::Client;
use kube::api::{ApiResource, DeleteParams, Patch, PatchParams, Preconditions};
use kube::core::{DynamicObject, GroupVersionKind};
use kube::{Api, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::render::{Object, ObjectKey};
use drover_crds::{LABEL_OWNER, Owner};

/// Why the API server did not do what drover asked.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not {verb} {object}: {message}")]
pub struct ApiError {
    verb: &'static str,
    object: String,
    message: String,
}

impl ApiError {
    /// Whether trying again cannot help before a person changes something.
    pub fn is_terminal(&self) -> bool {
        false
    }

    /// One word for conditions and metrics.
    pub fn label(&self) -> &'static str {
        "ApiServer"
    }
}

/// The cluster, as all rooms above see it.
#[derive(Clone)]
pub struct Cluster {
    client: Client,
    index: Index,
}

impl Cluster {
    /// A client with drover's own rights.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// drover, acting as that service account.
    pub fn acting_as(&self, _namespace: &str, _service_account: &str) -> Acting {
        Acting { client: self.client.clone() }
    }

    /// What the watches know.
    pub fn index(&self) -> &Index {
        &self.index
    }
}

/// What the watches know.
#[derive(Clone, Default)]
pub struct Index;

/// One object as it was last seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Its uid.
    pub uid: String,
    /// The value of its owner label.
    pub owner: String,
    /// Whether it is being deleted.
    pub deleting: bool,
}

impl Index {
    /// The object of that key, as it was last seen.
    pub fn live(&self, _key: &ObjectKey) -> Option<Live> {
        None
    }

    /// All objects with that owner label.
    pub fn of_owner(&self, _label: &str) -> Vec<(ObjectKey, Live)> {
        Vec::new()
    }
}

/// drover, acting as one service account of one namespace.
#[derive(Clone)]
pub struct Acting {
    client: Client,
}

/// What [`Acting::apply_set`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Objects that were sent.
    pub changed: Vec<ObjectKey>,
    /// How many were as last sent already.
    pub unchanged: usize,
}

/// How a kind is served.
pub struct Kind {
    /// Its group, version, kind and plural.
    pub resource: ApiResource,
}

impl Acting {
    /// A client whose every request acts as the account.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// Reads kube's error in the light of this account.
    #[expect(clippy::needless_pass_by_value, reason = "the error is consumed")]
    pub fn error(&self, error: kube::Error, verb: &'static str, key: &ObjectKey) -> ApiError {
        ApiError { verb, object: key.to_string(), message: error.to_string() }
    }

    /// The kind of `object`.
    #[expect(clippy::unused_async, reason = "the cluster is asked")]
    pub async fn kind(&self, object: &Object) -> Result<Kind, ApiError> {
        let version = object.api_version().rsplit('/').next().unwrap_or_default();
        let kind = GroupVersionKind::gvk(object.group(), version, object.kind());
        Ok(Kind { resource: ApiResource::from_gvk(&kind) })
    }

    /// Applies all of an owner's objects.
    pub async fn apply_set(&self, owner: &Owner, objects: Vec<Object>) -> Result<Applied, ApiError> {
        let mut applied = Applied::default();
        for mut object in objects {
            object.set_label(LABEL_OWNER, &owner.label());
            let kind = self.kind(&object).await?;
            let namespace = object.namespace().unwrap_or_default().to_owned();
            let api: Api<DynamicObject> = Api::namespaced_with(self.client(), &namespace, &kind.resource);
            let params = PatchParams::apply(&owner.field_manager());
            let sent = api.patch(object.name(), &params, &Patch::Apply(object.json())).await;
            sent.map_err(|e| self.error(e, "patch", &object.key()))?;
            applied.changed.push(object.key());
        }
        Ok(applied)
    }

    /// Deletes the object of that key and uid.
    pub async fn delete(&self, key: &ObjectKey, uid: &str) -> Result<(), ApiError> {
        let kind = GroupVersionKind::gvk(&key.group, "v1", &key.kind);
        let namespace = key.namespace.clone().unwrap_or_default();
        let api: Api<DynamicObject> = Api::namespaced_with(self.client(), &namespace, &ApiResource::from_gvk(&kind));
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            ..DeleteParams::background()
        };
        api.delete(&key.name, &params).await.map(|_| ()).map_err(|e| self.error(e, "delete", key))
    }
}

/// Writes the whole status of one of drover's objects.
pub async fn patch_status<K>(
    client: &Client,
    namespace: &str,
    name: &str,
    status: &impl Serialize,
) -> Result<(), ApiError>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), namespace);
    let body = serde_json::json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name}, "status": status,
    });
    let params = PatchParams::apply("drover-status").force();
    let sent = api.patch_status(name, &params, &Patch::Apply(&body)).await;
    sent.map(|_| ()).map_err(|error| ApiError {
        verb: "patch the status of",
        object: name.to_owned(),
        message: error.to_string(),
    })
}
