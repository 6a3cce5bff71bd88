//! Step 4, I/O: what was decided is sent. Everything here can be repeated.

use std::collections::BTreeSet;

use drover_core::plan::{Plan, owner_of};
use drover_core::render::{Object, ObjectKey};
use drover_core::trouble::{Mend, Trouble};
use drover_core::workload::takeover::{Found, Phase, handed_over, waits};
use drover_core::workload::validate::ValidatedWebApp;
use drover_core::workload::{App, build};
use drover_crds::{ANNOTATION_DEFINITION, LABEL_OWNER, Owner};
use futures::future::try_join_all;
use k8s_openapi::api::apps::v1::Deployment;
use kube::Api;
use kube::core::DynamicObject;

use crate::cluster::{Acting, ApiError};
use crate::owned::{Carried, Owned, Parent};

/// Why the children could not be brought about.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server did not take something.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Objects with the names of children are there, and nobody of whom drover knows owns them.
    #[error(
        "{objects} to WebApp {app}: hand over what is there with `{command}`, and drover takes it over without losing a request, or give the WebApp another name"
    )]
    Unowned {
        /// The objects, and that they exist and do not belong.
        objects: String,
        /// The WebApp.
        app: String,
        /// What hands them over.
        command: String,
    },
    /// A child's name is taken by an object that somebody owns.
    #[error(
        "{object} exists already and belongs to {owner}, not to WebApp {app}: remove it there, or give the WebApp another name; if that owner is no more, hand it over with `{command}`"
    )]
    Foreign {
        /// The object.
        object: String,
        /// Its owner.
        owner: String,
        /// The WebApp.
        app: String,
        /// What hands it over.
        command: String,
    },
}

impl ApplyError {
    /// Whether trying again cannot help before a person changes something.
    pub fn is_terminal(&self) -> bool {
        match self {
            Self::Api(error) => error.is_terminal(),
            Self::Unowned { .. } | Self::Foreign { .. } => true,
        }
    }

    /// One word for conditions.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Api(error) => error.label(),
            Self::Unowned { .. } | Self::Foreign { .. } => "OwnedByAnother",
        }
    }
}

impl From<ApplyError> for Trouble {
    fn from(error: ApplyError) -> Self {
        let mended_by = if error.is_terminal() { Mend::Person } else { Mend::Time };
        Self::new(error.label(), error.to_string(), mended_by)
    }
}

/// How far the app is with what decides whether a child may be sent.
#[derive(Clone, Copy, Debug)]
pub struct Due {
    /// With taking over what others made.
    pub phase: Phase,
    /// Whether the release has proven itself. Until then what runs by a schedule stays that of the release before.
    pub proven: bool,
}

impl Due {
    /// Whether an object has to wait until pods and proxies are ready for it.
    fn holds(self, object: &Object) -> bool {
        match object.kind() {
            "Ingress" => self.phase != Phase::Done,
            "Service" => self.phase == Phase::Beside,
            "CronJob" => !self.proven,
            _ => false,
        }
    }
}

/// Applies the children of `app`, and deletes those that it no longer has. None is sent before the API server was asked about all of
/// them, and all of them were written down. Some wait until they are `due`.
pub async fn apply(parent: Parent<'_>, app: &ValidatedWebApp, found: &Found, due: Due) -> Result<Carried, ApplyError> {
    let Owned { acting, owner, .. } = parent.owned;
    let mut objects = build::build(app);
    for object in &mut objects {
        object.set_annotation(ANNOTATION_DEFINITION, parent.definition);
    }
    // What is handed over while this runs was not looked at by the plan, and is refused after it.
    let plan = parent.plan(&objects).await?;
    refuse_foreign(&parent.owned, &app.pods.app, &objects, found).await?;
    let handed = found.deployment.as_ref().filter(|d| waits(&d.metadata, &owner.label(), &owner.field_manager()));
    rehearse(acting, owner, &plan, &objects, handed, due).await?;
    parent.write_ahead(&plan).await?;
    if let Some((live, object)) = handed.zip(objects.iter().find(|object| object.kind() == "Deployment")) {
        let entries = live.metadata.managed_fields.as_deref().unwrap_or_default();
        acting.set_managers(object, &live.metadata, &handed_over(entries, &owner.field_manager())).await?;
    }
    objects.retain(|object| !due.holds(object));
    Ok(parent.carry_out(&plan, &objects).await?)
}

/// Asks the API server whether it would take all objects that are to be sent, so that not half of them are. One alone is asked for
/// by sending it.
async fn rehearse(
    acting: &Acting,
    owner: &Owner,
    plan: &Plan,
    objects: &[Object],
    handed: Option<&Deployment>,
    due: Due,
) -> Result<(), ApplyError> {
    let changed: BTreeSet<&ObjectKey> = plan.applies().map(|step| &step.key).collect();
    let changed: Vec<&Object> = objects.iter().filter(|object| changed.contains(&object.key())).collect();
    if (changed.len() < 2 && handed.is_none()) || changed.iter().all(|object| due.holds(object)) {
        return Ok(());
    }
    let rehearsals = changed.into_iter().map(async |object| match (object.kind(), handed) {
        ("Deployment", Some(live)) => {
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

/// Children that the index does not know as ours are looked at before they are applied for the first time: server-side apply alone
/// would take over an object whose fields happen not to conflict, and would delete it with the WebApp.
async fn refuse_foreign(owned: &Owned<'_>, app: &App, objects: &[Object], before: &Found) -> Result<(), ApplyError> {
    let &Owned { cluster, acting, owner, .. } = owned;
    let (label, manager) = (owner.label(), owner.field_manager());
    // The person who hands over does it while this runs: what was decided before must have seen it.
    let seen = |key: &ObjectKey| {
        let shown = before.shows_waiting(&key.kind, &label, &manager);
        if shown { Ok(()) } else { Err(ApiError::Changed { object: key.to_string() }) }
    };
    let mut unowned = Vec::new();
    for object in objects {
        let key = object.key();
        if let Some(live) = cluster.index().live(&key).filter(|live| live.owner == label) {
            if live.fields == 0 {
                seen(&key)?;
            }
            continue;
        }
        let kind = acting.kind(object).await?;
        let api: Api<DynamicObject> = Api::namespaced_with(acting.client(), &app.namespace, &kind.resource);
        let found = api.get_metadata_opt(&key.name).await.map_err(|e| acting.error(e, "get", &key))?;
        let Some(found) = found else { continue };
        let theirs = found.metadata.labels.as_ref().and_then(|l| l.get(LABEL_OWNER)).cloned();
        let controller = found.metadata.owner_references.iter().flatten().find(|o| o.controller == Some(true));
        let owned_by = match (controller, theirs) {
            (Some(controller), _) => format!("{} {}", controller.kind, controller.name),
            // A child that is left from a deleted WebApp of this name passes to this one.
            (None, Some(theirs)) if theirs == label => {
                if waits(&found.metadata, &label, &manager) {
                    seen(&key)?;
                }
                continue;
            }
            (None, Some(theirs)) => owner_of(&theirs),
            (None, None) => {
                unowned.push(key);
                continue;
            }
        };
        return Err(ApplyError::Foreign {
            object: key.to_string(),
            owner: owned_by,
            app: format!("{}/{}", app.namespace, app.name),
            command: hand_over_command(app, std::slice::from_ref(&key), &label),
        });
    }
    if unowned.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = unowned.iter().map(ToString::to_string).collect();
    let objects = match names.split_last() {
        Some((last, [])) => format!("{last} exists already and does not belong"),
        Some((last, others)) => format!("{} and {last} exist already and do not belong", others.join(", ")),
        None => String::new(),
    };
    let command = hand_over_command(app, &unowned, &label);
    Err(ApplyError::Unowned { objects, app: format!("{}/{}", app.namespace, app.name), command })
}

fn hand_over_command(app: &App, keys: &[ObjectKey], label: &str) -> String {
    let names: Vec<String> = keys.iter().map(|key| format!("{}/{}", key.kind.to_lowercase(), key.name)).collect();
    format!("kubectl label --overwrite --namespace {} {} {LABEL_OWNER}={label}", app.namespace, names.join(" "))
}
