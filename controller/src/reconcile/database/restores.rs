//! The Jobs that load something into a Database, read and made as the namespace's account.

use std::collections::BTreeMap;
use std::time::Duration;

use drover_core::backup::ValidatedBackup;
use drover_core::database::{self, ValidatedDatabase};
use drover_core::engine::Engine;
use drover_core::render::ObjectKey;
use drover_core::restore::{self, InitSource, Restore, RestoreDue, RestoreRequest, RestoreRun, RestoreSource, Wish};
use drover_core::sync::ErrandImage;
use drover_core::workload::App;
use drover_crds::{ANNOTATION_RESTORE, Database, DatabaseStatus, OwnerKind};
use kube::{Api, ResourceExt as _};

use super::Databases;
use super::backups::jobs_and_pods;
use crate::cluster::ApiError;
use crate::owned::make_job;
use crate::turn::It;

/// What is asked for, and how it goes.
pub(super) struct Wanted {
    /// What is to be loaded, or is being loaded.
    pub(super) restore: Option<Restore>,
    due: RestoreDue,
    trouble: Option<String>,
    refused: Option<Refused>,
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

/// A reason and a sentence: why what is asked for cannot be done.
type Refused = (&'static str, String);

/// What is to be loaded.
async fn source(
    it: &It<'_, Databases>,
    app: &App,
    valid: &ValidatedDatabase,
    request: RestoreRequest,
    wish: Option<Wish>,
) -> Result<Result<Restore, Refused>, ApiError> {
    let own = || valid.backup.clone().ok_or_else(|| nowhere(&app.name));
    if let Some(wish) = wish.filter(|_| !request.is_init) {
        return Ok(own().map(|of| Restore::of_backup(request, of, wish.backup)));
    }
    let Some(init) = &valid.init else { return Ok(Err(nowhere(&app.name))) };
    let source = match &init.source {
        InitSource::Dump(dump) => Ok(RestoreSource::Dump(dump.clone())),
        InitSource::Backup { database, backup } => {
            let of = match database {
                None => own(),
                Some(name) => others(it, app, valid.engine, name).await?,
            };
            of.map(|of| RestoreSource::Backup { of: Box::new(of), backup: backup.clone() })
        }
    };
    let timeout_seconds = init.timeout_seconds;
    Ok(source.map(|source| Restore { request, source, timeout_seconds }))
}

fn nowhere(name: &str) -> Refused {
    let sentence =
        format!("Database {name} has no spec.backup, which says where its backups are: write it, or load a dump");
    ("NoBackups", sentence)
}

/// Where the backups of another Database of the namespace are.
async fn others(
    it: &It<'_, Databases>,
    app: &App,
    engine: Engine,
    name: &str,
) -> Result<Result<ValidatedBackup, Refused>, ApiError> {
    let databases: Api<Database> = Api::namespaced(it.acting.client(), &app.namespace);
    let key = ObjectKey::namespaced("drover.dev", "Database", &app.namespace, name);
    let found = databases.get_opt(name).await.map_err(|error| it.acting.error(error, "get", &key))?;
    let Some(other) = found else {
        let sentence = format!(
            "there is no Database {name} in namespace {}, whose backups spec.init.fromBackup names",
            app.namespace
        );
        return Ok(Err(("NotFound", sentence)));
    };
    let Some(spec) = &other.spec.backup else { return Ok(Err(nowhere(name))) };
    let namespace = app.namespace.clone();
    let whose = App { kind: OwnerKind::Database, namespace, name: other.name_any(), uid: other.uid() };
    let known = other.status.as_ref().and_then(|status| status.backup.as_ref());
    let (place, repository) = known.map_or((None, None), |known| (known.place.as_deref(), known.repository.as_deref()));
    let its = database::engine(&other.spec.engine).map(|(its, _, _)| its);
    if let Ok(its) = its
        && its != engine
    {
        let (its, own) = (its.own().name, engine.own().name);
        let sentence = format!(
            "Database {name}, which spec.init.fromBackup names, is a {its}, and this one is a {own}: neither loads the other's dumps"
        );
        return Ok(Err(("OtherEngine", sentence)));
    }
    let of = ValidatedBackup::new(&whose, engine, spec, &BTreeMap::new()).map(|of| of.expecting(place, repository));
    Ok(of.map_err(|invalid| ("InvalidSpec", format!("Database {name}: {invalid}"))))
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
            make_job(&it.acting, it.owner, &restore::job(&valid.target(connection, &labels), restore, errands)).await?;
        }
        (Some(_), RestoreDue::In(wait)) => again = Some(wait),
        _ => {}
    }
    let refused = wanted.refused.clone();
    let look = restore::conclude(status, wanted.trouble.as_deref(), refused, it.generation(), &it.now());
    Ok(again.into_iter().chain(look).min())
}
