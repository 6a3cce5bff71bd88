//! Status subresources of drover's own kinds, and the question whether those kinds are still the ones that they were.

use drover_core::render::ObjectKey;
use drover_crds::{Key, STATUS_MANAGER};
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use kube::{Api, Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::error::ApiError;
use super::refusal::is_not_found;

/// Writes the whole status of one of drover's objects: what is not in `status` any more is removed. An object that is gone
/// counts as done.
pub async fn patch_status<K>(client: &Client, key: &Key, status: &impl Serialize) -> Result<(), ApiError>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope> + DeserializeOwned,
{
    let api: Api<K> = Api::namespaced(client.clone(), &key.namespace);
    let body = json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": key.name}, "status": status,
    });
    let params = PatchParams::apply(STATUS_MANAGER).force();
    match api.patch_status(&key.name, &params, &Patch::Apply(&body)).await {
        Ok(_) => Ok(()),
        Err(error) if is_not_found(&error) => Ok(()),
        Err(error) => Err(ApiError::of(error, "patch the status of", &key_of::<K>(key), None)),
    }
}

/// What can be read of one of drover's objects whatever its spec is.
pub struct Outline<S> {
    pub uid: Option<String>,
    pub generation: Option<i64>,
    /// `None` also for one that cannot be read.
    pub status: Option<S>,
}

/// One of drover's objects as the API server has it now; `None` when it is absent. For after a write of the status that failed: it
/// may have been made all the same, and a watch tells that later. What is wrong with the rest of the object does not matter.
pub async fn read_status<K, S>(client: &Client, key: &Key) -> Result<Option<Outline<S>>, ApiError>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>,
    S: DeserializeOwned,
{
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &key.namespace, &ApiResource::erase::<K>(&()));
    let found = api.get_opt(&key.name).await;
    let found = found.map_err(|error| ApiError::of(error, "get", &key_of::<K>(key), None))?;
    Ok(found.map(|mut found| {
        let status = found.data.get_mut("status").map(serde_json::Value::take);
        Outline {
            uid: found.metadata.uid,
            generation: found.metadata.generation,
            status: status.and_then(|status| serde_json::from_value(status).ok()),
        }
    }))
}

/// The uid of one of drover's objects as the API server has it now; `None` when it is absent.
pub async fn current_uid<K>(client: &Client, key: &Key) -> Result<Option<String>, ApiError>
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = Api::namespaced(client.clone(), &key.namespace);
    let found = api.get_metadata_opt(&key.name).await;
    let found = found.map_err(|error| ApiError::of(error, "get", &key_of::<K>(key), None))?;
    Ok(found.and_then(|found| found.metadata.uid))
}

fn key_of<K: Resource<DynamicType = ()>>(key: &Key) -> ObjectKey {
    ObjectKey {
        group: K::group(&()).into_owned(),
        kind: K::kind(&()).into_owned(),
        namespace: Some(key.namespace.clone()),
        name: key.name.clone(),
    }
}

/// The uid of a CustomResourceDefinition; `None` when it is absent or being deleted: then its objects vanish without anybody
/// having meant them, and nothing that they stand for may be deleted. One that was made anew has another uid.
pub async fn definition(client: &Client, name: &str) -> Result<Option<String>, ApiError> {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    let found = api.get_metadata_opt(name).await.map_err(|error| {
        let key = ObjectKey {
            group: "apiextensions.k8s.io".into(),
            kind: "CustomResourceDefinition".into(),
            namespace: None,
            name: name.to_owned(),
        };
        ApiError::of(error, "get", &key, None)
    })?;
    Ok(found.filter(|crd| crd.metadata.deletion_timestamp.is_none()).and_then(|crd| crd.metadata.uid))
}

/// Whether the object of one of drover's kinds is known to be absent; why not goes to the log. A list may be older than what its
/// watch showed before, so nothing is deleted because something was not listed: the API server is asked for the object itself.
pub async fn is_gone<K>(client: &Client, key: &Key) -> bool
where
    K: Resource<DynamicType = (), Scope = kube::core::NamespaceResourceScope>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let (api, kind): (Api<K>, _) = (Api::namespaced(client.clone(), &key.namespace), K::kind(&()));
    match api.get_metadata_opt(&key.name).await {
        Ok(None) => return true,
        Ok(Some(_)) => {
            tracing::warn!(%kind, namespace = %key.namespace, name = %key.name, "it is there though it was not listed: the list is old, and nothing is deleted");
        }
        // The kind is not served: gone with its definition, or not served yet by an API server that has just started.
        Err(error) if is_not_found(&error) => {
            let name_of_kind = format!("{}.{}", K::plural(&()), K::group(&()));
            if matches!(definition(client, &name_of_kind).await, Ok(None)) {
                return true;
            }
            tracing::warn!(%kind, namespace = %key.namespace, name = %key.name, "its kind is defined and not served now, so nothing is deleted");
        }
        Err(error) => {
            tracing::warn!(%kind, namespace = %key.namespace, name = %key.name, %error, "cannot find out whether it was deleted");
        }
    }
    false
}

/// Whether a namespace is absent or being deleted: then everything in it goes, also the account that drover acts as there.
pub async fn namespace_is_going(client: &Client, name: &str) -> Result<bool, ApiError> {
    let api: Api<Namespace> = Api::all(client.clone());
    let found = api.get_metadata_opt(name).await.map_err(|error| {
        let key = ObjectKey { group: String::new(), kind: "Namespace".into(), namespace: None, name: name.to_owned() };
        ApiError::of(error, "get", &key, None)
    })?;
    Ok(found.is_none_or(|namespace| namespace.metadata.deletion_timestamp.is_some()))
}
