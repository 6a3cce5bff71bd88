//! The account that the pods run as: it has no rights and no token.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata;
use crate::workload::App;

pub fn service_account(app: &App) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata::child(app, app.object_name()),
        automount_service_account_token: Some(false),
        ..Default::default()
    }
}
