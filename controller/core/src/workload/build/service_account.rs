//! The account that the pods run as: it has no rights and no token.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::metadata;
use crate::workload::validate::ValidatedWebApp;

pub fn service_account(app: &ValidatedWebApp) -> ServiceAccount {
    ServiceAccount {
        metadata: metadata::child(&app.app, app.app.object_name()),
        automount_service_account_token: Some(false),
        ..Default::default()
    }
}
