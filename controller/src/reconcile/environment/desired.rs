//! Step 2: the objects of a commit, with their namespaces, hashes and stages.
//!
//! What people write into a repository decides how much memory its objects take. So that no one's repository takes what
//! the others need, only [`LARGE_AT_ONCE`] large trees have their objects in memory at a time; small ones never wait for that.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use drover_core::branch::{Brought, CommitId, CommitInfo, Keys, Secrets, TreeId, hide_in, not_applied, several};
use drover_core::plan::{self, Occasion};
use drover_core::render::{self, Object, ObjectKey, Opened, SourceFile, Sources, Stage, render_with};
use drover_core::trouble::{Mend, Trouble};
use drover_crds::{ANNOTATION_COMMIT, Environment, GROUP, Key, Owner, OwnerKind};
use futures::future::try_join_all;
use kube::ResourceExt as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::block_in_place;
use tokio::time::Instant;

use crate::cluster::discovery::Known;
use crate::cluster::{Acting, Cluster};
use crate::driver::Turns;
use crate::git::{self, Repositories};
use crate::tools::Sops;

/// Bytes of manifests from which on a tree is large. What it takes in memory is bounded by [`render::Limits::values`] alone: a
/// mapping of three bytes takes half a kilobyte while it is read.
const LARGE: usize = 64 << 10;
/// Large trees whose objects are in memory at once.
const LARGE_AT_ONCE: usize = 2;
/// Files that are read one by one, where these alone hold what is to be sent.
const FEW: usize = 8;

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
    /// The variables that other objects brought.
    pub(super) brought: Arc<Brought>,
    /// What its encrypted files were decrypted with.
    pub(super) keys: Option<Arc<Keys>>,
    /// What was encrypted in them, which no sentence may hold.
    pub(super) decrypted: Secrets,
    /// What the plan needs of each object.
    pub(super) objects: Arc<[plan::Desired]>,
    /// The kinds, as apiVersion and kind.
    pub(super) kinds: Arc<[(String, String)]>,
    /// Where the objects were read.
    sources: Arc<Sources>,
    /// The objects for which it says how many replicas there are.
    pub(super) counted: Arc<HashSet<ObjectKey>>,
    /// The objects themselves, in the order of `objects`.
    pub(super) bodies: Option<Arc<Bodies>>,
}

/// Objects in memory, and the place that a large tree takes for as long as they are.
#[derive(Debug)]
pub(super) struct Bodies {
    objects: Vec<Object>,
    _place: Option<OwnedSemaphorePermit>,
}

impl Bodies {
    /// Each by its key.
    pub(super) fn by_key(&self) -> HashMap<ObjectKey, &Object> {
        self.objects.iter().map(|object| (object.key(), object)).collect()
    }
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

/// Whose commit is asked for, and why.
#[derive(Clone, Copy)]
pub(super) struct Wish<'a> {
    pub(super) acting: &'a Acting,
    pub(super) environment: &'a Environment,
    pub(super) brought: &'a Arc<Brought>,
    pub(super) keys: Option<&'a Arc<Keys>>,
    pub(super) key: &'a Key,
    pub(super) commit: &'a CommitInfo,
    /// A commit that is still to be applied is asked whether all of it can be. Of one that was, the rest goes on being looked
    /// after when a kind disappears.
    pub(super) occasion: Occasion,
}

/// Reads and renders commits.
pub(super) struct Renderer {
    cluster: Cluster,
    repositories: Repositories,
    sops: Sops,
    turns: Turns,
}

impl Renderer {
    /// With no objects in memory.
    pub(super) fn new(cluster: Cluster, repositories: Repositories, sops: Sops) -> Self {
        Self { cluster, repositories, sops, turns: Turns::new(LARGE_AT_ONCE) }
    }

    /// Forgets an Environment that is gone.
    pub(super) fn forget(&self, key: &Key) {
        self.turns.forget(key);
    }

    /// What the commit wants: `known` where that is of the same tree, which then has no bodies.
    ///
    /// # Errors
    ///
    /// Besides what is wrong with the commit, that it is not this Environment's turn.
    pub(super) async fn desired(&self, wish: Wish<'_>, known: Option<&Desired>) -> Result<Desired, Trouble> {
        let Wish { environment, brought, keys, key, commit, .. } = wish;
        let with_the_same = |known: &&Desired| {
            let same_keys = match (&known.keys, keys) {
                (Some(known), Some(keys)) => known.age() == keys.age(),
                (known, keys) => known.is_none() && keys.is_none(),
            };
            known.brought.hash == brought.hash && same_keys
        };
        let known = known.filter(|known| known.is_of(environment)).filter(with_the_same);
        if let Some(known) = known.filter(|known| known.commit == commit.id) {
            return Ok(known.without_objects());
        }
        // Who was told to wait has the place first, and reads then: all others would read in vain.
        let waits = self.turns.waits(key, &commit.id);
        let place = if waits { Some(self.place(key, commit)?) } else { None };
        let path = environment.spec.source.path.as_deref().unwrap_or_default();
        let owner = Owner::of(OwnerKind::Environment, key);
        let tree = self.repositories.read(&owner, &commit.id, path, known.map(|known| &known.tree)).await;
        let tree = match tree {
            Ok(tree) => tree,
            Err(error) => {
                let of_a_file = matches!(error, git::Error::Unreadable(_) | git::Error::OutOfMemory);
                let message = if of_a_file { not_applied(commit.id.short(), &error) } else { error.to_string() };
                let mended_by = if error.is_terminal() { Mend::Spec } else { Mend::Time };
                return Err(Trouble::new(error.label(), message, mended_by));
            }
        };
        match (tree.files, known) {
            (None, Some(known)) => Ok(Desired { commit: commit.id.clone(), ..known.without_objects() }),
            (None, None) => unreachable!("a tree is left out only when it is the known one"),
            (Some(files), _) => {
                let is_large = bytes(&files) >= LARGE;
                let place = match place {
                    None if is_large => Some(self.place(key, commit)?),
                    place => place,
                };
                self.render(wish, tree.id, files, place).await
            }
        }
    }

    /// Those of the objects that are `known` which are to be `sent`, read of their files alone: drift of one in thousands costs what that one
    /// costs. `None` where they cannot be had so; what is the matter then is said to who reads all.
    pub(super) async fn some(&self, wish: Wish<'_>, known: &Desired, sent: &HashSet<&ObjectKey>) -> Option<Bodies> {
        let places = known.objects.iter().enumerate().filter(|(_, object)| sent.contains(&object.key));
        let files = known.sources.files_of(places.map(|(place, _)| place))?;
        if files.len() > FEW {
            return None;
        }
        let owner = Owner::of(OwnerKind::Environment, wish.key);
        let reads = files.into_iter().map(|file| self.repositories.read(&owner, &wish.commit.id, file, None));
        let trees = try_join_all(reads).await.ok()?;
        let files: Vec<SourceFile> = trees.into_iter().flat_map(|tree| tree.files.unwrap_or_default()).collect();
        if bytes(&files) >= LARGE {
            return None;
        }
        let read =
            self.render(Wish { occasion: Occasion::Watch, ..wish }, known.tree.clone(), files, None).await.ok()?;
        let hashes: HashMap<_, _> = read.objects.iter().map(|object| (&object.key, &object.hash)).collect();
        let wanted = known.objects.iter().filter(|object| sent.contains(&object.key));
        let are_same = wanted.clone().all(|object| hashes.get(&object.key) == Some(&&object.hash));
        if !are_same || wanted.count() != sent.len() {
            return None;
        }
        let mut bodies = Arc::into_inner(read.bodies?)?;
        bodies.objects.retain(|object| sent.contains(&object.key()));
        Some(bodies)
    }

    async fn render(
        &self,
        wish: Wish<'_>,
        tree: TreeId,
        files: Vec<SourceFile>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Desired, Trouble> {
        let at = wish.commit.id.short();
        let opened = match wish.keys {
            Some(keys) => {
                let opened = self.sops.open(&files, keys.age(), &render::Limits::default()).await;
                Some(opened.map_err(|unopened| unopened.trouble(at))?)
            }
            None => None,
        };
        let secrets = opened.as_ref().map(Opened::secrets).unwrap_or_default();
        self.read(wish, tree, files, opened.as_ref(), place).await.map_err(|mut trouble| {
            hide_in(secrets, &mut trouble);
            trouble
        })
    }

    /// Reads files as objects, with what was encrypted of them.
    async fn read(
        &self,
        wish: Wish<'_>,
        tree: TreeId,
        files: Vec<SourceFile>,
        opened: Option<&Opened>,
        place: Option<OwnedSemaphorePermit>,
    ) -> Result<Desired, Trouble> {
        let Wish { acting, environment, brought, keys, commit, occasion, .. } = wish;
        let at = commit.id.short();
        // The largest tree takes seconds, in which this thread serves nobody else.
        let variables = brought.variables(environment);
        let rendered = block_in_place(|| render_with(&files, &render::Limits::default(), variables.as_ref(), opened));
        let mut objects = rendered.map_err(|errors| {
            several("RenderFailed", Mend::Spec, at, errors.iter().map(|e| (e.origin.to_string(), e.to_string())))
        })?;
        drop(files);
        let kinds = self.cluster.kinds();
        let known = kinds.known().await.map_err(|error| unavailable(&error))?;
        let namespace = environment.namespace().unwrap_or_default();
        let settled = match settle(&mut objects, &known, &namespace, occasion) {
            // A kind that is not known may have been installed a moment ago.
            Err(_) => {
                let known = kinds.refresh().await.map_err(|error| unavailable(&error))?;
                settle(&mut objects, &known, &namespace, occasion)
            }
            settled => settled,
        };
        settled.map_err(|errors| several("UnknownKind", Mend::Person, at, errors.into_iter()))?;
        for object in objects.iter_mut().filter(|object| object.group() == GROUP) {
            object.set_annotation(ANNOTATION_COMMIT, commit.id.as_str());
        }
        let plan =
            |object: &Object| plan::Desired { key: object.key(), hash: acting.hash(object), stage: Stage::of(object) };
        let wanted = block_in_place(|| objects.iter().map(plan).collect());
        let sources = Arc::new(Sources::of(&objects));
        let counted = objects.iter().filter(|object| object.replicas().is_some()).map(Object::key).collect();
        let mut kinds: Vec<_> = objects.iter().map(|o| (o.api_version().to_owned(), o.kind().to_owned())).collect();
        kinds.sort();
        kinds.dedup();
        Ok(Desired {
            commit: commit.id.clone(),
            tree,
            generation: environment.metadata.generation,
            brought: brought.clone(),
            keys: keys.cloned(),
            decrypted: Secrets::of(opened),
            objects: wanted,
            kinds: kinds.into(),
            sources,
            counted: Arc::new(counted),
            bodies: Some(Arc::new(Bodies { objects, _place: place })),
        })
    }

    /// A place for a large tree, or the trouble that it is not its turn.
    fn place(&self, key: &Key, commit: &CommitInfo) -> Result<OwnedSemaphorePermit, Trouble> {
        self.turns.take(key, &commit.id, Instant::now()).ok_or_else(|| {
            let message = format!(
                "Waiting for its turn: of commits with more than {} KiB of manifests, {LARGE_AT_ONCE} are applied at a time",
                LARGE >> 10
            );
            Trouble::new("Queued", message, Mend::Turn)
        })
    }
}

fn bytes(files: &[SourceFile]) -> usize {
    files.iter().map(|file| file.bytes.len()).sum()
}

/// Settles the namespaces, and looks that the cluster will take each object; else each that it will not, with place and sentence.
fn settle(
    objects: &mut [Object],
    known: &Known,
    namespace: &str,
    occasion: Occasion,
) -> Result<(), Vec<(String, String)>> {
    render::scope(objects, |group, kind| known.namespaced(group, kind), namespace)
        .map_err(|errors| errors.iter().map(|e| (e.origin().to_string(), e.to_string())).collect::<Vec<_>>())?;
    if occasion == Occasion::Watch {
        return Ok(());
    }
    let unserved = render::unserved(objects, |group, kind| known.versions(group, kind));
    if unserved.is_empty() {
        return Ok(());
    }
    Err(unserved.iter().map(|e| (e.origin.to_string(), e.to_string())).collect())
}

/// The API server did not say which kinds it serves.
pub(super) fn unavailable(error: &kube::Error) -> Trouble {
    let sentence = format!("the API server did not say which kinds it serves: {error}; drover tries again");
    Trouble::new("ApiUnavailable", sentence, Mend::Time)
}
