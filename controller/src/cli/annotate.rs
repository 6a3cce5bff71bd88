//! Asks the controller for something by an annotation.

use std::collections::BTreeMap;
use std::fmt::Debug;

use drover_crds::{CLI_MANAGER, OwnerKind};
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;

use super::near::near;
use super::session::Session;
use super::{Error, api};
use crate::cluster::Refusal;

/// Sets an annotation of an object in the session's namespace, or with `None` removes it; the object as it is then.
pub async fn annotate<K>(
    session: &Session,
    kind: OwnerKind,
    name: &str,
    key: &str,
    value: Option<&str>,
) -> Result<K, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    annotate_all(session, kind, name, &[(key, value)]).await
}

/// The same for several at once.
pub async fn annotate_all<K>(
    session: &Session,
    kind: OwnerKind,
    name: &str,
    annotations: &[(&str, Option<&str>)],
) -> Result<K, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let objects: Api<K> = Api::namespaced(session.client(), session.namespace());
    let annotations: BTreeMap<&str, Option<&str>> = annotations.iter().copied().collect();
    let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
    let params = PatchParams { field_manager: Some(CLI_MANAGER.to_owned()), ..PatchParams::default() };
    let action = format!("annotate {kind} {}/{name}", session.namespace());
    let request = async { Ok(objects.patch(name, &params, &patch).await) };
    let answer = session.ask(&action, request).await?;
    found(session, kind, name, &action, answer).await
}

/// The object that was asked for by that name, or why there is none.
pub async fn found<K>(
    session: &Session,
    kind: OwnerKind,
    name: &str,
    action: &str,
    answer: kube::Result<K>,
) -> Result<K, Error>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    match answer {
        Ok(object) => Ok(object),
        Err(kube::Error::Api(status))
            if Refusal::of(&status) == Some(Refusal::NotFound) && !api::is_unknown_kind(&status) =>
        {
            let objects: Api<K> = Api::namespaced(session.client(), session.namespace());
            Err(not_found(session, &objects, kind, name).await)
        }
        Err(error) => Err(session.explain(&error, action)),
    }
}

/// There is no such object; with the names that are close, where we may list them.
pub async fn not_found<K>(session: &Session, objects: &Api<K>, kind: OwnerKind, name: &str) -> Error
where
    K: Resource + Clone + DeserializeOwned + Debug,
{
    let listed = session.ask("list", objects.list_metadata(&ListParams::default())).await;
    let names: Vec<String> = listed
        .map(|list| list.items.into_iter().filter_map(|object| object.metadata.name).collect())
        .unwrap_or_default();
    Error::NotFound {
        kind: kind.as_str(),
        name: name.to_owned(),
        namespace: session.namespace().to_owned(),
        near: near(name, names.iter().map(String::as_str)),
    }
}
