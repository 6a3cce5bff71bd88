//! An object as it is sent to the API server, and its key.

use std::fmt;

use drover_crds::{GROUP, Owner};
use serde_json::{Map, Value};

/// Which object: everything that identifies it in a cluster, the version left out, because the same object is served in
/// several versions.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct ObjectKey {
    /// API group; empty for the core group.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace; `None` for a cluster-scoped object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

impl ObjectKey {
    /// The key of an object in a namespace.
    pub fn namespaced(group: &str, kind: &str, namespace: &str, name: &str) -> Self {
        Self {
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: Some(namespace.to_owned()),
            name: name.to_owned(),
        }
    }
}

/// The key of an object of drover's own.
impl From<&Owner> for ObjectKey {
    fn from(owner: &Owner) -> Self {
        Self::namespaced(GROUP, owner.kind.as_str(), &owner.key.namespace, &owner.key.name)
    }
}

impl fmt::Display for ObjectKey {
    /// `Kind namespace/name`, as a person would say it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// Where in the repository an object was read from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Origin {
    /// Path of the file from the repository's root.
    pub file: String,
    /// Line on which the document begins, counted from 1.
    pub line: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // git lets a name have anything but `/` and NUL.
        write!(f, "{}:{}", self.file.replace(char::is_control, "?"), self.line)
    }
}

/// An object as it is wanted: its JSON always has `apiVersion`, `kind` and `metadata.name` as non-empty strings.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    json: Map<String, Value>,
    /// Where it was read from; `None` for an object that drover itself builds.
    pub origin: Option<Origin>,
}

/// Why some JSON is not a Kubernetes object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAnObject {
    /// It is a list, a number, a string.
    #[error("it is not a mapping: every document needs apiVersion, kind and metadata.name")]
    NotAMapping,
    /// A field is absent, empty or not a string.
    #[error("{0} is missing or not a non-empty string")]
    Missing(&'static str),
}

impl Object {
    /// Reads an object from JSON.
    pub fn new(json: Value, origin: Option<Origin>) -> Result<Self, NotAnObject> {
        let Value::Object(json) = json else { return Err(NotAnObject::NotAMapping) };
        let text = |value: Option<&Value>| value.and_then(Value::as_str).is_some_and(|s| !s.is_empty());
        if !text(json.get("apiVersion")) {
            return Err(NotAnObject::Missing("apiVersion"));
        }
        if !text(json.get("kind")) {
            return Err(NotAnObject::Missing("kind"));
        }
        if !text(json.get("metadata").and_then(|m| m.get("name"))) {
            return Err(NotAnObject::Missing("metadata.name"));
        }
        Ok(Self { json, origin })
    }

    /// An object that drover builds, from a typed Kubernetes object.
    ///
    /// # Panics
    /// When `typed` serialises to something without `apiVersion`, `kind` or a name: a defect in drover, never user input.
    pub fn built<T: serde::Serialize>(typed: &T) -> Self {
        let json = serde_json::to_value(typed).expect("Kubernetes types serialise to JSON");
        Self::new(json, None).expect("a built object has apiVersion, kind and a name")
    }

    fn text(&self, field: &str) -> &str {
        self.json.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// `apiVersion`.
    pub fn api_version(&self) -> &str {
        self.text("apiVersion")
    }

    /// API group; empty for the core group.
    pub fn group(&self) -> &str {
        self.api_version().rsplit_once('/').map_or("", |(group, _)| group)
    }

    /// `kind`.
    pub fn kind(&self) -> &str {
        self.text("kind")
    }

    /// `metadata.name`.
    pub fn name(&self) -> &str {
        self.json.get("metadata").and_then(|m| m.get("name")).and_then(Value::as_str).unwrap_or_default()
    }

    /// `metadata.namespace`, where it is set.
    pub fn namespace(&self) -> Option<&str> {
        self.json.get("metadata").and_then(|m| m.get("namespace")).and_then(Value::as_str).filter(|n| !n.is_empty())
    }

    /// Its key, with the namespace as it stands in the object.
    pub fn key(&self) -> ObjectKey {
        ObjectKey {
            group: self.group().to_owned(),
            kind: self.kind().to_owned(),
            namespace: self.namespace().map(str::to_owned),
            name: self.name().to_owned(),
        }
    }

    /// The whole object.
    pub fn json(&self) -> &Map<String, Value> {
        &self.json
    }

    /// The whole object, to change: all but what makes it one.
    pub(super) fn json_mut(&mut self) -> &mut Map<String, Value> {
        &mut self.json
    }

    /// How many replicas it asks for, where it does.
    pub fn replicas(&self) -> Option<i64> {
        self.json.get("spec")?.get("replicas")?.as_i64()
    }

    /// Asks for no number of replicas.
    pub fn remove_replicas(&mut self) {
        if let Some(spec) = self.json.get_mut("spec").and_then(Value::as_object_mut) {
            spec.remove("replicas");
        }
    }

    /// `metadata`, to change.
    ///
    /// # Panics
    /// Never: a constructed object has `metadata`, and nothing here removes it.
    pub fn metadata_mut(&mut self) -> &mut Map<String, Value> {
        self.json.get_mut("metadata").and_then(Value::as_object_mut).expect("an object has metadata")
    }

    /// Sets `metadata.namespace`, or removes it.
    pub fn set_namespace(&mut self, namespace: Option<&str>) {
        match namespace {
            Some(namespace) => self.metadata_mut().insert("namespace".into(), namespace.into()),
            None => self.metadata_mut().remove("namespace"),
        };
    }

    /// Sets a label.
    pub fn set_label(&mut self, key: &str, value: &str) {
        self.set_metadata_entry("labels", key, value);
    }

    /// Sets an annotation.
    pub fn set_annotation(&mut self, key: &str, value: &str) {
        self.set_metadata_entry("annotations", key, value);
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.json.get("metadata")?.get("annotations")?.get(key)?.as_str()
    }

    fn set_metadata_entry(&mut self, map: &str, key: &str, value: &str) {
        let entry = self.metadata_mut().entry(map).or_insert_with(|| Value::Object(Map::new()));
        if !entry.is_object() {
            *entry = Value::Object(Map::new());
        }
        if let Value::Object(entries) = entry {
            entries.insert(key.to_owned(), value.into());
        }
    }
}
