//! `Environment`: a branch that a namespace follows.
//!
//! 1. [`dereference`]: the Secrets that the spec names, read as the namespace's account, the [`variables`] that others bring, and the keys
//!    that [`decryption`] takes;
//! 2. [`desired`]: the objects of the commit, of a large one when it is its turn ([`Turns`](crate::driver::Turns));
//! 3. [`Gate`]: whether what a new commit waits for is there;
//! 4. [`mod@plan`](drover_core::plan): what to send, what to prune, what to refuse (pure); [`Peers`] say what moved to or from another;
//! 5. [`apply`]: the inventory written ahead, the stages, the pruning;
//! 6. [`branch`](drover_core::branch): what a person reads, and what a person is told (pure).
//!
//! A [`Trouble`] ends such a turn before its time. A reconcile never waits: not for the network of a git host (that is
//! [`Repositories`]' own work), not for pods to become healthy. It looks at what is known, does what is to be done, and is called
//! again by the event that changes something.

mod apply;
mod decryption;
mod deletion;
mod dereference;
mod desired;
mod entrusted;
mod variables;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use drover_core::branch::{
    self, AppliedNow, BLIND_POLL, Brought, CommitInfo, Findings, Keys, Moment, Peers, Reached, applied, conclude, hide,
    hide_in, in_force, is_told, judged_before, listed, note, occasion, put_back, speaks_of,
};
use drover_core::health::Health;
use drover_core::news::News;
use drover_core::plan::Occasion;
use drover_core::trouble::{Mend, Trouble};
use drover_core::workload::pods::Applied;
use drover_crds::{DeletionPolicy, Environment, EnvironmentStatus, Key, Owner, OwnerKind};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use self::apply::{Done, apply};
use self::decryption::keys;
pub use self::dereference::refresh;
use self::dereference::{account, wish};
use self::desired::{Desired, Renderer, Wish};
use self::variables::brought;
use super::depends::Gate;
use super::repository::{Dereferenced, follow};
use crate::cluster::Cluster;
use crate::cluster::inventory::Inventories;
use crate::driver::Next;
use crate::git::webhook::webhook_id;
use crate::git::{Head, Repositories, outlook};
use crate::settings::Settings;
use crate::tools::Sops;
use crate::turn::{Draft, Ended, Gone, It, Kind, TURN};
use crate::unpoisoned;

/// How the git child's error is called for a folder that the commit does not have.
const NO_SUCH_PATH: &str = "NoSuchPath";

/// What is remembered of an Environment between two turns.
#[derive(Clone, Default)]
pub struct Memory {
    dereferenced: Option<Dereferenced>,
    brought: Option<Arc<Brought>>,
    keys: Option<Arc<Keys>>,
    desired: Option<Arc<Desired>>,
    /// The commit that is applied in full, and what it wants.
    applied: Option<(CommitInfo, Arc<Desired>)>,
    moment: Moment,
}

impl Memory {
    /// What no sentence may hold: what Secrets brought, and what was encrypted.
    fn secrets(&self) -> Vec<String> {
        let brought = self.brought.iter().flat_map(|brought| brought.secrets());
        let wanted = self.desired.iter().chain(self.applied.iter().map(|(_, desired)| desired));
        brought.chain(wanted.flat_map(|desired| desired.decrypted.values())).cloned().collect()
    }
}

/// Makes the turns of Environments.
pub struct Environments {
    repositories: Repositories,
    renderer: Renderer,
    inventories: Arc<Inventories>,
    settings: Settings,
    gate: Gate,
    peers: Mutex<Peers>,
}

impl Environments {
    /// Whose commits are in `repositories` and decrypted by `sops`, what they applied in `inventories`, and who are told by `settings`.
    pub fn new(
        cluster: Cluster,
        repositories: Repositories,
        inventories: Arc<Inventories>,
        settings: Settings,
        sops: Sops,
    ) -> Self {
        let gate = Gate::new(cluster.clone(), settings.clone());
        let renderer = Renderer::new(cluster, repositories.clone(), sops);
        Self { repositories, renderer, inventories, settings, gate, peers: Mutex::default() }
    }
}

impl Kind for Environments {
    type Object = Environment;
    type Status = EnvironmentStatus;
    type Memory = Memory;

    const OWNER: OwnerKind = OwnerKind::Environment;
    const ACTION: &'static str = "Reconcile";
    const LOOK_AGAIN: Duration = Duration::from_secs(15);

    fn account(environment: &Environment) -> &str {
        account(environment)
    }

    fn appeared(&self, environment: &Environment) {
        self.peers().note(environment, webhook_id(&environment.spec.source.url));
        self.gate.note(environment);
    }

    fn unreadable(&self, key: &Key) {
        self.peers().note_illegible(key);
    }

    async fn turn(
        &self,
        it: &It<'_, Self>,
        memory: &mut Memory,
        draft: &mut Draft<EnvironmentStatus>,
    ) -> Result<Ended, Trouble> {
        let mut findings = Findings::default();
        let mut result = self.work(it, &draft.status, memory, &mut findings).await;
        hide(&memory.secrets(), &mut result, &mut findings);
        let done = memory.applied.as_ref().filter(|_| result.as_ref().is_ok_and(|reached| reached.is_done(&findings)));
        let path = it.object.spec.source.path.as_deref().unwrap_or_default();
        self.repositories.settle(it.owner, done.map(|(commit, desired)| (&commit.id, path, &desired.tree)));
        if let Some(AppliedNow { commit, .. }) = &findings.applied {
            let repository = it.object.spec.source.url.clone();
            it.has_applied(Applied { repository, commit: commit.id.as_str().to_owned() });
        }
        if let Some(now) = &mut findings.applied {
            now.changed += memory.moment.changed(&now.commit.id);
        }
        (draft.done, draft.news) = (put_back(&findings), applied(&draft.status, &findings));
        let waits = result.as_ref().is_err_and(|trouble| trouble.mended_by == Mend::Turn);
        if waits && judged_before(it.object, &draft.status, &findings) {
            // A new process reads all large commits once more, and a commit that failed is tried again: that is no news.
            return Ok(Ended::Unsaid(Next::Later(TURN)));
        }
        if matches!(result, Ok(Reached::Fetching)) && speaks_of(&draft.status, it.object) {
            // A new process has not asked yet: what the last one knew goes on holding.
            return Ok(Ended::Unsaid(Next::Await));
        }
        if let (Some(now), Ok(reached)) = (&findings.applied, &result)
            && reached.is_on_its_way(&findings)
            && !is_told(it.object, &draft.status, now)
            && let Some(left) = memory.moment.left(&now.commit.id, now.changed, it.now().0)
        {
            return Ok(Ended::Unsaid(Next::After(left)));
        }
        memory.moment.over();
        note(&mut draft.status, &findings, it.generation(), &it.now());
        let (outcome, again) = conclude(it.object, &result?, &findings);
        Ok(Ended::Said { outcome, next: again.map_or(Next::Await, Next::After) })
    }

    fn show(status: &mut EnvironmentStatus, owner: &Owner, trouble: Option<&Trouble>) {
        branch::show(status, owner, trouble);
    }

    fn news(before: &EnvironmentStatus, after: &EnvironmentStatus) -> Vec<News> {
        branch::news(before, after)
    }

    async fn clean_up(&self, gone: &Gone<'_, Self>) -> Result<(), Trouble> {
        let key = &gone.owner.key;
        self.peers().gone(key);
        self.gate.forget(key);
        self.repositories.unsubscribe(gone.owner);
        self.renderer.forget(key);
        let left = deletion::clean_up(gone.cluster, &self.inventories, &self.peers, key).await?;
        if !left.is_empty() {
            gone.tell(News::warning("ObjectsLeft", listed(&left))).await;
        }
        self.inventories.remove(gone.owner).await?;
        self.peers().forget(key);
        Ok(())
    }

    async fn left_behind(&self, _: &Cluster) -> Vec<Key> {
        self.peers().complete();
        self.inventories.keys(OwnerKind::Environment)
    }
}

impl Environments {
    fn peers(&self) -> MutexGuard<'_, Peers> {
        unpoisoned::lock(&self.peers)
    }

    async fn work(
        &self,
        it: &It<'_, Self>,
        status: &EnvironmentStatus,
        memory: &mut Memory,
        findings: &mut Findings,
    ) -> Result<Reached, Trouble> {
        let (environment, key) = (it.object, it.key());
        if environment.spec.suspend == Some(true) {
            self.repositories.unsubscribe(it.owner);
            memory.dereferenced = None;
            return Ok(Reached::Suspended);
        }
        let whose = (it.owner, &environment.metadata);
        let followed =
            follow(&self.repositories, &it.acting, whose, &wish(environment), &mut memory.dereferenced).await;
        followed.inspect_err(|_| self.peers().unreadable(key, None))?;
        if environment.spec.source.webhook.is_some() {
            findings.webhook_path = webhook_id(&environment.spec.source.url).map(|id| format!("/webhook/{id}"));
        }
        // While the repository cannot be reached, the last commit that is known stays in force: drift is still put back.
        let (commit, unreachable) = match self.repositories.head(it.owner) {
            Head::Pending => return Ok(Reached::Fetching),
            Head::At { commit, fetched_at } => {
                findings.head = Some((commit.clone(), Time(fetched_at)));
                (commit, None)
            }
            Head::Failed { error, since, again, last_good } => {
                let mended_by = if error.is_terminal() { Mend::Person } else { Mend::Event };
                let outlook = again.map(|again| outlook(since, again)).unwrap_or_default();
                let trouble = Trouble { outlook, ..Trouble::new(error.label(), error.to_string(), mended_by) };
                // A wrong password is corrected in the Secret: it is read again at the next look.
                if error.is_terminal()
                    && let Some(dereferenced) = &mut memory.dereferenced
                {
                    dereferenced.expire();
                }
                match last_good {
                    Some(commit) => (commit, Some(trouble)),
                    None => {
                        self.peers().unreadable(key, None);
                        return Err(trouble);
                    }
                }
            }
        };
        let rendered = match self.given(it, memory).await {
            Ok(brought) => {
                let occasion = occasion(environment, status, &commit, &brought);
                let keys = memory.keys.as_ref();
                let wish =
                    Wish { acting: &it.acting, environment, brought: &brought, keys, key, commit: &commit, occasion };
                let desired = self.renderer.desired(wish, memory.desired.as_deref()).await;
                desired.map(|desired| (Arc::new(desired), brought, occasion))
            }
            Err(trouble) => Err(trouble),
        };
        let (desired, brought, occasion) = match rendered {
            Ok(rendered) => rendered,
            Err(trouble) if trouble.mended_by == Mend::Turn => return Err(trouble),
            Err(trouble) => {
                // A folder that is not there has no objects; what is in a file that cannot be read nobody knows.
                match trouble.reason.as_str() {
                    NO_SUCH_PATH => {
                        self.peers().read(key, (&commit.id, None), &Arc::default(), unreachable.is_none());
                    }
                    _ => self.peers().unreadable(key, Some(&commit.id)),
                }
                self.hold(it, memory, findings).await;
                return Err(Trouble { again: findings.again.into_iter().chain(trouble.again).min(), ..trouble });
            }
        };
        memory.desired = Some(Arc::new(desired.without_objects()));
        let is_new = self.peers().read(key, (&commit.id, Some(&desired.tree)), &desired.objects, unreachable.is_none());
        if is_new && desired.bodies.is_some() {
            // Something may leave it, or come to it. Those whose folders are the same have their turns later.
            let same = self.repositories.settled_at(&commit.id);
            let mut peers = self.peers();
            for (twin, tree) in &same {
                peers.wants_the_same(&twin.key, &commit.id, tree);
            }
        }
        // What is applied stays in force, whatever becomes of what a new commit waits for.
        if occasion == Occasion::Commit
            && !in_force(environment, status, &desired.tree, &brought)
            && let Err(wait) = self.gate.pass(&it.acting, (it.owner, environment), &commit, &desired.objects).await
        {
            self.hold(it, memory, findings).await;
            return Err(Trouble { again: findings.again.into_iter().chain(wait.again).min(), ..wait });
        }
        let newest = || match self.repositories.head(it.owner) {
            Head::At { commit: newest, .. } => newest.id == commit.id,
            Head::Pending | Head::Failed { .. } => true,
        };
        let done = self.apply(it, &commit, &desired, occasion, &newest).await.inspect_err(|trouble| {
            if trouble.mended_by == Mend::Turn {
                let behind = self.peers().behind(key, &commit.id);
                for behind in behind.iter().map(|behind| Owner::of(OwnerKind::Environment, behind)) {
                    self.repositories.hurry(&behind);
                    self.repositories.sync_now(&behind);
                }
            }
        })?;
        let Some(Done { changed, blind, health, drifted, corrected, contested, again, held }) = done else {
            return Ok(Reached::Superseded);
        };
        memory.applied = memory.desired.clone().map(|desired| (commit.clone(), desired));
        (findings.blind, findings.corrected) = (blind, corrected);
        let unseen = brought.again.or(memory.keys.as_ref().and_then(|keys| keys.again));
        (findings.contested, findings.again) = (contested, again.into_iter().chain(unseen).min());
        // Not for what waits for this one: neither would ever be ready, and each would quote the other.
        let above = it.above();
        let mut unhealthy = None;
        for (key, health) in health {
            if health != Health::Current && !above.contains(&key) {
                findings.note(&key, &health);
                unhealthy.get_or_insert((key.to_string(), health));
            }
        }
        findings.applied = Some(AppliedNow {
            tree: desired.tree.to_string(),
            objects: desired.objects.len(),
            variables: brought.hash.clone(),
            changed,
            healthy: unhealthy.is_none(),
            commit,
        });
        match unreachable {
            Some(trouble) => Err(Trouble { again: findings.look(BLIND_POLL), ..trouble }),
            None => Ok(Reached::Applied { unhealthy, drifted, held }),
        }
    }

    /// What others than the commit bring: variables, and the keys that files are decrypted with.
    async fn given(&self, it: &It<'_, Self>, memory: &mut Memory) -> Result<Arc<Brought>, Trouble> {
        let brought = brought(&it.acting, &self.settings, it.owner, it.object, memory.brought.as_ref()).await?;
        memory.brought = Some(brought.clone());
        memory.keys = keys(&it.acting, &self.settings, it.owner, it.object, memory.keys.as_ref()).await?;
        Ok(brought)
    }

    /// Applies a commit, as long as it is the `newest`.
    async fn apply(
        &self,
        it: &It<'_, Self>,
        commit: &CommitInfo,
        desired: &Desired,
        occasion: Occasion,
        newest: &(dyn Fn() -> bool + Sync),
    ) -> Result<Option<Done>, Trouble> {
        let definition = match it.object.spec.deletion_policy {
            Some(DeletionPolicy::Delete) => it.definition().await?,
            Some(DeletionPolicy::Orphan) | None => None,
        };
        apply(&apply::Work {
            cluster: it.cluster,
            renderer: &self.renderer,
            inventories: &self.inventories,
            peers: &self.peers,
            acting: &it.acting,
            environment: it.object,
            key: it.key(),
            owner: it.owner,
            commit,
            desired,
            occasion,
            definition,
            newest,
        })
        .await
    }

    /// While a new commit cannot be read, the last one that was applied stays in force: what others change of it is put back.
    async fn hold(&self, it: &It<'_, Self>, memory: &Memory, findings: &mut Findings) {
        let Some((commit, desired)) = memory.applied.as_ref().filter(|(_, desired)| desired.is_of(it.object)) else {
            return;
        };
        match self.apply(it, commit, desired, Occasion::Watch, &|| true).await {
            Ok(Some(done)) => (findings.corrected, findings.again) = (done.corrected, done.again),
            Ok(None) => {}
            Err(trouble) if trouble.mended_by == Mend::Sight => findings.again = Some(TURN),
            Err(mut trouble) => {
                hide_in(&memory.secrets(), &mut trouble);
                tracing::warn!(owner = %it.owner, reason = %trouble.reason, message = %trouble.sentence, "cannot put back what others changed");
            }
        }
    }
}
