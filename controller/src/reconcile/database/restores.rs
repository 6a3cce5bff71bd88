//! The Jobs that load something into a Database, read and made as the namespace's account.

use std::collections::BTreeMap;
use std::time::Duration;

use drover_core::backup::ValidatedBackup;
use drover_core::backup::restore::{
    self, InitSource, Restore, RestoreDue, RestoreRequest, RestoreRun, RestoreSource, Wish,
};
use drover_core::database::ValidatedDatabase;
use drover_core::render::ObjectKey;
use drover_core::sync::ErrandImage;
use drover_core::workload::App;
use drover_crds::{ANNOTATION_RESTORE, Database, DatabaseStatus, OwnerKind};
use kube::{Api, ResourceExt as _};

use super::Databases;
use super::backups::{jobs_and_pods, make};
use crate::cluster::ApiError;
use crate::turn::It;

/// What is asked for, and how it goes.
pub(super) struct Wanted {
    /// What is to be loaded, or is being loaded.
    pub(super) restore: Option<Restore>,
    due: RestoreDue,
    trouble: Option<String>,
    refused: Option<(&'static str, String)>,
}

/// Notes what ran, and finds what is asked for.
pub(super) async fn wanted(
    it: &It<'_, Databases>,
    app: &App,
    valid: &ValidatedDatabase,
    status: &mut DatabaseStatus,
) -> Result<Wanted, ApiError> {
    let now = it.now().0.as_second();
    let uid = app.uid.as_deref().unwrap_or_default();
    let (jobs, pods) = jobs_and_pods(&it.acting, app, &restore::selector(&app.object_name())).await?;
    let runs: Vec<RestoreRun> = jobs.iter().map(|job| restore::run(job, &pods, now)).collect();
    restore::note(status, &RestoreRequest::of_init(uid).id, &runs);
    let trouble = runs.iter().find_map(|run| run.trouble.clone());
    let mut wanted = Wanted { restore: None, due: RestoreDue::Runs, trouble, refused: None };
    let wish = match it.annotation(ANNOTATION_RESTORE).map(Wish::read).transpose() {
        Ok(wish) => wish,
        Err(bad) => {
            wanted.refused = Some(("BadRequest", bad.to_string()));
            None
        }
    };
    let state = status.restore.clone().unwrap_or_default();
    let Some(request) = restore::wanted(uid, valid.init.is_some(), wish.as_ref(), &state) else { return Ok(wanted) };
    wanted.due = restore::due(&request, &state, now);
    match source(it, app, valid, request, wish).await? {
        Ok(restore) => wanted.restore = Some(restore),
        Err(refused) => wanted.refused = Some(refused),
    }
    Ok(wanted)
}

/// What is to be loaded; a reason and a sentence where that cannot be.
async fn source(
    it: &It<'_, Databases>,
    app: &App,
    valid: &ValidatedDatabase,
    request: RestoreRequest,
    wish: Option<Wish>,
) -> Result<Result<Restore, (&'static str, String)>, ApiError> {
    let none = |whose: String| {
        let sentence = format!("{whose} has no spec.backup, which says where its backups are: write it, or take the dump elsewhere");
        Ok(Err(("NoBackups", sentence)))
    };
    let own = || match valid.backup.clone() {
        Some(backup) => Ok(Ok(backup)),
        None => none(format!("Database {}", app.name)),
    };
    let (backup, timeout, of) = match (&valid.init, wish.filter(|_| !request.is_init)) {
        (_, Some(wish)) => (Some(wish.backup), None, own()?),
        (Some(init), None) => match &init.source {
            InitSource::Dump(dump) => {
                let (source, timeout_seconds) = (RestoreSource::Dump(dump.clone()), init.timeout_seconds);
                return Ok(Ok(Restore { request, source, timeout_seconds }));
            }
            InitSource::Backup { database: None, backup } => (backup.clone(), Some(init.timeout_seconds), own()?),
            InitSource::Backup { database: Some(name), backup } => {
                let of = match other(it, app, name).await? {
                    None => {
                        let sentence = format!("there is no Database {name} in namespace {}, whose backups spec.init.fromBackup names", app.namespace);
                        return Ok(Err(("NotFound", sentence)));
                    }
                    Some(other) => match of_other(app, &other) {
                        None => none(format!("Database {name}"))?,
                        Some(Err(invalid)) => Err(("InvalidSpec", format!("Database {name}: {invalid}"))),
                        Some(Ok(backup)) => Ok(backup),
                    },
                };
                (backup.clone(), Some(init.timeout_seconds), of)
            }
        },
        (None, None) => return none(format!("Database {}", app.name)),
    };
    Ok(of.map(|of| Restore {
        request,
        timeout_seconds: timeout.unwrap_or(of.order.timeout_seconds),
        source: RestoreSource::Backup { of: Box::new(of), backup },
    }))
}

async fn other(it: &It<'_, Databases>, app: &App, name: &str) -> Result<Option<Database>, ApiError> {
    let databases: Api<Database> = Api::namespaced(it.acting.client(), &app.namespace);
    let key = ObjectKey::namespaced("drover.dev", "Database", &app.namespace, name);
    databases.get_opt(name).await.map_err(|error| it.acting.error(error, "get", &key))
}

/// Where the backups of another Database of the namespace are.
fn of_other(app: &App, other: &Database) -> Option<Result<ValidatedBackup, drover_core::backup::InvalidBackup>> {
    let spec = other.spec.backup.as_ref()?;
    let whose = App { kind: OwnerKind::Database, namespace: app.namespace.clone(), name: other.name_any(), uid: other.uid() };
    let known = other.status.as_ref().and_then(|status| status.backup.as_ref());
    let (place, repository) =
        known.map_or((None, None), |known| (known.place.as_deref(), known.repository.as_deref()));
    Some(ValidatedBackup::new(&whose, spec, &BTreeMap::new()).map(|backup| backup.expecting(place, repository)))
}

/// Has made what is due, and says how it goes. Returns after which time to look again although no event comes.
pub(super) async fn turn(
    it: &It<'_, Databases>,
    valid: &ValidatedDatabase,
    wanted: &Wanted,
    connection: &str,
    errands: &ErrandImage,
    status: &mut DatabaseStatus,
) -> Result<Option<Duration>, ApiError> {
    let labels = drover_core::database::labels(valid);
    let mut again = None;
    match (&wanted.restore, wanted.due) {
        (Some(restore), RestoreDue::Now) => {
            make(it, &restore::job(&valid.target(connection, &labels), restore, errands)).await?;
        }
        (Some(_), RestoreDue::In(wait)) => again = Some(wait),
        _ => {}
    }
    let refused = wanted.refused.clone();
    let look = restore::conclude(status, wanted.trouble.as_deref(), refused, it.generation(), &it.now());
    Ok(again.into_iter().chain(look).min())
}
