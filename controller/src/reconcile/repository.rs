//! The repository that an object follows: what its spec names elsewhere, read as the namespace's service account.

use std::sync::Arc;
use std::time::Duration;

use drover_core::render::ObjectKey;
use drover_core::trouble::{Mend, Trouble};
use drover_crds::{ANNOTATION_RECONCILE_AT, LocalObjectReference, Owner, Reference, Webhook};
use kube::core::ObjectMeta;
use tokio::time::Instant;

use crate::cluster::{Acting, Data};
use crate::git::{Credential, Repositories, Subscription};

/// How long the Secrets are believed before a reconcile reads them again.
const FRESH: Duration = Duration::from_secs(300);
/// How often a repository is asked by default.
const INTERVAL: Duration = Duration::from_secs(60);

/// What a spec says of its repository.
pub(super) struct Wish<'a> {
    /// What its fields stand below, for messages.
    pub(super) field: &'static str,
    pub(super) url: &'a str,
    pub(super) reference: &'a Reference,
    pub(super) interval: Option<drover_crds::Duration>,
    pub(super) secret_ref: Option<&'a LocalObjectReference>,
    pub(super) webhook: Option<&'a Webhook>,
}

/// What the spec names, and when it was read.
#[derive(Clone)]
pub(super) struct Dereferenced {
    generation: Option<i64>,
    asked: Option<String>,
    /// When it was read; `None` when it is to be read again.
    at: Option<Instant>,
    subscription: Arc<Subscription>,
}

impl Dereferenced {
    /// Whether this still holds for the object: same spec, no new request by a person, not too old.
    fn holds(&self, meta: &ObjectMeta) -> bool {
        self.is_of(meta) && self.at.is_some_and(|at| at.elapsed() < FRESH)
    }

    /// Whether the spec is the same, and nobody has asked since.
    fn is_of(&self, meta: &ObjectMeta) -> bool {
        self.generation == meta.generation && self.asked == asked(meta)
    }

    /// At the next look everything is read again.
    pub(super) fn expire(&mut self) {
        self.at = None;
    }
}

/// Follows what the spec of `owner` says now, as far as `memory` is not of the same. Where a person has since asked for a look
/// (`drover reconcile`), the server is asked at once.
pub(super) async fn follow(
    repositories: &Repositories,
    acting: &Acting,
    (owner, meta): (&Owner, &ObjectMeta),
    wish: &Wish<'_>,
    memory: &mut Option<Dereferenced>,
) -> Result<(), Trouble> {
    if memory.as_ref().is_some_and(|known| known.holds(meta)) {
        return Ok(());
    }
    // Who asks, writes another spec, or was refused with what is known has reason to think that a Secret is another by now.
    let is_other = |known: &Dereferenced| !known.is_of(meta) || known.at.is_none();
    let dereferenced = dereference(acting, meta, wish, memory.as_ref().is_some_and(is_other)).await?;
    repositories.subscribe(owner, dereferenced.subscription.as_ref().clone());
    if memory.as_ref().is_some_and(|before| before.asked != asked(meta)) {
        repositories.sync_now(owner);
    }
    *memory = Some(dereferenced);
    Ok(())
}

/// Reads the Secrets again, whatever is remembered, and follows the repository with what they say now.
pub(super) async fn refresh(
    repositories: &Repositories,
    acting: &Acting,
    (owner, meta): (&Owner, &ObjectMeta),
    wish: &Wish<'_>,
) {
    match dereference(acting, meta, wish, true).await {
        Ok(found) => repositories.subscribe(owner, found.subscription.as_ref().clone()),
        Err(trouble) => tracing::debug!(%owner, reason = %trouble.reason, "cannot read a webhook's token again"),
    }
}

/// Reads the Secrets, unless `anew` also as they were a moment ago.
async fn dereference(acting: &Acting, meta: &ObjectMeta, wish: &Wish<'_>, anew: bool) -> Result<Dereferenced, Trouble> {
    let namespace = meta.namespace.as_deref().unwrap_or_default();
    let field = wish.field;
    let credential = match wish.secret_ref {
        Some(reference) => {
            let data = secret(acting, namespace, reference, &format!("{field}.secretRef"), anew).await?;
            Credential::from_secret(&data).map_err(|wrong| {
                let name = &reference.name;
                let sentence =
                    format!("Secret {namespace}/{name}, which {field}.secretRef names, cannot be used: {wrong}");
                Trouble::new("SecretInvalid", sentence, Mend::Person)
            })?
        }
        // The repository is public: not naming a Secret is no empty Secret.
        None => Credential::default(),
    };
    let webhook_token = match wish.webhook {
        Some(webhook) => {
            let data =
                secret(acting, namespace, &webhook.secret_ref, &format!("{field}.webhook.secretRef"), anew).await?;
            let token = data.get("token").filter(|token| !token.is_empty()).cloned();
            Some(token.ok_or_else(|| {
                let sentence = format!(
                    "Secret {namespace}/{} has no key `token`, so the webhook of {} cannot be checked: put the secret that the git host was given under `token`",
                    webhook.secret_ref.name, wish.url
                );
                Trouble::new("SecretInvalid", sentence, Mend::Person)
            })?)
        }
        None => None,
    };
    Ok(Dereferenced {
        generation: meta.generation,
        asked: asked(meta),
        at: Some(Instant::now()),
        subscription: Arc::new(Subscription {
            url: wish.url.to_owned(),
            reference: wish.reference.clone(),
            credential,
            interval: wish.interval.map_or(INTERVAL, Duration::from),
            webhook_token,
        }),
    })
}

async fn secret(
    acting: &Acting,
    namespace: &str,
    reference: &LocalObjectReference,
    field: &str,
    anew: bool,
) -> Result<Data, Trouble> {
    let key = ObjectKey {
        group: String::new(),
        kind: "Secret".into(),
        namespace: Some(namespace.to_owned()),
        name: reference.name.clone(),
    };
    match acting.secret(&reference.name, anew).await {
        Ok(Some(data)) => Ok(data),
        Ok(None) => {
            let sentence = format!("{key}, which {field} names, does not exist: create it, or correct {field}");
            Err(Trouble::new("SecretMissing", sentence, Mend::Person))
        }
        Err(error) => Err(acting.error(error, "read", &key).into()),
    }
}

fn asked(meta: &ObjectMeta) -> Option<String> {
    meta.annotations.as_ref()?.get(ANNOTATION_RECONCILE_AT).cloned()
}
