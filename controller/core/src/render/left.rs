//! Fields that an API gives to another: they stand in many a manifest, empty or as they once were, and are filled by somebody
//! else. Sent, they would be taken from whoever fills them, who takes them back, for ever.

use serde_json::{Map, Value};

use super::Object;

/// What stands where an injector is to put a bundle of certificates: nothing, or base64 of a line break.
const PLACEHOLDERS: [&str; 3] = ["", "Cg==", "Cgo="];
/// Annotation by which the Deployment controller counts; exported manifests hold it.
const REVISION: &str = "deployment.kubernetes.io/revision";

/// Takes out of `object` what its API gives to another.
pub(super) fn leave_to_others(object: &mut Object) {
    let injected = is_injected(object);
    let (group, kind) = (object.group().to_owned(), object.kind().to_owned());
    match (group.as_str(), kind.as_str()) {
        // The rules of other ClusterRoles are gathered there.
        ("rbac.authorization.k8s.io", "ClusterRole") => {
            let json = object.json_mut();
            if json.get("aggregationRule").is_some_and(Value::is_object) {
                json.remove("rules");
            }
        }
        ("apiextensions.k8s.io", "CustomResourceDefinition") => {
            leave_bundle(
                object.json_mut().get_mut("spec").and_then(|s| s.pointer_mut("/conversion/webhook/clientConfig")),
                injected,
            );
        }
        ("apiregistration.k8s.io", "APIService") => leave_bundle(object.json_mut().get_mut("spec"), injected),
        ("admissionregistration.k8s.io", "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration") => {
            let webhooks = object.json_mut().get_mut("webhooks").and_then(Value::as_array_mut);
            for webhook in webhooks.into_iter().flatten() {
                leave_bundle(webhook.get_mut("clientConfig"), injected);
            }
        }
        ("apps", "Deployment") => {
            if let Some(annotations) = object.metadata_mut().get_mut("annotations").and_then(Value::as_object_mut) {
                annotations.remove(REVISION);
            }
        }
        _ => {}
    }
}

/// Whether an annotation asks an injector to fill in certificates: `cert-manager.io/inject-ca-from`,
/// `cert-manager.io/inject-apiserver-ca`, `service.beta.openshift.io/inject-cabundle` and the like.
fn is_injected(object: &Object) -> bool {
    let annotations = object.json().get("metadata").and_then(|m| m.get("annotations")).and_then(Value::as_object);
    annotations.into_iter().flat_map(Map::keys).any(|annotation| {
        let name = annotation.rsplit('/').next().unwrap_or_default();
        name.starts_with("inject-ca") || name == "inject-apiserver-ca"
    })
}

fn leave_bundle(config: Option<&mut Value>, injected: bool) {
    let Some(config) = config.and_then(Value::as_object_mut) else { return };
    let is_placeholder = match config.get("caBundle") {
        Some(Value::String(bundle)) => PLACEHOLDERS.contains(&bundle.trim()),
        Some(Value::Null) => true,
        _ => false,
    };
    if injected || is_placeholder {
        config.remove("caBundle");
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    /// The object of that JSON, which gets a name, as it is sent.
    fn sent(mut object: Value) -> Value {
        if object["metadata"].is_null() {
            object["metadata"] = json!({});
        }
        object["metadata"]["name"] = "a".into();
        let mut object = Object::new(object, None).expect("an object");
        leave_to_others(&mut object);
        Value::Object(object.json().clone())
    }

    fn webhooks(annotations: &Value, bundle: &Value) -> Value {
        json!({"apiVersion": "admissionregistration.k8s.io/v1", "kind": "ValidatingWebhookConfiguration",
            "metadata": {"annotations": annotations},
            "webhooks": [{"name": "a.test", "clientConfig": {"url": "https://a.test", "caBundle": bundle}}]})
    }

    #[rstest]
    #[case::by_cert_manager(json!({"cert-manager.io/inject-ca-from": "a/b"}), json!("LS0t"), false)]
    #[case::of_the_api_server(json!({"cert-manager.io/inject-apiserver-ca": "true"}), json!("LS0t"), false)]
    #[case::by_openshift(json!({"service.beta.openshift.io/inject-cabundle": "true"}), json!("LS0t"), false)]
    #[case::empty(json!({}), json!(""), false)]
    #[case::null(json!({}), json!(null), false)]
    #[case::a_line_break(json!({}), json!("Cg=="), false)]
    #[case::a_persons(json!({"example.org/injects": "nothing"}), json!("LS0t"), true)]
    fn a_bundle_of_certificates_is_left_to_its_injector(
        #[case] annotations: Value,
        #[case] bundle: Value,
        #[case] stays: bool,
    ) {
        let config = sent(webhooks(&annotations, &bundle))["webhooks"][0]["clientConfig"].clone();
        assert_eq!(config.get("caBundle").is_some(), stays);
        assert_eq!(config["url"], "https://a.test");

        let definition = sent(json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"annotations": annotations},
            "spec": {"conversion": {"webhook": {"clientConfig": {"caBundle": bundle}}}}}));
        assert_eq!(definition.pointer("/spec/conversion/webhook/clientConfig/caBundle").is_some(), stays);
        let service = sent(json!({"apiVersion": "apiregistration.k8s.io/v1", "kind": "APIService",
            "metadata": {"annotations": annotations}, "spec": {"caBundle": bundle}}));
        assert_eq!(service["spec"].get("caBundle").is_some(), stays);
    }

    #[test]
    fn the_rules_of_an_aggregated_role_are_gathered_by_kubernetes() {
        let role = |aggregation: Value| {
            sent(
                json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "rules": [], "aggregationRule": aggregation}),
            )
        };
        assert!(role(json!({"clusterRoleSelectors": []})).get("rules").is_none());
        assert!(role(json!(null)).get("rules").is_some());
    }

    #[test]
    fn the_revision_of_an_exported_deployment_is_not_sent() {
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"annotations": {REVISION: "3", "a": "b"}}});
        assert_eq!(sent(deployment)["metadata"]["annotations"], json!({"a": "b"}));
    }
}
