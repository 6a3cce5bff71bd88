//! What is there under the names of an owner's objects and belongs to others.

use drover_core::plan::owner_of;
use drover_core::render::{Object, ObjectKey};
use drover_core::trouble::{Mend, Trouble};
use drover_core::workload::takeover::waits;
use drover_crds::{LABEL_OWNER, Owner};
use kube::Api;
use kube::core::DynamicObject;

use super::Owned;
use crate::cluster::ApiError;

/// Why the children could not be brought about.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The API server did not take something.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// Objects with the names of children are there, and nobody of whom drover knows owns them.
    #[error(
        "{objects} to {owner}: hand over what is there with `{command}`, and drover takes it over without losing a request, or give the {kind} another name",
        kind = .owner.kind
    )]
    Unowned {
        /// The objects, and that they exist and do not belong.
        objects: String,
        /// Whose it would be.
        owner: Owner,
        /// What hands them over.
        command: String,
    },
    /// A child's name is taken by an object that somebody owns.
    #[error(
        "{object} exists already and belongs to {theirs}, not to {owner}: remove it there, or give the {kind} another name; if that owner is no more, hand it over with `{command}`",
        kind = .owner.kind
    )]
    Foreign {
        /// The object.
        object: String,
        /// Its owner.
        theirs: String,
        /// Whose it would be.
        owner: Owner,
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

impl Owned<'_> {
    /// Refuses to send objects that others have. Those that the index does not know as the owner's are looked at before they are
    /// applied for the first time: server-side apply alone would take over an object whose fields happen not to conflict, and would
    /// delete it with its owner. Of what is handed over and not applied yet, `shows_waiting` says by its kind whether that was known
    /// when the rest was decided.
    ///
    /// # Errors
    /// That something is another's, or was handed over a moment ago.
    pub async fn refuse_foreign(
        &self,
        objects: &[Object],
        shows_waiting: impl Fn(&str) -> bool,
    ) -> Result<(), ApplyError> {
        let &Self { cluster, acting, owner, .. } = self;
        let (label, manager) = (owner.label(), owner.field_manager());
        let seen = |key: &ObjectKey| {
            if shows_waiting(&key.kind) { Ok(()) } else { Err(ApiError::Changed { object: key.to_string() }) }
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
            let api: Api<DynamicObject> = Api::namespaced_with(acting.client(), &owner.key.namespace, &kind.resource);
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
                theirs: owned_by,
                owner: owner.clone(),
                command: hand_over_command(owner, std::slice::from_ref(&key)),
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
        let command = hand_over_command(owner, &unowned);
        Err(ApplyError::Unowned { objects, owner: owner.clone(), command })
    }
}

fn hand_over_command(owner: &Owner, keys: &[ObjectKey]) -> String {
    let names: Vec<String> = keys.iter().map(|key| format!("{}/{}", key.kind.to_lowercase(), key.name)).collect();
    format!(
        "kubectl label --overwrite --namespace {} {} {LABEL_OWNER}={}",
        owner.key.namespace,
        names.join(" "),
        owner.label()
    )
}
