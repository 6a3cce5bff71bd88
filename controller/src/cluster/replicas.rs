//! Whose the number of replicas is: git's, a queue's or an autoscaler's. It never passes through the API's default of 1 on its way from
//! one to the other.

use drover_core::render::{Object, ObjectKey};
use drover_crds::{Owner, REPLICAS_MANAGER};
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use super::apply::Acting;
use super::autoscalers::{AUTOSCALER, target};
use super::discovery::Kind;
use super::error::ApiError;
use super::refusal::{Refusal, is_conflict, refusal};

impl Acting {
    /// Whether an autoscaler scales the object of that key, which is `owner`'s.
    ///
    /// # Errors
    /// That it is not known: autoscalers are being listed for the first time, or drover may not watch them, and the API server did
    /// not answer the account.
    pub async fn autoscaled(&self, owner: &Owner, key: &ObjectKey) -> Result<bool, ApiError> {
        let ask = |error| self.error(error, "list", key);
        let Some(namespace) = &key.namespace else { return Ok(false) };
        let known = self.shared.kinds.known().await.map_err(ask)?;
        let Some(kind) = known.preferred(AUTOSCALER.0, AUTOSCALER.1) else { return Ok(false) };
        if self.sees(owner, kind, key)? {
            return Ok(self.shared.autoscalers.scales(key));
        }
        match self.api(kind, Some(namespace)).list(&ListParams::default()).await {
            Ok(list) => Ok(list.items.iter().any(|autoscaler| target(autoscaler).as_ref() == Some(key))),
            // Whom nobody tells of autoscalers does not leave anything to them.
            Err(error) if refusal(&error) == Some(Refusal::Forbidden) => Ok(false),
            Err(error) => Err(ask(error)),
        }
    }

    /// Has so many pods of the Deployment of that key run. The number is that of a field manager of its own, as if it had been handed over.
    pub async fn scale(&self, key: &ObjectKey, replicas: i32) -> Result<(), ApiError> {
        let namespace = key.namespace.as_deref().unwrap_or_default();
        let api: Api<Deployment> = Api::namespaced(self.client(), namespace);
        let params = PatchParams { field_manager: Some(REPLICAS_MANAGER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let scaled = api.patch_scale(&key.name, &params, &patch).await;
        scaled.map(drop).map_err(|error| self.error(error, "patch", key))
    }

    /// Takes the number of replicas out of what is to be sent, where an autoscaler has it. Tells whether one does.
    ///
    /// A new object begins with the number that git says. 0 switches off, which autoscalers respect; back on, it begins with
    /// git's number again.
    pub(super) async fn leave_replicas(
        &self,
        owner: &Owner,
        kind: &Kind,
        object: &mut Object,
    ) -> Result<bool, ApiError> {
        let key = object.key();
        let live = self.shared.index.live(&key);
        let holds = live.as_ref().is_some_and(|live| live.owner == owner.label() && live.holds_replicas());
        let wanted = object.replicas();
        let autoscaled = wanted.is_some() && self.autoscaled(owner, &key).await?;
        let is_left = match wanted {
            None => holds,
            Some(wanted) => autoscaled && wanted > 0,
        };
        if !is_left || (holds && !self.hand_over(kind, object, wanted.is_some()).await?) {
            return Ok(autoscaled);
        }
        // An object that the index does not know can be there all the same.
        if wanted.is_some() && (live.is_some() || self.look(kind, &key).await?.is_some()) {
            object.remove_replicas();
        }
        Ok(autoscaled)
    }

    /// Gives the number of replicas, as it is now, to a field manager of its own, so that it stays when ours lets go of it. `false`
    /// when it stays ours: with `unless_off` that of an object that is switched off.
    async fn hand_over(&self, kind: &Kind, object: &Object, unless_off: bool) -> Result<bool, ApiError> {
        let key = object.key();
        let api = self.api(kind, key.namespace.as_deref());
        let found = api.get_opt(&key.name).await.map_err(|error| self.error(error, "get", &key))?;
        let now = found.as_ref().and_then(|found| found.data.get("spec")?.get("replicas")?.as_i64());
        let (Some(found), Some(now)) = (found, now) else { return Ok(true) };
        if unless_off && now == 0 {
            return Ok(false);
        }
        let number = json!({
            "apiVersion": object.api_version(), "kind": object.kind(),
            "metadata": {"name": key.name, "namespace": key.namespace, "uid": found.metadata.uid},
            "spec": {"replicas": now},
        });
        match api.patch(&key.name, &PatchParams::apply(REPLICAS_MANAGER), &Patch::Apply(&number)).await {
            Ok(_) => Ok(true),
            // Another has changed it meanwhile, and so has it now; or the object is another by now.
            Err(error) if is_conflict(&error) => Ok(true),
            Err(error) => Err(self.error(error, "patch", &key)),
        }
    }
}

#[cfg(test)]
mod tests;
