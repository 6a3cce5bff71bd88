//! Whether what a commit waits for is there: the objects that `spec.dependsOn` names, read as the namespace's account. Its Environment is
//! called again when one of them changes.

use std::sync::{Mutex, MutexGuard};

use drover_core::branch::{
    CommitInfo, Waiters, awaited, in_a_circle, own_object, unmet, unreadable, unserved, waiting,
};
use drover_core::plan;
use drover_core::render::ObjectKey;
use drover_core::trouble::Trouble;
use drover_crds::{Dependency, Environment, GROUP, Key, Owner, OwnerKind};
use kube::Api;
use kube::core::DynamicObject;

use crate::cluster::discovery::Kind;
use crate::cluster::{Acting, ApiError, Cluster, Sight};
use crate::settings::{Settings, UNSEEN};
use crate::unpoisoned;

/// What new commits pass.
pub(super) struct Gate {
    cluster: Cluster,
    settings: Settings,
    waiters: Mutex<Waiters>,
}

impl Gate {
    /// Which asks `cluster`, and sees by `settings` when objects change that are none of drover's.
    pub(super) fn new(cluster: Cluster, settings: Settings) -> Self {
        Self { cluster, settings, waiters: Mutex::default() }
    }

    /// Notes what an Environment waits for.
    pub(super) fn note(&self, environment: &Environment) {
        self.waiters().note(environment);
    }

    /// Forgets an Environment that is gone.
    pub(super) fn forget(&self, key: &Key) {
        self.waiters().forget(key);
    }

    /// Holds `commit` back, which wants the objects `own`, as long as something that it waits for is not as it should be.
    pub(super) async fn pass(
        &self,
        acting: &Acting,
        whose: (&Owner, &Environment),
        commit: &CommitInfo,
        own: &[plan::Desired],
    ) -> Result<(), Trouble> {
        let looked = self.look(acting, whose, commit, own).await;
        looked.unwrap_or_else(|error| Err(unreadable(commit, error.into())))
    }

    /// The same, where what it waits for can be looked at.
    async fn look(
        &self,
        acting: &Acting,
        (owner, environment): (&Owner, &Environment),
        commit: &CommitInfo,
        own: &[plan::Desired],
    ) -> Result<Result<(), Trouble>, ApiError> {
        let (mut missing, mut again, mut awaits_environment) = (Vec::new(), None, false);
        for dependency in &environment.spec.depends_on {
            let Some(kind) = self.kind(acting, owner, dependency).await? else {
                again = Some(UNSEEN);
                missing.push(unserved(dependency));
                continue;
            };
            let key = awaited(dependency, &owner.key.namespace, kind.namespaced);
            if own.iter().any(|object| object.key == key) {
                return Ok(Err(own_object(commit, &key)));
            }
            if self.wait(acting, owner, &key, &kind) == Sight::Blind {
                again = Some(UNSEEN);
            }
            let api: Api<DynamicObject> = match &key.namespace {
                Some(namespace) => Api::namespaced_with(acting.client(), namespace, &kind.resource),
                None => Api::all_with(acting.client(), &kind.resource),
            };
            let found = api.get_opt(&key.name).await.map_err(|error| acting.error(error, "get", &key))?;
            let found = found.and_then(|found| serde_json::to_value(found).ok());
            if let Some(why) = unmet(dependency, &key, found.as_ref()) {
                awaits_environment |= OwnerKind::of(&key.group, &key.kind) == Some(OwnerKind::Environment);
                missing.push(why);
            }
        }
        if missing.is_empty() {
            return Ok(Ok(()));
        }
        let circle = if awaits_environment { self.waiters().circle(&owner.key) } else { None };
        let trouble = match circle {
            Some(circle) => {
                // Whichever of them changes may open it.
                for key in &circle {
                    let key = ObjectKey::from(&Owner::of(OwnerKind::Environment, key));
                    self.settings.interest().wait(owner, &key);
                }
                in_a_circle(commit, &circle)
            }
            None => waiting(commit, &missing),
        };
        Ok(Err(Trouble { again, ..trouble }))
    }

    /// The kind as the cluster serves it, asked for again when it is not known: its definition may have just come.
    async fn kind(&self, acting: &Acting, owner: &Owner, dependency: &Dependency) -> Result<Option<Kind>, ApiError> {
        let Dependency { api_version, kind, .. } = dependency;
        let kinds = self.cluster.kinds();
        let failed = |error| acting.error(error, "discover", &ObjectKey::from(owner));
        if let Some(kind) = kinds.known().await.map_err(failed)?.exact(api_version, kind) {
            return Ok(Some(kind.clone()));
        }
        Ok(kinds.refresh().await.map_err(failed)?.exact(api_version, kind).cloned())
    }

    /// Has `owner` called when the object changes, before it is looked at. Of drover's own objects all are seen anyway.
    fn wait(&self, acting: &Acting, owner: &Owner, key: &ObjectKey, kind: &Kind) -> Sight {
        self.settings.interest().wait(owner, key);
        if key.group == GROUP {
            return Sight::Complete;
        }
        self.settings.ensure_any(acting, key.namespace.as_deref(), &kind.resource)
    }

    fn waiters(&self) -> MutexGuard<'_, Waiters> {
        unpoisoned::lock(&self.waiters)
    }
}
