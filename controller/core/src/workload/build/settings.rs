//! The copies of the ConfigMaps that pods read.

use k8s_openapi::api::core::v1::ConfigMap;

use super::metadata;
use crate::workload::App;
use crate::workload::pods::settings::Copy;

/// A copy that nobody can change: its name tells of its content.
pub fn config_map(app: &App, copy: &Copy) -> ConfigMap {
    ConfigMap {
        metadata: metadata::child(app, copy.name.clone()),
        data: (!copy.data.is_empty()).then(|| copy.data.clone()),
        binary_data: (!copy.binary_data.is_empty()).then(|| copy.binary_data.clone()),
        immutable: Some(true),
    }
}
