//! Names, labels and ownership of children.

use std::collections::BTreeMap;

use drover_crds as crds;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use crate::workload::App;
use crate::workload::takeover::Kept;
use crate::workload::validate::ValidatedWebApp;

/// Names and values of labels.
pub type Labels = BTreeMap<String, String>;

fn pairs<const N: usize>(pairs: [(&str, String); N]) -> Labels {
    pairs.into_iter().map(|(k, v)| (k.to_owned(), v)).collect()
}

/// The labels of every child. The owner's own labels are never copied.
pub fn labels(app: &App) -> Labels {
    pairs([
        (crds::LABEL_NAME, app.object_name()),
        (crds::LABEL_INSTANCE, app.object_name()),
        (crds::LABEL_MANAGED_BY, crds::DROVER.to_owned()),
    ])
}

/// The same, of one of the things that an owner's pods are.
pub fn labels_of(app: &App, component: &str) -> Labels {
    let mut labels = labels(app);
    labels.insert(crds::LABEL_COMPONENT.to_owned(), component.to_owned());
    labels
}

/// What finds these pods of an owner of that object name, as text for list requests.
pub fn selector_of(instance: &str, component: &str) -> String {
    format!("{}={instance},{}={component}", crds::LABEL_INSTANCE, crds::LABEL_COMPONENT)
}

/// What selects the web server's pods, unless something else is kept. A Deployment's selector cannot change, so these never may.
pub fn own_selector(app: &App) -> Labels {
    pairs([
        (crds::LABEL_NAME, app.object_name()),
        (crds::LABEL_INSTANCE, app.object_name()),
        (crds::LABEL_COMPONENT, crds::COMPONENT_WEB.to_owned()),
    ])
}

/// What selects the pods that drover makes. Where a Deployment is kept that selects by labels of the same names, pods have its values.
pub fn pod_selector(app: &App, kept: &Kept) -> Labels {
    let mut labels = own_selector(app);
    for (name, value) in &mut labels {
        if let Some(kept) = kept.pod_labels.get(name) {
            value.clone_from(kept);
        }
    }
    labels
}

/// The selector as text, for list requests: the pods that drover made, and with them those that the Deployment had before.
pub fn selector_text(app: &App, kept: &Kept) -> String {
    let labels = if kept.pod_labels.is_empty() { own_selector(app) } else { kept.pod_labels.clone() };
    labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
}

/// The same as a selector.
pub fn label_selector(app: &ValidatedWebApp) -> LabelSelector {
    LabelSelector { match_labels: Some(pod_selector(&app.pods.app, &app.kept)), ..Default::default() }
}

/// Metadata of a child. It carries no owner reference: Kubernetes would delete it when the definition of the owner's kind is
/// deleted, and a `kubectl delete -f crds.yaml` must not take production down. drover deletes the children of a deleted owner itself.
pub fn child(app: &App, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(app.namespace.clone()),
        labels: Some(labels(app)),
        ..Default::default()
    }
}

/// The same of a child which outlives the owner and its spec where it is to be retained, and says so in an annotation.
pub fn retained(app: &App, name: String, retain: bool) -> ObjectMeta {
    let stays = || [(crds::ANNOTATION_PRUNE.to_owned(), "disabled".to_owned())].into();
    ObjectMeta { annotations: retain.then(stays), ..child(app, name) }
}

/// Metadata of what drover keeps for itself, the records of releases and the pods that pull images: nothing serves from it, so
/// Kubernetes may delete it with the owner.
pub fn bookkeeping(app: &App, name: String) -> ObjectMeta {
    ObjectMeta { owner_references: owner(app).map(|o| vec![o]), ..child(app, name) }
}

/// The reference to the owner. It does not block the owner's deletion: that needs a right on the owner's finalizers which
/// the namespace's account has no other use for.
pub fn owner(app: &App) -> Option<OwnerReference> {
    app.uid.clone().map(|uid| OwnerReference {
        api_version: format!("{}/{}", crds::GROUP, crds::VERSION),
        kind: app.kind.to_string(),
        name: app.name.clone(),
        uid,
        controller: Some(true),
        block_owner_deletion: None,
    })
}
