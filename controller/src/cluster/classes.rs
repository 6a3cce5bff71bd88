//! Which ingress controller serves an Ingress, read with drover's own rights: classes belong to no namespace.

use std::cmp::Reverse;

use drover_core::render::ObjectKey;
use drover_core::workload::exposure::Class;
use k8s_openapi::api::networking::v1::IngressClass;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt as _};

use super::error::ApiError;
use super::refusal::{Refusal, refusal};

/// The annotation of the class that an Ingress without one is given.
const DEFAULT: &str = "ingressclass.kubernetes.io/is-default-class";

/// The Ingress class of that name, or the default one.
pub async fn ingress_class(client: &Client, name: Option<&str>) -> Result<Class, ApiError> {
    let api: Api<IngressClass> = Api::all(client.clone());
    let found = match name {
        Some(name) => api.get_opt(name).await,
        None => api.list(&ListParams::default()).await.map(|list| default_of(list.items)),
    };
    match found {
        Ok(Some(class)) => {
            let controller = class.spec.as_ref().and_then(|spec| spec.controller.clone()).unwrap_or_default();
            Ok(Class::Of { name: class.name_any(), controller })
        }
        Ok(None) => Ok(Class::Missing { name: name.map(str::to_owned) }),
        Err(error) if refusal(&error) == Some(Refusal::Forbidden) => Ok(Class::Unreadable),
        Err(error) => {
            let (group, kind) = ("networking.k8s.io".to_owned(), "IngressClass".to_owned());
            let key = ObjectKey { group, kind, namespace: None, name: name.unwrap_or_default().to_owned() };
            Err(ApiError::of(error, "read", &key, None))
        }
    }
}

/// Of several default classes the API server takes the newest, and of these the first by name.
fn default_of(classes: Vec<IngressClass>) -> Option<IngressClass> {
    let is_default = |class: &IngressClass| class.annotations().get(DEFAULT).is_some_and(|value| value == "true");
    let made = |class: &IngressClass| class.metadata.creation_timestamp.as_ref().map(|at| at.0);
    classes.into_iter().filter(is_default).min_by_key(|class| (Reverse(made(class)), class.name_any()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_newest_default_class_counts() {
        let class = |name: &str, default: &str, made: &str| -> IngressClass {
            let metadata = json!({"name": name, "annotations": {DEFAULT: default}, "creationTimestamp": made});
            serde_json::from_value(json!({"metadata": metadata})).expect("a class")
        };
        let classes = |all: &[IngressClass]| default_of(all.to_vec()).map(|class| class.name_any());
        let (old, new) = (class("old", "true", "2026-01-01T00:00:00Z"), class("new", "true", "2026-02-01T00:00:00Z"));
        let other = class("other", "false", "2026-03-01T00:00:00Z");
        let beside = class("beside", "true", "2026-02-01T00:00:00Z");
        assert_eq!(classes(&[old.clone(), new.clone(), other.clone()]).as_deref(), Some("new"));
        assert_eq!(classes(&[new, old, beside, other.clone()]).as_deref(), Some("beside"));
        assert_eq!(classes(&[other]), None);
    }
}
