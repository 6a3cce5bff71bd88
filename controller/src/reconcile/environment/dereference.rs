//! Step 1: everything that the spec names elsewhere, read as the namespace's service account.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use drover_core::render::ObjectKey;
use drover_core::trouble::{Mend, Trouble};
use drover_crds::{DEFAULT_SERVICE_ACCOUNT, Environment, Key, LocalObjectReference};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use tokio::time::Instant;

use crate::cluster::{Acting, Cluster};
use crate::git::{Credential, Repositories, Subscription};

/// How long the Secrets are believed before a reconcile reads them again.
const FRESH: Duration = Duration::from_secs(300);
/// How often a repository is asked by default.
const INTERVAL: Duration = Duration::from_secs(60);

/// What the spec names, and when it was read.
#[derive(Clone)]
pub(super) struct Dereferenced {
    generation: Option<i64>,
    asked: Option<String>,
    /// When it was read; `None` when it is to be read again.
    at: Option<Instant>,
    pub(super) subscription: Arc<Subscription>,
}

impl Dereferenced {
    /// Whether this still holds for `environment`: same spec, no new request by a person, not too old.
    pub(super) fn holds(&self, environment: &Environment) -> bool {
        self.generation == environment.metadata.generation
            && self.asked == asked(environment)
            && self.at.is_some_and(|at| at.elapsed() < FRESH)
    }

    /// At the next look everything is read again.
    pub(super) fn expire(&mut self) {
        self.at = None;
    }

    /// Whether a person has since asked for a look at the repository (`drover reconcile`).
    pub(super) fn asked_before(&self, environment: &Environment) -> bool {
        self.asked != asked(environment)
    }
}

/// The service account that an Environment acts as.
pub(super) fn account(environment: &Environment) -> &str {
    environment.spec.service_account_name.as_deref().unwrap_or(DEFAULT_SERVICE_ACCOUNT)
}

/// Reads the Secrets of an Environment again and follows its repository with what they say now: a webhook came whose proof the
/// known token does not make, and the token may have been changed since.
pub async fn refresh(cluster: &Cluster, repositories: &Repositories, key: &Key) {
    let api: Api<Environment> = Api::namespaced(cluster.client(), &key.namespace);
    let Ok(Some(environment)) = api.get_opt(&key.name).await else { return };
    if environment.spec.suspend == Some(true) {
        return;
    }
    let acting = cluster.acting_as(&key.namespace, account(&environment));
    match dereference(&acting, &environment).await {
        Ok(found) => repositories.subscribe(key, found.subscription.as_ref().clone()),
        Err(trouble) => {
            tracing::debug!(namespace = %key.namespace, name = %key.name, reason = %trouble.reason, "cannot read a webhook's token again");
        }
    }
}

/// Reads the Secrets.
pub(super) async fn dereference(acting: &Acting, environment: &Environment) -> Result<Dereferenced, Trouble> {
    let source = &environment.spec.source;
    let namespace = environment.metadata.namespace.as_deref().unwrap_or_default();
    let credential = match &source.secret_ref {
        Some(reference) => {
            let data = secret(acting, namespace, reference, "spec.source.secretRef").await?;
            credential(namespace, reference, &data)?
        }
        // The repository is public: not naming a Secret is no empty Secret.
        None => Credential::default(),
    };
    let webhook_token = match &source.webhook {
        Some(webhook) => {
            let data = secret(acting, namespace, &webhook.secret_ref, "spec.source.webhook.secretRef").await?;
            let token = data.get("token").filter(|token| !token.is_empty()).cloned();
            Some(token.ok_or_else(|| {
                let sentence = format!(
                    "Secret {namespace}/{} has no key `token`, so the webhook of {} cannot be checked: put the secret that the git host was given under `token`",
                    webhook.secret_ref.name, source.url
                );
                Trouble::new("SecretInvalid", sentence, Mend::Person)
            })?)
        }
        None => None,
    };
    Ok(Dereferenced {
        generation: environment.metadata.generation,
        asked: asked(environment),
        at: Some(Instant::now()),
        subscription: Arc::new(Subscription {
            url: source.url.clone(),
            reference: source.reference.clone(),
            credential,
            interval: source.interval.map_or(INTERVAL, Duration::from),
            webhook_token,
        }),
    })
}

/// What the Secret that `reference` names is good for.
fn credential(
    namespace: &str,
    reference: &LocalObjectReference,
    data: &BTreeMap<String, Vec<u8>>,
) -> Result<Credential, Trouble> {
    Credential::from_secret(data).map_err(|wrong| {
        let name = &reference.name;
        let sentence = format!("Secret {namespace}/{name}, which spec.source.secretRef names, cannot be used: {wrong}");
        Trouble::new("SecretInvalid", sentence, Mend::Person)
    })
}

async fn secret(
    acting: &Acting,
    namespace: &str,
    reference: &LocalObjectReference,
    field: &str,
) -> Result<BTreeMap<String, Vec<u8>>, Trouble> {
    let api: Api<Secret> = Api::namespaced(acting.client(), namespace);
    let key = ObjectKey {
        group: String::new(),
        kind: "Secret".into(),
        namespace: Some(namespace.to_owned()),
        name: reference.name.clone(),
    };
    match api.get_opt(&reference.name).await {
        Ok(Some(secret)) => Ok(secret.data.unwrap_or_default().into_iter().map(|(k, v)| (k, v.0)).collect()),
        Ok(None) => {
            let sentence = format!("{key}, which {field} names, does not exist: create it, or correct {field}");
            Err(Trouble::new("SecretMissing", sentence, Mend::Person))
        }
        Err(error) => Err(acting.error(error, "read", &key).into()),
    }
}

fn asked(environment: &Environment) -> Option<String> {
    environment.metadata.annotations.as_ref()?.get(drover_crds::ANNOTATION_RECONCILE_AT).cloned()
}
