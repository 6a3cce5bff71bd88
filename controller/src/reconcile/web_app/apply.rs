//! Step 4, I/O: what was decided is sent. Everything here can be repeated.

use std::collections::BTreeSet;

use drover_core::plan::Plan;
use drover_core::render::{Object, ObjectKey};
use drover_core::workload::takeover::{Found, Phase, handed_over, waits};
use drover_core::workload::validate::ValidatedWebApp;
use drover_core::workload::{App, build};
use drover_crds::Owner;
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::Deployment;

use crate::cluster::Acting;
use crate::owned::{ApplyError, Carried, Owned, Parent};
use crate::rollout::key;

/// How far the app is with what decides whether a child may be sent.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// With taking over what others made.
    pub phase: Phase,
    /// Whether the release has proven itself. Until then what runs by a schedule stays that of the release before.
    pub proven: bool,
    /// With the front.
    pub front: Standing,
}

/// How far a front is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The app has none.
    Absent,
    /// It is not known yet where it leads.
    Waits,
    /// It does not serve yet as it is told now.
    Starts,
    /// It serves.
    Serves,
}

impl Due {
    /// Whether an object has to wait until pods and proxies are ready for it.
    fn holds(self, app: &App, object: &Object) -> bool {
        match object.kind() {
            // Nobody is led to a front that does not serve.
            "Ingress" => self.phase != Phase::Done || matches!(self.front, Standing::Waits | Standing::Starts),
            "ConfigMap" | "Deployment" => self.front == Standing::Waits && object.name() == app.front_name(),
            "Service" => self.phase == Phase::Beside,
            "CronJob" => !self.proven,
            _ => false,
        }
    }
}

/// Applies the children of `app`, and deletes those that it no longer has. None is sent before the API server was asked about all of
/// them, and all of them were written down. Some wait until they are `due`.
pub async fn apply(parent: Parent<'_>, app: &ValidatedWebApp, found: &Found, due: Due) -> Result<Carried, ApplyError> {
    send(parent, &app.pods.app, build::build(app), copies_left_alone(app).collect(), found, due).await
}

/// Applies what the pods of jobs of `new` need in the same way, and beside it the children of `serving`, where something serves; where
/// nothing does, the rest is left alone.
pub async fn prepare(
    parent: Parent<'_>,
    new: &ValidatedWebApp,
    serving: Option<&ValidatedWebApp>,
    found: &Found,
    due: Due,
) -> Result<Carried, ApplyError> {
    let mut objects = build::needed_by_jobs(new);
    let needed: BTreeSet<ObjectKey> = objects.iter().map(Object::key).collect();
    let mut left_alone: BTreeSet<ObjectKey> = copies_left_alone(new).collect();
    match serving {
        Some(app) => {
            objects.extend(build::build(app).into_iter().filter(|object| !needed.contains(&object.key())));
            left_alone.extend(copies_left_alone(app));
        }
        None => {
            let record = parent.owned.inventories.confirmed(parent.owned.owner).await?.unwrap_or_default();
            left_alone.extend(record.entries.iter().map(|entry| entry.key.clone()));
        }
    }
    left_alone.retain(|key| objects.iter().all(|object| object.key() != *key));
    send(parent, &new.pods.app, objects, left_alone, found, due).await
}

/// The copies that stay as they are, because pods of other releases read them.
fn copies_left_alone(app: &ValidatedWebApp) -> impl Iterator<Item = ObjectKey> {
    app.pods.left_alone.iter().map(|name| key("", "ConfigMap", &app.pods.app.namespace, name))
}

async fn send(
    parent: Parent<'_>,
    own: &App,
    mut objects: Vec<Object>,
    left_alone: BTreeSet<ObjectKey>,
    found: &Found,
    due: Due,
) -> Result<Carried, ApplyError> {
    let Owned { acting, owner, .. } = parent.owned;
    parent.mark(&mut objects);
    // What is handed over while this runs was not looked at by the plan, and is refused after it.
    let intent = parent.plan(&objects, &left_alone).await?;
    let (label, manager) = (owner.label(), owner.field_manager());
    // The person who hands over does it while this runs: what was decided before must have seen it.
    parent.owned.refuse_foreign(&objects, |kind| found.shows_waiting(kind, &label, &manager)).await?;
    let handed = found.deployment.as_ref().filter(|d| waits(&d.metadata, &owner.label(), &owner.field_manager()));
    rehearse(acting, owner, &intent.plan, &objects, handed, |object| due.holds(own, object)).await?;
    parent.write_ahead(&intent).await?;
    let is_own = |object: &&Object| object.kind() == "Deployment" && object.name() == own.object_name();
    if let Some((live, object)) = handed.zip(objects.iter().find(is_own)) {
        let entries = live.metadata.managed_fields.as_deref().unwrap_or_default();
        acting.set_managers(object, &live.metadata, &handed_over(entries, &owner.field_manager())).await?;
    }
    objects.retain(|object| !due.holds(own, object));
    Ok(parent.carry_out(&intent, &objects).await?)
}

/// Asks the API server whether it would take all objects that are to be sent, so that not half of them are. One alone is asked for
/// by sending it.
async fn rehearse(
    acting: &Acting,
    owner: &Owner,
    plan: &Plan,
    objects: &[Object],
    handed: Option<&Deployment>,
    waits: impl Fn(&Object) -> bool,
) -> Result<(), ApplyError> {
    let changed: BTreeSet<&ObjectKey> = plan.applies().map(|step| &step.key).collect();
    let changed: Vec<&Object> = objects.iter().filter(|object| changed.contains(&object.key())).collect();
    if (changed.len() < 2 && handed.is_none()) || changed.iter().all(|object| waits(object)) {
        return Ok(());
    }
    let rehearsals = changed.into_iter().map(async |object| match (object.kind(), handed) {
        ("Deployment", Some(live)) if live.metadata.name.as_deref() == Some(object.name()) => {
            let live = serde_json::to_value(&live.spec).unwrap_or_default();
            acting.rehearse_in_place(object, &live).await
        }
        ("Ingress", _) => {
            acting.refuse_taken_route(owner, object).await?;
            acting.rehearse(owner, object).await
        }
        _ => acting.rehearse(owner, object).await,
    });
    try_join_all(rehearsals).await?;
    Ok(())
}

/// Refuses routes that others have, before anything of the release is applied.
pub async fn refuse_taken_routes(acting: &Acting, owner: &Owner, app: &ValidatedWebApp) -> Result<(), ApplyError> {
    for ingress in build::children(app).ingress {
        acting.refuse_taken_route(owner, &ingress).await?;
    }
    Ok(())
}
