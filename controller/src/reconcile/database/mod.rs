//! `Database`: one small database server, for the apps of its namespace.
//!
//! 1. [`validate`]: the spec, with every default filled in (pure);
//! 2. [`Databases::connection`]: the password that is there, or a new one;
//! 3. [`children`]: the server and what it needs (pure), written down and sent ([`owned`]);
//! 4. [`database`]: what a person reads and is told (pure);
//! 5. [`backups`]: which backups ran and run, read of their Jobs, and one made where the spec or a person asks for it;
//! 6. [`restores`]: the same of what is loaded, by `init` or because a person asks.

mod backups;
mod restores;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use drover_core::backup;
use drover_core::database::{
    self, Connection, DatabaseChildren, Invalid, PASSWORD, Seen, children, selector, validate,
};
use drover_core::news::News;
use drover_core::render::{Object, ObjectKey};
use drover_core::restore;
use drover_core::sync::ErrandImage;
use drover_core::trouble::Trouble;
use drover_core::workload::App;
use drover_core::workload::pods::settings::SettingKind;
use drover_crds::{Database, DatabaseStatus, Key, Owner, OwnerKind, backup_name, connection_secret};
use k8s_openapi::api::apps::v1::StatefulSet;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::cluster::inventory::Inventories;
use crate::cluster::{Acting, ApiError, Cluster, Sight, random_text};
use crate::driver::Next;
use crate::owned::{self, Owned, Parent};
use crate::rollout::dereference;
use crate::settings::{self, Settings, UNSEEN, Watched};
use crate::turn::{Draft, Ended, Gone, It, Kind, TURN};

/// Letters and digits of a password: some 190 bits.
const PASSWORD_LENGTH: usize = 32;

/// The children of `database`, without a cluster: for `drover render`, which makes no password.
pub fn build_all(database: &Database, namespace: &str) -> Result<Vec<Object>, Invalid> {
    let namespace = database.namespace().unwrap_or_else(|| namespace.to_owned());
    let app = App { kind: OwnerKind::Database, namespace, name: database.name_any(), uid: database.uid() };
    let valid = validate(&app, &database.spec, &BTreeMap::new())?;
    let connection = Connection::with("made-by-drover");
    let errands = ErrandImage::of_this_version();
    Ok(children(&valid, &connection, PASSWORD, &errands, None).in_order().into_iter().flatten().collect())
}

/// A password that nobody guesses.
pub fn new_password() -> String {
    random_text(PASSWORD_LENGTH)
}

/// Makes the turns of Databases.
pub struct Databases {
    errands: ErrandImage,
    inventories: Arc<Inventories>,
    settings: Settings,
}

impl Databases {
    /// Whose errands run from `errands`, whose children are written down in `inventories`, and whose Secrets `settings` sees change.
    pub fn new(errands: ErrandImage, inventories: Arc<Inventories>, settings: Settings) -> Self {
        Self { errands, inventories, settings }
    }

    /// The password that the Secret has, whoever wrote it; a new one where it has none. The owner is told when it changes; where it cannot
    /// be told, after which time to look again.
    async fn connection(&self, it: &It<'_, Self>, app: &App) -> Result<(Connection, Option<Duration>), ApiError> {
        let (name, what) = (connection_secret(&app.name), Watched::Setting(SettingKind::Secret));
        self.settings.interest().wait(it.owner, &settings::key(what, &app.namespace, &name));
        let is_blind = self.settings.ensure(&it.acting, &app.namespace, what) == Sight::Blind;
        let found = dereference::secret(&it.acting, app, &name).await?;
        let known = found.as_ref().and_then(Connection::of);
        Ok((known.unwrap_or_else(|| Connection::with(&new_password())), is_blind.then_some(UNSEEN)))
    }
}

impl Kind for Databases {
    type Object = Database;
    type Status = DatabaseStatus;
    type Memory = ();

    const OWNER: OwnerKind = OwnerKind::Database;
    const ACTION: &'static str = "Reconcile";

    async fn turn(&self, it: &It<'_, Self>, (): &mut (), draft: &mut Draft<DatabaseStatus>) -> Result<Ended, Trouble> {
        let kinds = DatabaseChildren::KINDS.in_order().map(|child| (child.group, child.kind));
        if !it.sees(kinds.into_iter().chain([("batch", "Job")])).await {
            return Ok(Ended::Unsaid(Next::Later(TURN)));
        }
        let Some(definition) = it.definition().await? else { return Ok(Ended::Unsaid(Next::Retry)) };
        let Key { namespace, name } = it.key().clone();
        let app = App { kind: OwnerKind::Database, namespace, name, uid: it.object.uid() };
        let names = [connection_secret(&app.name), backup_name(&app.name)].into();
        let claims = dereference::claims_named(&it.acting, &app, names).await?;
        let mut valid = validate(&app, &it.object.spec, &claims)?;
        let known = draft.status.backup.as_ref();
        let (place, repository) =
            known.map_or((None, None), |known| (known.place.as_deref(), known.repository.as_deref()));
        valid.backup = valid.backup.map(|backup| backup.expecting(place, repository));
        let wanted_restore = restores::wanted(it, &app, &valid, &mut draft.status).await?;
        valid.restored = draft.status.restore.as_ref().and_then(|state| state.restored.clone());
        let (connection, unseen) = self.connection(it, &app).await?;
        let password = it.acting.keyed_hash(&json!({"password": connection.data(&valid).get(PASSWORD)}));

        let owned = Owned { cluster: it.cluster, inventories: &self.inventories, acting: &it.acting, owner: it.owner };
        let parent = Parent { owned, definition };
        let all = children(&valid, &connection, &password, &self.errands, wanted_restore.restore.as_ref());
        let mut objects: Vec<Object> = all.in_order().into_iter().flatten().collect();
        parent.mark(&mut objects);
        let plan = parent.plan(&objects, &BTreeSet::new()).await?;
        owned.refuse_foreign(&objects, |_| true).await?;
        parent.write_ahead(&plan).await?;
        parent.carry_out(&plan, &objects).await?;

        let seen = seen(&it.acting, &app).await?;
        let secret = connection_secret(&app.name);
        let restoring = restores::turn(it, &valid, &wanted_restore, &secret, &self.errands, &mut draft.status).await?;
        let (outcome, look) = database::conclude(&valid, &mut draft.status, &seen, it.now().0.as_second());
        let (server, wanted) = (valid.server(&secret), valid.backup.as_ref());
        let (again, time) = backups::turn(it, &server, wanted, &self.errands, &mut draft.status, seen.serves()).await?;
        let next = look.into_iter().chain(unseen).chain(again).chain(restoring).min().map_or(Next::Await, Next::After);
        Ok(Ended::Said { outcome, next: next.by(time, it.now().0) })
    }

    fn show(_status: &mut DatabaseStatus, _owner: &Owner, _trouble: Option<&Trouble>) {}

    fn news(before: &DatabaseStatus, after: &DatabaseStatus) -> Vec<News> {
        let mut news = database::news(before, after);
        news.extend(backup::news(before, after));
        news.extend(restore::news(before, after));
        news
    }

    async fn clean_up(&self, gone: &Gone<'_, Self>) -> Result<(), Trouble> {
        owned::clean_up_children(gone.cluster, &self.inventories, gone.owner, DatabaseChildren::rank).await
    }

    async fn left_behind(&self, _: &Cluster) -> Vec<Key> {
        self.inventories.keys(OwnerKind::Database)
    }
}

/// What there is of the server.
async fn seen(acting: &Acting, app: &App) -> Result<Seen, ApiError> {
    let name = app.object_name();
    let key = ObjectKey::namespaced("apps", "StatefulSet", &app.namespace, &name);
    let sets: Api<StatefulSet> = Api::namespaced(acting.client(), &app.namespace);
    let server = sets.get_opt(&name).await.map_err(|error| acting.error(error, "get", &key))?;
    let pods = dereference::pods(acting, app, &selector(&name)).await?;
    Ok(Seen { server, pods })
}
