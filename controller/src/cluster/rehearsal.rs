//! Asking the API server what it would say to a write, without the write; and taking over who manages an object.

use drover_core::render::Object;
use drover_crds::{ANNOTATION_APPLIED, LABEL_OWNER, Owner};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::apply::Acting;
use super::error::ApiError;

/// What the API server says where an admission webhook cannot rehearse: the write itself may well be taken.
const NO_REHEARSAL: &str = "does not support dry run";

impl Acting {
    /// Asks whether the object would be taken, if it were applied by its owner with force. What an admission webhook cannot
    /// rehearse counts as taken.
    pub async fn rehearse(&self, owner: &Owner, object: &Object) -> Result<(), ApiError> {
        let mut sent = object.clone();
        sent.set_label(LABEL_OWNER, &owner.label());
        sent.set_annotation(ANNOTATION_APPLIED, &self.hash(object));
        let manager = Some(owner.field_manager());
        let params = PatchParams { field_manager: manager, force: true, dry_run: true, ..PatchParams::default() };
        self.ask(object, &params, &Patch::Apply(sent.json())).await
    }

    /// The same for an object that is handed over, with `live` for its present spec, of which nothing will stay.
    pub async fn rehearse_in_place(&self, object: &Object, live: &Value) -> Result<(), ApiError> {
        let spec = replacing(live, object.json().get("spec").unwrap_or(&Value::Null));
        let params = PatchParams { dry_run: true, ..PatchParams::default() };
        self.ask(object, &params, &Patch::Merge(json!({"spec": spec}))).await
    }

    async fn ask<P: serde::Serialize + std::fmt::Debug>(
        &self,
        object: &Object,
        params: &PatchParams,
        patch: &Patch<P>,
    ) -> Result<(), ApiError> {
        let kind = self.kind(object).await?;
        let key = object.key();
        let _slot = self.shared.slots.acquire().await.ok();
        match self.api(&kind, key.namespace.as_deref()).patch(&key.name, params, patch).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.message.contains(NO_REHEARSAL) => Ok(()),
            Err(error) => Err(self.error(error, "patch", &key)),
        }
    }

    /// Says who manages which fields of a live object from now on, and changes nothing else of it; `live` is how it was read.
    pub async fn set_managers(
        &self,
        object: &Object,
        live: &ObjectMeta,
        managers: &[ManagedFieldsEntry],
    ) -> Result<(), ApiError> {
        let kind = self.kind(object).await?;
        let key = object.key();
        // With the version that was read: whoever changed it since is not overruled by what was true before.
        let patch = json!({"metadata": {
            "uid": live.uid, "resourceVersion": live.resource_version, "managedFields": managers,
        }});
        let api = self.api(&kind, key.namespace.as_deref());
        let answer = api.patch(&key.name, &PatchParams::default(), &Patch::Merge(patch)).await;
        answer.map(drop).map_err(|error| self.error(error, "patch", &key))
    }
}

/// The merge patch that makes `wanted` of `live`.
fn replacing(live: &Value, wanted: &Value) -> Value {
    let (Some(before), Some(after)) = (live.as_object(), wanted.as_object()) else { return wanted.clone() };
    let gone = before.keys().filter(|key| !after.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let stays =
        after.iter().map(|(key, value)| (key.clone(), replacing(before.get(key).unwrap_or(&Value::Null), value)));
    gone.chain(stays).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_wanted_goes() {
        let live = json!({"strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}}, "containers": [{"name": "a"}], "paused": true});
        let wanted = json!({"strategy": {"type": "Recreate"}, "containers": [{"name": "b"}], "replicas": 1});
        assert_eq!(
            replacing(&live, &wanted),
            json!({"strategy": {"type": "Recreate", "rollingUpdate": null}, "containers": [{"name": "b"}], "replicas": 1, "paused": null})
        );
    }
}
