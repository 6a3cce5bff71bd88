//! Wars over objects, for all owners together: when drift is left for a while, and who is on the other side.

use std::sync::MutexGuard;
use std::time::Duration;

use drover_core::plan::{Contested, Contests, Rival};
use drover_core::render::{Object, ObjectKey};
use drover_crds::{ANNOTATION_APPLIED, LABEL_OWNER, ObjectFailure, Owner};
use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;

use super::apply::Acting;
use super::error::ApiError;
use crate::clock;
use crate::unpoisoned;

/// Who is named where nobody is known.
const SOMEBODY: &str = "somebody";

impl Acting {
    /// Whether the drift of that object is left for the moment, because somebody changed it again each time it was put back.
    pub fn is_paused(&self, key: &ObjectKey) -> bool {
        self.contests().is_paused(key, clock::now())
    }

    /// Drift of that object was put back.
    pub fn put_back(&self, key: &ObjectKey) {
        self.contests().put_back(key, clock::now());
    }

    /// That object is wanted otherwise now than when somebody changed it.
    pub fn wanted_otherwise(&self, key: &ObjectKey) {
        self.contests().forget(key);
    }

    /// Whether it is known who changes that object, whose drift is left.
    pub fn knows_rival(&self, key: &ObjectKey) -> bool {
        self.contests().rival(key, clock::now()).is_some()
    }

    /// Finds out who changes what drover puts back of `object`. Why that is not possible goes to the log, and then it is somebody.
    pub async fn find_rival(&self, owner: &Owner, object: &Object) {
        let (key, manager) = (object.key(), owner.field_manager());
        let rival = self.rival_of(owner, object).await.unwrap_or_else(|error| {
            tracing::warn!(object = %key, %error, "cannot find out who changes it again and again");
            Rival::Removes { by: SOMEBODY.to_owned() }
        });
        tracing::warn!("{}", Contested { key: &key, manager: &manager, rival: &rival });
        self.contests().name(&key, rival);
    }

    async fn rival_of(&self, owner: &Owner, object: &Object) -> Result<Rival, ApiError> {
        let kind = self.kind(object).await?;
        let key = object.key();
        if self.look(&kind, &key).await?.is_none() {
            return Ok(Rival::Deletes);
        }
        let mut sent = object.clone();
        sent.set_label(LABEL_OWNER, &owner.label());
        sent.set_annotation(ANNOTATION_APPLIED, &self.hash(object));
        if sent.replicas().is_some() && self.autoscaled(owner, &key).await? {
            sent.remove_replicas();
        }
        // Without force the API server names the fields and who holds them; nothing is written.
        let manager = owner.field_manager();
        let params = PatchParams { field_manager: Some(manager.clone()), dry_run: true, ..PatchParams::default() };
        let answer =
            self.api(&kind, key.namespace.as_deref()).patch(&key.name, &params, &Patch::Apply(sent.json())).await;
        match answer.map_err(|error| self.error(error, "patch", &key)) {
            Ok(answer) => Ok(Rival::Removes { by: last_writer(&answer, &manager) }),
            Err(ApiError::Conflict { by, fields, .. }) => Ok(Rival::Sets { by, fields }),
            Err(error) => Err(error),
        }
    }

    /// The wars over these objects of `owner`, and when to look again.
    pub fn wars<'a>(
        &self,
        owner: &Owner,
        keys: impl Iterator<Item = &'a ObjectKey>,
    ) -> (Vec<ObjectFailure>, Option<Duration>) {
        let contests = self.contests();
        if contests.is_empty() {
            return (Vec::new(), None);
        }
        let (manager, now) = (owner.field_manager(), clock::now());
        let mut again: Option<Duration> = None;
        let mut told = Vec::new();
        for key in keys {
            if let Some((rival, when)) = contests.rival(key, now) {
                let message = Contested { key, manager: &manager, rival }.to_string();
                told.push(ObjectFailure { object: key.to_string(), reason: Contested::REASON.to_owned(), message });
                again = Some(again.map_or(when, |again| again.min(when)));
            }
        }
        (told, again)
    }

    fn contests(&self) -> MutexGuard<'_, Contests> {
        unpoisoned::lock(&self.shared.contests)
    }
}

/// The field manager other than `ours` that wrote last.
fn last_writer(object: &DynamicObject, ours: &str) -> String {
    let entries = object.metadata.managed_fields.iter().flatten();
    let others = entries.filter(|entry| entry.subresource.is_none() && entry.manager.as_deref() != Some(ours));
    let last = others.max_by_key(|entry| entry.time.as_ref().map(|time| time.0));
    last.and_then(|entry| entry.manager.clone()).unwrap_or_else(|| SOMEBODY.to_owned())
}
