//! Step 1: everything that the spec names elsewhere, read as the namespace's service account.

use drover_crds::{DEFAULT_SERVICE_ACCOUNT, Environment, Owner};
use kube::Api;

use super::super::repository::{self, Wish};
use crate::cluster::Cluster;
use crate::git::Repositories;

/// The service account that an Environment acts as.
pub(super) fn account(environment: &Environment) -> &str {
    environment.spec.service_account_name.as_deref().unwrap_or(DEFAULT_SERVICE_ACCOUNT)
}

/// What the spec says of its repository.
pub(super) fn wish(environment: &Environment) -> Wish<'_> {
    let source = &environment.spec.source;
    Wish {
        field: "spec.source",
        url: &source.url,
        reference: &source.reference,
        interval: source.interval,
        secret_ref: source.secret_ref.as_ref(),
        webhook: source.webhook.as_ref(),
    }
}

/// Reads the Secrets of an Environment again and follows its repository with what they say now: a webhook came whose proof the
/// known token does not make, and the token may have been changed since.
pub async fn refresh(cluster: &Cluster, repositories: &Repositories, owner: &Owner) {
    let api: Api<Environment> = Api::namespaced(cluster.client(), &owner.key.namespace);
    let Ok(Some(environment)) = api.get_opt(&owner.key.name).await else { return };
    if environment.spec.suspend == Some(true) {
        return;
    }
    let acting = cluster.acting_as(&owner.key.namespace, account(&environment));
    repository::refresh(repositories, &acting, (owner, &environment.metadata), &wish(&environment)).await;
}
