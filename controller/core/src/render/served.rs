//! Whether the cluster will take each object in the version that it is written in: asked of a whole commit before any of it is
//! sent.

use std::collections::HashMap;

use serde_json::Value;

use super::error::short;
use super::namespace::definition;
use super::{Object, Origin};

/// An object that is written in a version that is not served.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{origin}: the cluster {}: {}",
    served_as(.kind, .served, .api_version),
    if .served.is_empty() {
        "install its CustomResourceDefinition, add that to git, or correct apiVersion and kind"
    } else {
        "write that as its apiVersion, with the fields of that version"
    }
)]
pub struct Unserved {
    /// Where the object stands.
    pub origin: Origin,
    /// Its kind.
    pub kind: String,
    /// Its apiVersion.
    pub api_version: String,
    /// As which apiVersions its group and kind are served, the best first.
    pub served: Vec<String>,
}

fn served_as(kind: &str, served: &[String], api_version: &str) -> String {
    let (kind, api_version) = (short(kind), short(api_version));
    match served.first() {
        Some(best) => format!("serves {kind} as {}, and not as {api_version}", short(best)),
        None => format!("does not know the kind {kind} of {api_version}"),
    }
}

/// Each object whose group, version and kind will not be served. `served` says as which apiVersions the cluster serves a group and
/// kind, the best first; a definition among `objects` says it instead for the kind that it defines.
pub fn unserved(objects: &[Object], served: impl Fn(&str, &str) -> Vec<String>) -> Vec<Unserved> {
    let defined: HashMap<(String, String), Vec<String>> = objects
        .iter()
        .filter_map(|object| {
            let (group_kind, _) = definition(object)?;
            let versions = versions(object, &group_kind.0);
            Some((group_kind, versions))
        })
        .collect();
    let judged = objects.iter().filter_map(|object| {
        let (group, kind) = (object.group().to_owned(), object.kind().to_owned());
        let versions = defined.get(&(group, kind)).cloned();
        let served = versions.unwrap_or_else(|| served(object.group(), object.kind()));
        let taken = served.iter().any(|version| version == object.api_version());
        (!taken).then(|| Unserved {
            origin: object.origin.clone().unwrap_or_default(),
            kind: object.kind().to_owned(),
            api_version: object.api_version().to_owned(),
            served,
        })
    });
    judged.collect()
}

/// The apiVersions that a definition serves; of those, most list the newest last.
fn versions(definition: &Object, group: &str) -> Vec<String> {
    let listed = definition.json().get("spec").and_then(|spec| spec.get("versions")).and_then(Value::as_array);
    let served = listed.into_iter().flatten().filter(|version| version.get("served") == Some(&Value::Bool(true)));
    let names = served.filter_map(|version| version.get("name").and_then(Value::as_str));
    let mut versions: Vec<String> = names.map(|name| format!("{group}/{name}")).collect();
    versions.reverse();
    versions
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(api_version: &str, kind: &str) -> Object {
        let origin = Some(Origin { file: "a.yaml".into(), line: 3 });
        Object::new(json!({"apiVersion": api_version, "kind": kind, "metadata": {"name": "a"}}), origin).expect("valid")
    }

    fn cluster(group: &str, kind: &str) -> Vec<String> {
        let versions: &[&str] = match (group, kind) {
            ("", "ConfigMap") => &["v1"],
            ("batch", "CronJob") => &["batch/v1"],
            ("apiextensions.k8s.io", "CustomResourceDefinition") => &["apiextensions.k8s.io/v1"],
            ("example.org", "Ring") => &["example.org/v1", "example.org/v1beta1"],
            _ => &[],
        };
        versions.iter().map(|version| (*version).to_owned()).collect()
    }

    fn sentences(objects: &[Object]) -> Vec<String> {
        unserved(objects, cluster).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_version_that_is_not_served_is_told_with_the_one_that_is() {
        let fine = [object("v1", "ConfigMap"), object("batch/v1", "CronJob"), object("example.org/v1beta1", "Ring")];
        assert_eq!(sentences(&fine), [""; 0]);
        assert_eq!(
            sentences(&[
                object("v1", "ConfigMap"),
                object("batch/v1beta1", "CronJob"),
                object("example.org/v1", "Gone")
            ]),
            [
                "a.yaml:3: the cluster serves CronJob as batch/v1, and not as batch/v1beta1: write that as its apiVersion, with the \
                 fields of that version",
                "a.yaml:3: the cluster does not know the kind Gone of example.org/v1: install its CustomResourceDefinition, add that \
                 to git, or correct apiVersion and kind",
            ]
        );
    }

    #[test]
    fn a_definition_in_the_commit_says_which_versions_there_will_be() {
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": {"name": "rings.example.org"},
            "spec": {"group": "example.org", "names": {"kind": "Ring"}, "scope": "Namespaced", "versions": [
                {"name": "v1", "served": false}, {"name": "v2", "served": true}, {"name": "v3", "served": true},
            ]},
        });
        let with = |version: &str| {
            [Object::new(definition.clone(), None).expect("valid"), object(&format!("example.org/{version}"), "Ring")]
        };
        assert_eq!(sentences(&with("v2")), [""; 0]);
        for gone in ["v1", "v1beta1"] {
            let said = sentences(&with(gone)).remove(0);
            assert!(said.contains("serves Ring as example.org/v3, and not as"), "{said}");
        }
    }
}
