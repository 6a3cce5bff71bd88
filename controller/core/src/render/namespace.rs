//! Which namespace each object is meant for.

use std::collections::HashMap;

use serde_json::Value;

use super::error::{RenderError, short};
use super::manifests::twice;
use super::{Object, ObjectKey, Origin};

/// Why an object's namespace cannot be settled.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    /// Neither the cluster nor a definition in the same commit knows the kind.
    #[error(
        "{origin}: the cluster does not know the kind {} of {}: install its CustomResourceDefinition, add that to git, or correct \
         apiVersion and kind",
        short(.kind), short(.api_version)
    )]
    UnknownKind {
        /// Where the object stands.
        origin: Origin,
        /// Its kind.
        kind: String,
        /// Its apiVersion.
        api_version: String,
        /// The object.
        object: ObjectKey,
    },
    /// Two objects that were different only in that one of them named no namespace.
    #[error(transparent)]
    Twice(#[from] RenderError),
}

impl ScopeError {
    /// Where in the repository the object stands.
    pub fn origin(&self) -> &Origin {
        match self {
            Self::UnknownKind { origin, .. } => origin,
            Self::Twice(error) => &error.origin,
        }
    }
}

/// Settles the namespace of each object, as kubectl does: a namespaced object that names none gets `own_namespace`, a
/// cluster-scoped one loses what it names. `namespaced` says what the cluster knows about a group and kind; kinds that a
/// CustomResourceDefinition among `objects` defines are known too.
///
/// # Errors
///
/// Each object of a kind that nobody knows, and then none is changed; or each that turns out to be there twice.
pub fn scope(
    objects: &mut [Object],
    namespaced: impl Fn(&str, &str) -> Option<bool>,
    own_namespace: &str,
) -> Result<(), Vec<ScopeError>> {
    let defined: HashMap<(String, String), bool> = objects.iter().filter_map(definition).collect();
    let namespaced = |object: &Object| {
        let in_commit = || defined.get(&(object.group().to_owned(), object.kind().to_owned())).copied();
        namespaced(object.group(), object.kind()).or_else(in_commit)
    };
    let unknown = objects.iter().filter(|object| namespaced(object).is_none());
    let errors: Vec<ScopeError> = unknown
        .map(|object| ScopeError::UnknownKind {
            origin: object.origin.clone().unwrap_or_default(),
            kind: object.kind().to_owned(),
            api_version: object.api_version().to_owned(),
            object: object.key(),
        })
        .collect();
    if !errors.is_empty() {
        return Err(errors);
    }
    for object in &mut *objects {
        match namespaced(object) {
            Some(true) if object.namespace().is_none() => object.set_namespace(Some(own_namespace)),
            Some(false) => object.set_namespace(None),
            Some(true) | None => {}
        }
    }
    let errors: Vec<ScopeError> = twice(objects).into_iter().map(ScopeError::from).collect();
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}

/// The group and kind that a CustomResourceDefinition defines, and whether that kind is namespaced.
pub(super) fn definition(object: &Object) -> Option<((String, String), bool)> {
    if (object.group(), object.kind()) != ("apiextensions.k8s.io", "CustomResourceDefinition") {
        return None;
    }
    let spec = object.json().get("spec")?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).map(str::to_owned);
    let group = text(spec.get("group"))?;
    let kind = text(spec.get("names")?.get("kind"))?;
    Some(((group, kind), text(spec.get("scope"))? == "Namespaced"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(api_version: &str, kind: &str, namespace: Option<&str>) -> Object {
        let mut object = Object::new(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}}), None)
            .expect("valid");
        object.set_namespace(namespace);
        object
    }

    fn cluster(group: &str, kind: &str) -> Option<bool> {
        match (group, kind) {
            ("", "ConfigMap") => Some(true),
            ("", "Namespace") | ("apiextensions.k8s.io", _) => Some(false),
            _ => None,
        }
    }

    #[test]
    fn a_namespace_is_filled_kept_or_dropped() {
        let mut objects = [
            object("v1", "ConfigMap", None),
            object("v1", "ConfigMap", Some("other")),
            object("v1", "Namespace", Some("nonsense")),
        ];
        scope(&mut objects, cluster, "shop").expect("all known");
        let namespaces: Vec<_> = objects.iter().map(Object::namespace).collect();
        assert_eq!(namespaces, [Some("shop"), Some("other"), None]);
    }

    #[test]
    fn a_definition_in_the_commit_makes_its_kind_known() {
        let crd = |scope: &str| {
            let json = json!({
                "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
                "metadata": {"name": "rings.example.org"},
                "spec": {"group": "example.org", "names": {"kind": "Ring"}, "scope": scope},
            });
            Object::new(json, None).expect("valid")
        };
        let ring = || object("example.org/v1", "Ring", None);
        let of = |scope_name| {
            let mut objects = [ring(), crd(scope_name)];
            scope(&mut objects, cluster, "shop").expect("known");
            objects[0].key().namespace
        };
        assert_eq!(of("Namespaced").as_deref(), Some("shop"));
        assert_eq!(of("Cluster"), None);

        let mut objects = [object("v1", "Namespace", Some("nonsense")), ring()];
        let unknown = scope(&mut objects, cluster, "shop").expect_err("unknown");
        assert!(unknown[0].to_string().contains("does not know the kind Ring of example.org/v1"), "{}", unknown[0]);
        assert_eq!(objects[0].namespace(), Some("nonsense"), "nothing is changed before all kinds are known");
    }

    #[test]
    fn naming_the_own_namespace_does_not_make_two_objects_of_one() {
        let mut objects = [object("v1", "ConfigMap", None), object("v1", "ConfigMap", Some("shop"))];
        let errors = scope(&mut objects, cluster, "shop").expect_err("the same object twice");
        assert!(matches!(errors.as_slice(), [ScopeError::Twice(_)]), "{errors:?}");
    }
}
