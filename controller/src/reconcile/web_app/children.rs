//! Which live objects are children of a WebApp, and so go when it no longer asks for them, or is gone.
//!
//! The owner label is only an index: anybody can write it on anything, and a copy of a child carries it too. So a child is what
//! is in the WebApp's own namespace, has the name that a child of its kind gets, and has fields that the field manager of this
//! WebApp wrote.

use crate::cluster::{Index, Live};
use drover_core::render::ObjectKey;
use drover_crds::{Key, Labelled, Owner, OwnerKind, bounded_name};

/// The children of that owner that the watches show.
pub fn children(index: &Index, owner: &Owner) -> Vec<(ObjectKey, Live)> {
    let mut labelled = index.of_owner(&owner.label());
    labelled.retain(|(key, live)| is_child(owner, key, live));
    labelled
}

/// Whether an object with the label of `owner` is its child.
fn is_child(owner: &Owner, key: &ObjectKey, live: &Live) -> bool {
    // Claims are named after their volume, too.
    let named = key.kind == "PersistentVolumeClaim" || key.name == bounded_name(&owner.key.name);
    named && key.namespace.as_ref() == Some(&owner.key.namespace) && live.fields != 0
}

/// The WebApps that some object's label names, whether they exist or not.
pub fn parents(index: &Index) -> Vec<Key> {
    index.owners().iter().filter_map(|label| parent(label, || index.of_owner(label))).collect()
}

/// The WebApp of that label. A label that may be cut is that of a child with the WebApp's own name.
fn parent(label: &str, labelled: impl FnOnce() -> Vec<(ObjectKey, Live)>) -> Option<Key> {
    match Owner::parse(label)? {
        Labelled::By(owner) => (owner.kind == OwnerKind::WebApp).then_some(owner.key),
        Labelled::Cut(kind) if kind != OwnerKind::WebApp => None,
        Labelled::Cut(kind) => labelled().iter().find_map(|(key, _)| {
            let owner = Owner::new(kind, key.namespace.as_ref()?, &key.name);
            (owner.label() == label).then_some(owner.key)
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    fn key(kind: &str, namespace: &str, name: &str) -> ObjectKey {
        ObjectKey { group: String::new(), kind: kind.into(), namespace: Some(namespace.into()), name: name.into() }
    }

    /// An object with that owner label, whose fields `manager` applied.
    fn live(label: &str, manager: &str) -> Live {
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {
            "name": "x", "uid": "1", "resourceVersion": "1", "labels": {drover_crds::LABEL_OWNER: label},
            "managedFields": [{"manager": manager, "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {}}}],
        }});
        Live::of(&serde_json::from_value(object).expect("an object"))
    }

    fn index(objects: &[(ObjectKey, Live)]) -> Arc<Index> {
        let index = Index::new(unbounded_channel().0);
        for (key, live) in objects {
            index.observed(key.clone(), live.clone());
        }
        index
    }

    #[test]
    fn a_label_alone_makes_no_child() {
        let (ours, label) = ("drover-app.shop.web", "app.shop.web");
        let child = key("Ingress", "shop", "web");
        let claim = key("PersistentVolumeClaim", "shop", "web-data");
        let index = index(&[
            (child.clone(), live(label, ours)),
            (claim.clone(), live(label, ours)),
            // Somebody labelled an object of another namespace, perhaps as drover's field manager.
            (key("Ingress", "other", "web"), live(label, ours)),
            // Somebody copied a child, or labelled what is theirs.
            (key("Ingress", "shop", "web-copy"), live(label, ours)),
            (key("NetworkPolicy", "shop", "web"), live(label, "kubectl")),
            (key("PersistentVolumeClaim", "shop", "theirs"), live(label, "kubectl")),
            (key("Ingress", "shop", "web2"), live("app.shop.web2", "drover-app.shop.web2")),
        ]);
        let found: Vec<ObjectKey> =
            children(&index, &Owner::new(OwnerKind::WebApp, "shop", "web")).into_iter().map(|(key, _)| key).collect();
        assert_eq!(found, [child, claim]);
    }

    /// A name whose cut would end in a dash loses that too, so its label is shorter than a label may be.
    #[test]
    fn a_cut_label_stands_for_no_web_app_but_the_one_that_has_it() {
        let long = format!("{}-{}", "x".repeat(42), "y".repeat(30));
        let cut = Owner::new(OwnerKind::WebApp, "shop", &long).label();
        assert_eq!(cut.len(), 62);
        let ours = format!("drover-{cut}");
        let claim = (key("PersistentVolumeClaim", "shop", "data"), live(&cut, &ours));
        let account = (key("ServiceAccount", "shop", &long), live(&cut, &ours));
        assert_eq!(parents(&index(&[claim.clone(), account])), [Key::new("shop", long)]);
        assert_eq!(parents(&index(&[claim])), [], "whose the claim is nobody knows");
    }

    #[test]
    fn a_web_app_is_found_by_what_it_left_whatever_else_has_its_label() {
        let long = "x".repeat(60);
        let cut = Owner::new(OwnerKind::WebApp, "shop", &long).label();
        let ours = format!("drover-{cut}");
        let index = index(&[
            (key("PersistentVolumeClaim", "shop", "web-data"), live("app.shop.web", "drover-app.shop.web")),
            (key("ServiceAccount", "a", "web"), live(&cut, "kubectl")),
            (key("ServiceAccount", "shop", &long), live(&cut, &ours)),
            (key("ConfigMap", "shop", "map"), live("env.shop.prod", "drover-env.shop.prod")),
        ]);
        let mut found = parents(&index);
        found.sort();
        assert_eq!(found, [Key::new("shop", "web"), Key::new("shop", long)]);
    }
}
