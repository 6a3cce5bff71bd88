//! Whether the cluster's CustomResourceDefinitions fit this binary. The API server silently drops fields that a definition does
//! not have, so one that is older than the binary would lose what drover writes.

use drover_crds::VERSION;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{Api, Client};
use serde_json::Value;

/// What is wrong with the cluster's definitions.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// One is not there.
    #[error(
        "the cluster has no CustomResourceDefinition {0}: run `kubectl apply -f manifests/crds.yaml`, or install the chart with crds.install=true"
    )]
    Missing(String),
    /// One lacks a field that this version of drover uses.
    #[error(
        "the CustomResourceDefinition {name} is older than this drover, it lacks {field}: apply the manifests/crds.yaml of this version"
    )]
    Old {
        /// The definition.
        name: String,
        /// The first field that it lacks.
        field: String,
    },
}

/// Compares the cluster's definitions with those of this binary. The outer error says that they cannot be read.
pub async fn check(client: Client) -> Result<Result<(), CrdError>, kube::Error> {
    let api: Api<CustomResourceDefinition> = Api::all(client);
    for wanted in drover_crds::all() {
        let name = wanted.metadata.name.clone().unwrap_or_default();
        let Some(served) = api.get_opt(&name).await? else { return Ok(Err(CrdError::Missing(name))) };
        if let Some(field) = lacking(&schema(&wanted), &schema(&served), "") {
            return Ok(Err(CrdError::Old { name, field }));
        }
    }
    Ok(Ok(()))
}

fn schema(crd: &CustomResourceDefinition) -> Value {
    let version = crd.spec.versions.iter().find(|version| version.name == VERSION);
    serde_json::to_value(version.and_then(|v| v.schema.as_ref()?.open_api_v3_schema.as_ref())).unwrap_or_default()
}

/// The path of the first property that `served` lacks.
fn lacking(wanted: &Value, served: &Value, path: &str) -> Option<String> {
    let empty = serde_json::Map::new();
    for (name, schema) in wanted.get("properties").and_then(Value::as_object).unwrap_or(&empty) {
        let path = format!("{path}.{name}");
        match served.get("properties").and_then(|p| p.get(name)) {
            None => return Some(path),
            Some(found) => {
                if let Some(path) = lacking(schema, found, &path) {
                    return Some(path);
                }
            }
        }
    }
    let items = wanted.get("items")?;
    lacking(items, served.get("items").unwrap_or(&Value::Null), &format!("{path}[]"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_missing_field_is_found_at_any_depth() {
        let wanted = json!({"properties": {"spec": {"properties": {"ports": {"items": {"properties": {"name": {}, "port": {}}}}}}}});
        assert_eq!(lacking(&wanted, &wanted, ""), None);
        let mut served = wanted.clone();
        served["properties"]["spec"]["properties"]["ports"]["items"]["properties"]
            .as_object_mut()
            .expect("a mapping")
            .remove("port");
        assert_eq!(lacking(&wanted, &served, "").as_deref(), Some(".spec.ports[].port"));
        served["properties"]["spec"]["properties"]["more"] = json!({});
        assert_eq!(lacking(&served, &wanted, "").as_deref(), Some(".spec.more"), "only the other way round");
    }
}
