//! Sends the command line's objects to the API server, as one field manager, never by force.

use drover_core::render::{Object, ObjectKey};
use drover_crds::{CLI_MANAGER, DROVER, LABEL_PART_OF};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};

use super::Error;
use super::session::Session;
use crate::cluster::{Refusal, is_not_found};

/// Applies one object and gives it back as it is now.
pub async fn apply(session: &Session, object: &Object) -> Result<DynamicObject, Error> {
    let key = object.key();
    let api = api_of(session, object);
    let params = PatchParams::apply(CLI_MANAGER);
    let patch = Patch::Apply(object.json());
    let request = async { Ok(api.patch(object.name(), &params, &patch).await) };
    match session.ask(&format!("write {key}"), request).await? {
        Ok(live) => Ok(live),
        Err(kube::Error::Api(status)) if Refusal::of(&status) == Some(Refusal::Conflict) => {
            Err(Error::Conflict { object: key.to_string(), detail: status.message.clone() })
        }
        Err(error) => Err(session.explain(&error, &format!("write {key}"))),
    }
}

/// The object of that name as it is in the cluster, if it is there.
pub async fn live(session: &Session, object: &Object) -> Result<Option<DynamicObject>, Error> {
    let api = api_of(session, object);
    session.ask(&format!("read {}", object.key()), api.get_opt(object.name())).await
}

/// Deletes an object that was made for drover; whether it was there.
pub async fn delete(session: &Session, object: &Object) -> Result<bool, Error> {
    let Some(live) = live(session, object).await? else { return Ok(false) };
    if live.metadata.labels.as_ref().and_then(|l| l.get(LABEL_PART_OF)).map(String::as_str) != Some(DROVER) {
        return Err(Error::NotOurs { object: object.key().to_string() });
    }
    let api = api_of(session, object);
    // Only the very object that was looked at.
    let params = kube::api::DeleteParams {
        preconditions: Some(kube::api::Preconditions { uid: live.metadata.uid, resource_version: None }),
        ..kube::api::DeleteParams::default()
    };
    let request = async {
        match api.delete(object.name(), &params).await {
            Ok(_) => Ok(true),
            Err(error) if is_not_found(&error) => Ok(false),
            Err(error) => Err(error),
        }
    };
    session.ask(&format!("delete {}", object.key()), request).await
}

fn api_of(session: &Session, object: &Object) -> Api<DynamicObject> {
    let (group, version) = object.api_version().rsplit_once('/').unwrap_or(("", object.api_version()));
    // The plural is the kind in lower case with an s, for every kind that the command line writes.
    let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(group, version, object.kind()));
    match object.namespace() {
        Some(namespace) => Api::namespaced_with(session.client(), namespace, &resource),
        None => Api::all_with(session.client(), &resource),
    }
}

/// The namespace's name with names that are close to it, where we may list them.
pub async fn suggest_namespaces(session: &Session, error: Error) -> Error {
    let Error::NoNamespace { name, .. } = error else { return error };
    let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(session.client());
    let listed = session.ask("list the namespaces", api.list_metadata(&kube::api::ListParams::default())).await;
    let names: Vec<String> =
        listed.map(|list| list.items.into_iter().filter_map(|n| n.metadata.name).collect()).unwrap_or_default();
    Error::NoNamespace { near: super::near::near(&name, names.iter().map(String::as_str)), name }
}

/// "Role shop/drover and 3 more", for one line about several objects.
pub fn listed(keys: &[ObjectKey]) -> String {
    keys.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
