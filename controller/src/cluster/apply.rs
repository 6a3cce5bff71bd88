//! Server-side apply and deletion, as the service account of a namespace.

use std::sync::{Arc, Mutex};

use drover_core::plan::{Contests, Taken, owner_of, unclaimable};
use drover_core::render::{Object, ObjectKey, applied_hash, keyed_hash};
use drover_crds::{ANNOTATION_ADOPT, ANNOTATION_APPLIED, LABEL_OWNER, Owner};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions, PropagationPolicy};
use kube::core::DynamicObject;
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::autoscalers::AutoscalerTable;
use super::discovery::{Kind, Kinds};
use super::error::ApiError;
use super::index::{GroupKind, Index, Live};
use super::refusal::{Refusal, is_conflict, is_not_found};
use super::routes::{RouteTable, claims_routes};
use super::secrets::{Data, Secrets};
use super::watch::{Sight, Watches};

/// What all acting clients share.
pub(super) struct Shared {
    pub(super) kinds: Kinds,
    pub(super) watches: Watches,
    pub(super) index: Arc<Index>,
    pub(super) routes: Arc<RouteTable>,
    pub(super) autoscalers: Arc<AutoscalerTable>,
    pub(super) contests: Mutex<Contests>,
    pub(super) secrets: Secrets,
    pub(super) hash_key: [u8; 32],
    /// Applies under way for all owners together: a burst of work must not starve status updates and leases.
    pub(super) slots: Semaphore,
}

/// drover, acting as one service account of one namespace.
#[derive(Clone)]
pub struct Acting {
    pub(super) shared: Arc<Shared>,
    pub(super) client: Client,
    pub(super) namespace: String,
    pub(super) account: String,
}

impl Acting {
    /// A client whose every request acts as the account.
    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// What the Secret of that name in the namespace holds; `None` where there is none. Unless it is to be read `anew` that may be what the
    /// same account read two seconds ago.
    ///
    /// # Errors
    /// When the API server does not say.
    pub async fn secret(&self, name: &str, anew: bool) -> Result<Option<Data>, kube::Error> {
        let place = (self.namespace.clone(), self.account.clone(), name.to_owned());
        self.shared.secrets.read(self.client(), place, anew).await
    }

    /// Reads kube's error in the light of this account.
    pub fn error(&self, error: kube::Error, verb: &'static str, key: &ObjectKey) -> ApiError {
        ApiError::of(error, verb, key, Some((&self.namespace, &self.account)))
    }

    /// The kind of `object`, asked for again when it is not known: its CRD may have just come.
    pub async fn kind(&self, object: &Object) -> Result<Kind, ApiError> {
        let key = object.key();
        let ask = |error| self.error(error, "discover", &key);
        let known = self.shared.kinds.known().await.map_err(ask)?;
        if let Some(kind) = known.exact(object.api_version(), object.kind()) {
            return Ok(kind.clone());
        }
        let known = self.shared.kinds.refresh().await.map_err(ask)?;
        known.exact(object.api_version(), object.kind()).cloned().ok_or_else(|| ApiError::UnknownKind {
            object: key.to_string(),
            api_version: object.api_version().to_owned(),
        })
    }

    /// The hash that [`Acting::apply`] leaves on `object`.
    pub fn hash(&self, object: &Object) -> String {
        applied_hash(&self.shared.hash_key, object)
    }

    /// A hash of what only the account may read.
    pub fn keyed_hash(&self, content: &serde_json::Value) -> String {
        keyed_hash(&self.shared.hash_key, content)
    }

    /// Makes sure that the index shows objects of this kind. While its first listing is under way `owner` is called when that has
    /// ended.
    pub fn watch(&self, kind: &Kind, owner: &Owner) -> Sight {
        self.shared.watches.ensure(kind, owner)
    }

    /// Sends one object, labelled as `owner`'s. With `force` fields that others took are taken back; without it their holders
    /// keep them and the answer is [`ApiError::Conflict`], except for an object that asks to be adopted
    /// (`drover.dev/adopt: "true"`) and belongs to no other of drover's owners. A number of replicas that an autoscaler has is left
    /// to it.
    pub async fn apply(&self, owner: &Owner, object: &Object, force: bool) -> Result<Live, ApiError> {
        let kind = self.kind(object).await?;
        let hash = self.hash(object);
        let mut sent = object.clone();
        sent.set_label(LABEL_OWNER, &owner.label());
        sent.set_annotation(ANNOTATION_APPLIED, &hash);
        let key = sent.key();
        let is_ingress = claims_routes(&GroupKind::of(&key));
        if is_ingress {
            refuse_unclaimable(&sent)?;
        }
        // Without a sight of all of them nobody would tell when a route is free again.
        let routed = is_ingress && self.sees(owner, &kind, &key)?;
        if routed && let Some(taken) = self.shared.routes.claim(&sent, &owner.label()) {
            return Err(self.route_taken(&key, &taken));
        }
        let answer = self.send_with_generated(owner, &kind, &mut sent, force).await;
        if routed {
            match &answer {
                Ok(_) => self.shared.routes.accepted(&key),
                // Where it is not known whether it was accepted, the watch tells, and the next try claims again.
                Err(_) => self.shared.routes.give_back(&key),
            }
        }
        answer
    }

    pub(super) async fn send_unless_taken(
        &self,
        owner: &Owner,
        kind: &Kind,
        sent: &mut Object,
        force: bool,
    ) -> Result<Live, ApiError> {
        let autoscaled = self.leave_replicas(owner, kind, sent).await?;
        match self.send(owner, kind, sent, force, autoscaled).await {
            Err(ApiError::Conflict { owned: false, .. }) if sent.annotation(ANNOTATION_ADOPT) == Some("true") => {
                self.send(owner, kind, sent, true, autoscaled).await
            }
            other => other,
        }
    }

    /// Refuses an Ingress that is not sent yet when another has one of its routes, or when it asks for requests that nobody can tell
    /// whose they are. `owner` is told when the route is free.
    pub async fn refuse_taken_route(&self, owner: &Owner, ingress: &Object) -> Result<(), ApiError> {
        refuse_unclaimable(ingress)?;
        let kind = self.kind(ingress).await?;
        if !self.sees(owner, &kind, &ingress.key())? {
            return Ok(());
        }
        match self.shared.routes.taken(ingress, &owner.label()) {
            Some(taken) => Err(self.route_taken(&ingress.key(), &taken)),
            None => Ok(()),
        }
    }

    /// Whether drover sees all objects of a kind that decide what may be sent; before that is known nothing is.
    pub(super) fn sees(&self, owner: &Owner, kind: &Kind, key: &ObjectKey) -> Result<bool, ApiError> {
        match self.watch(kind, owner) {
            Sight::Complete => Ok(true),
            Sight::Blind => Ok(false),
            Sight::Starting => Err(ApiError::Unavailable {
                object: key.to_string(),
                message: format!("drover does not see every {} yet", kind.resource.kind),
            }),
        }
    }

    fn route_taken(&self, key: &ObjectKey, taken: &Taken) -> ApiError {
        let of = self.shared.index.live(&taken.by).map(|live| format!(" of {}", owner_of(&live.owner)));
        let by = format!("{}{}", taken.by, of.unwrap_or_default());
        let (object, route) = (key.to_string(), taken.route.to_string());
        match &taken.host {
            None => ApiError::RouteTaken { object, route, by },
            Some(host) => ApiError::HostTaken {
                object,
                route,
                host: host.to_string(),
                namespace: taken.by.namespace.clone().unwrap_or_default(),
                by,
            },
        }
    }

    async fn send(
        &self,
        owner: &Owner,
        kind: &Kind,
        object: &Object,
        force: bool,
        autoscaled: bool,
    ) -> Result<Live, ApiError> {
        let key = object.key();
        let _slot = self.shared.slots.acquire().await.ok();
        let manager = owner.field_manager();
        let params = PatchParams { field_manager: Some(manager), force, ..PatchParams::default() };
        let answer =
            self.api(kind, key.namespace.as_deref()).patch(&key.name, &params, &Patch::Apply(object.json())).await;
        match answer {
            Ok(answer) => {
                let mut live = Live::of(&answer);
                live.sent = Some(live.held(autoscaled));
                if key.kind == "CustomResourceDefinition" {
                    self.shared.kinds.expect(owner);
                }
                self.shared.index.applied(key, live.clone());
                Ok(live)
            }
            // An apply makes an object that is not there: what is not found is its namespace, or its kind.
            Err(kube::Error::Api(status))
                if Refusal::of(&status) == Some(Refusal::NotFound) && !status.message.starts_with("namespaces ") =>
            {
                self.shared.kinds.doubt().await;
                Err(ApiError::UnknownKind { object: key.to_string(), api_version: object.api_version().to_owned() })
            }
            Err(error) => match self.error(error, "patch", &key) {
                ApiError::Conflict { owned: true, object, by, .. } => {
                    // Field managers are named after their owner's label.
                    let live = self.shared.index.live(&key).map(|live| live.owner);
                    let label = live.as_deref().or_else(|| Owner::label_of_manager(&by)).unwrap_or(&by);
                    Err(ApiError::Owned { object, by: owner_of(label) })
                }
                other => Err(other),
            },
        }
    }

    /// The kind of the object with that key, in the version that the API server prefers; `None` when it is not served, which only
    /// a fresh reading says.
    pub async fn kind_of(&self, key: &ObjectKey, verb: &'static str) -> Result<Option<Kind>, ApiError> {
        let ask = |error| self.error(error, verb, key);
        let known = self.shared.kinds.known().await.map_err(ask)?;
        if let Some(kind) = known.preferred(&key.group, &key.kind) {
            return Ok(Some(kind.clone()));
        }
        let known = self.shared.kinds.refresh().await.map_err(ask)?;
        Ok(known.preferred(&key.group, &key.kind).cloned())
    }

    /// Lets go of what `owner` holds of the object of that key and uid, which another took over: fields that the other does not set
    /// leave the object, so that they do not stay for ever with nobody. An object that is gone, or is another one by now, counts as
    /// done.
    pub async fn release(&self, owner: &Owner, key: &ObjectKey, uid: &str) -> Result<(), ApiError> {
        let Some(kind) = self.kind_of(key, "patch").await? else { return Ok(()) };
        // With its uid it is neither made anew nor mistaken.
        let mut nothing = json!({
            "apiVersion": kind.resource.api_version, "kind": kind.resource.kind,
            "metadata": {"name": key.name, "uid": uid},
        });
        if let Some(namespace) = &key.namespace {
            nothing["metadata"]["namespace"] = namespace.as_str().into();
        }
        let params = PatchParams { field_manager: Some(owner.field_manager()), force: true, ..PatchParams::default() };
        match self.api(&kind, key.namespace.as_deref()).patch(&key.name, &params, &Patch::Apply(&nothing)).await {
            Ok(_) => Ok(()),
            Err(error) if is_not_found(&error) || is_conflict(&error) => Ok(()),
            Err(error) => Err(self.error(error, "patch", key)),
        }
    }

    /// Deletes the object of that key and uid. An object that is gone, or is another one by now, counts as done.
    pub async fn delete(&self, key: &ObjectKey, uid: &str) -> Result<(), ApiError> {
        match self.kind_of(key, "delete").await? {
            Some(kind) => self.delete_of(&kind, key, uid).await,
            // The kind went away, and its objects with it.
            None => Ok(()),
        }
    }

    async fn delete_of(&self, kind: &Kind, key: &ObjectKey, uid: &str) -> Result<(), ApiError> {
        let params = DeleteParams {
            preconditions: Some(Preconditions { uid: Some(uid.to_owned()), resource_version: None }),
            propagation_policy: Some(PropagationPolicy::Background),
            ..DeleteParams::default()
        };
        let api = self.api(kind, key.namespace.as_deref());
        match api.delete(&key.name, &params).await {
            Ok(_) => Ok(()),
            Err(error) if is_not_found(&error) => Ok(()),
            // Most often it is another object by now; but a conflict can have other reasons, and then this one is still to be deleted.
            Err(error) if is_conflict(&error) => match self.look(kind, key).await? {
                Some(live) if live.uid == uid && !live.deleting => Err(ApiError::Changed { object: key.to_string() }),
                _ => Ok(()),
            },
            Err(error) => Err(self.error(error, "delete", key)),
        }
    }

    /// Reads one object as it is now: for kinds that drover may not watch. `None` when it is absent.
    pub async fn look(&self, kind: &Kind, key: &ObjectKey) -> Result<Option<Live>, ApiError> {
        let api = self.api(kind, key.namespace.as_deref());
        let found = api.get_opt(&key.name).await.map_err(|error| self.error(error, "get", key))?;
        Ok(found.map(|object| Live::of(&object)))
    }

    /// The whole of an object as it is now; `None` when it is absent.
    pub async fn read(&self, object: &Object) -> Result<Option<Value>, ApiError> {
        let (kind, key) = (self.kind(object).await?, object.key());
        let found = self.api(&kind, key.namespace.as_deref()).get_opt(&key.name).await;
        let found = found.map_err(|error| self.error(error, "get", &key))?;
        Ok(found.map(|found| serde_json::to_value(found).unwrap_or_default()))
    }

    /// Whether the account may do something in a namespace.
    pub async fn may(
        &self,
        verb: &str,
        group: &str,
        resource: &str,
        subresource: &str,
        namespace: &str,
    ) -> Result<bool, ApiError> {
        let text = |text: &str| Some(text.to_owned());
        let review = SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(ResourceAttributes {
                    verb: text(verb),
                    group: text(group),
                    resource: text(resource),
                    subresource: text(subresource),
                    namespace: text(namespace),
                    ..ResourceAttributes::default()
                }),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        };
        let api: Api<SelfSubjectAccessReview> = Api::all(self.client.clone());
        let key = ObjectKey {
            group: "authorization.k8s.io".into(),
            kind: "SelfSubjectAccessReview".into(),
            namespace: None,
            name: format!("{verb} {resource}/{subresource}"),
        };
        let answer = api.create(&PostParams::default(), &review).await;
        let answer = answer.map_err(|error| self.error(error, "create", &key))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }

    /// The value of an annotation of an object as it is now; `None` when it is absent, or the object is.
    pub async fn annotation(&self, key: &ObjectKey, name: &str) -> Result<Option<String>, ApiError> {
        let ask = |error| self.error(error, "get", key);
        let known = self.shared.kinds.known().await.map_err(ask)?;
        let Some(kind) = known.preferred(&key.group, &key.kind) else { return Ok(None) };
        let found = self.api(kind, key.namespace.as_deref()).get_metadata_opt(&key.name).await.map_err(ask)?;
        Ok(found.and_then(|found| found.metadata.annotations?.remove(name)))
    }

    pub(super) fn api(&self, kind: &Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        match namespace.filter(|_| kind.namespaced) {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &kind.resource),
            None => Api::all_with(self.client.clone(), &kind.resource),
        }
    }
}

/// Refuses an Ingress by which requests of others would arrive that no claim tells of.
fn refuse_unclaimable(ingress: &Object) -> Result<(), ApiError> {
    match unclaimable(&serde_json::Value::Object(ingress.json().clone())) {
        Some(what) => Err(ApiError::Unclaimable { object: ingress.key().to_string(), what }),
        None => Ok(()),
    }
}
