//! Step 2: the objects of a commit, with their namespaces, hashes and stages.

use std::sync::Arc;

use drover_crds::{ANNOTATION_COMMIT, Environment, GROUP, ObjectFailure};
use kube::ResourceExt as _;

use super::failure::{Failure, MendedBy};
use crate::cluster::discovery::Known;
use crate::cluster::{Acting, Cluster};
use crate::git::{self, CommitId, CommitInfo, Repositories, TreeId};
use crate::plan;
use crate::render::{self, Object, SourceFile, Stage};

/// What a commit wants. The objects themselves are kept only as long as they are being applied: at ten thousand apps they
/// would fill the memory, and the copy of the repository has them.
#[derive(Clone, Debug)]
pub(super) struct Desired {
    /// The commit that this was read from.
    commit: CommitId,
    /// Id of the tree at the Environment's path: a commit with the same tree wants the same.
    pub(super) tree: TreeId,
    /// The spec's generation: another namespace or path makes other objects of the same tree.
    generation: Option<i64>,
    /// What the plan needs of each object.
    pub(super) objects: Arc<[plan::Desired]>,
    /// The kinds, as apiVersion and kind.
    pub(super) kinds: Arc<[(String, String)]>,
    /// The objects, in the order of `objects`.
    pub(super) bodies: Option<Arc<[Object]>>,
}

impl Desired {
    /// Whether it was made for the spec as it is now.
    pub(super) fn is_of(&self, environment: &Environment) -> bool {
        self.generation == environment.metadata.generation
    }

    /// The same without the objects.
    pub(super) fn without_objects(&self) -> Self {
        Self { bodies: None, ..self.clone() }
    }
}

/// Reads and renders `commit`, unless `known` is of the same tree.
pub(super) async fn desired(
    cluster: &Cluster,
    repositories: &Repositories,
    acting: &Acting,
    environment: &Environment,
    commit: &CommitInfo,
    known: Option<&Desired>,
) -> Result<Desired, Failure> {
    let known = known.filter(|known| known.is_of(environment));
    if let Some(known) = known.filter(|known| known.commit == commit.id) {
        return Ok(known.clone());
    }
    let (namespace, name) = (environment.namespace().unwrap_or_default(), environment.name_any());
    let path = environment.spec.source.path.as_deref().unwrap_or_default();
    let tree = repositories.read(&namespace, &name, &commit.id, path, known.map(|known| &known.tree)).await;
    let tree = match tree {
        Ok(tree) => tree,
        Err(error) => {
            let of_a_file =
                matches!(error, git::Error::FileTooLarge { .. } | git::Error::TooMuch { .. } | git::Error::Link { .. });
            let message = if of_a_file { not_applied(commit.id.short(), &error) } else { error.to_string() };
            let mended_by = if error.is_terminal() { MendedBy::Commit } else { MendedBy::Time };
            return Err(Failure::new(error.label(), message, mended_by));
        }
    };
    match (tree.files, known) {
        (None, Some(known)) => Ok(Desired { commit: commit.id.clone(), ..known.clone() }),
        (None, None) => unreachable!("a tree is left out only when it is the known one"),
        (Some(files), _) => render(cluster, acting, environment, commit, tree.id, &files).await,
    }
}

async fn render(
    cluster: &Cluster,
    acting: &Acting,
    environment: &Environment,
    commit: &CommitInfo,
    tree: TreeId,
    files: &[SourceFile],
) -> Result<Desired, Failure> {
    let at = commit.id.short();
    let objects = render::render(files, &render::Limits::default()).map_err(|errors| {
        several("RenderFailed", MendedBy::Commit, at, errors.iter().map(|e| (e.origin.to_string(), e.to_string())))
    })?;
    let known = cluster.kinds().known().await.map_err(|error| unavailable(&error))?;
    let namespace = environment.namespace().unwrap_or_default();
    let scoped = match render::scope(objects.clone(), scope_of(&known), &namespace) {
        // A kind that is not known may have been installed a moment ago.
        Err(_) => {
            let known = cluster.kinds().refresh().await.map_err(|error| unavailable(&error))?;
            render::scope(objects, scope_of(&known), &namespace)
        }
        scoped => scoped,
    };
    let mut objects = scoped.map_err(|errors| {
        several("UnknownKind", MendedBy::Person, at, errors.iter().map(|e| (e.origin().to_string(), e.to_string())))
    })?;
    for object in objects.iter_mut().filter(|object| object.group() == GROUP) {
        object.set_annotation(ANNOTATION_COMMIT, commit.id.as_str());
    }
    let wanted = objects
        .iter()
        .map(|object| plan::Desired { key: object.key(), hash: acting.hash(object), stage: Stage::of(object) })
        .collect();
    let mut kinds: Vec<_> = objects.iter().map(|o| (o.api_version().to_owned(), o.kind().to_owned())).collect();
    kinds.sort();
    kinds.dedup();
    Ok(Desired {
        commit: commit.id.clone(),
        tree,
        generation: environment.metadata.generation,
        objects: wanted,
        kinds: kinds.into(),
        bodies: Some(objects.into()),
    })
}

fn scope_of(known: &Known) -> impl Fn(&str, &str) -> Option<bool> {
    |group, kind| known.namespaced(group, kind)
}

/// The API server did not say which kinds it serves.
pub(super) fn unavailable(error: &kube::Error) -> Failure {
    Failure {
        reason: "ApiUnavailable".into(),
        message: format!("the API server did not say which kinds it serves: {error}; drover tries again"),
        mended_by: MendedBy::Time,
        outlook: String::new(),
        failures: Vec::new(),
    }
}

/// One failure that says the first of several things and keeps all.
fn several(reason: &str, mended_by: MendedBy, commit: &str, errors: impl Iterator<Item = (String, String)>) -> Failure {
    let failures: Vec<ObjectFailure> =
        errors.map(|(object, message)| ObjectFailure { object, reason: reason.to_owned(), message }).collect();
    let first = failures.first().map(|f| f.message.clone()).unwrap_or_default();
    let more = failures.len().saturating_sub(1);
    let more = if more == 0 { String::new() } else { format!(" (and {more} more)") };
    let message = not_applied(commit, format_args!("{first}{more}"));
    Failure { reason: reason.to_owned(), message, mended_by, outlook: String::new(), failures }
}

fn not_applied(commit: &str, why: impl std::fmt::Display) -> String {
    format!("Commit {commit} is not applied: {why}")
}
