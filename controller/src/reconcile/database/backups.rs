//! The Jobs that back a Database up, read and made as the namespace's account. A Job's name is its request's, so it is made once, whoever
//! dies meanwhile.

use std::time::Duration;

use drover_core::backup::{self, Catch, Due, Request, Run, Server, ValidatedBackup};
use drover_core::render::ObjectKey;
use drover_core::sync::ErrandImage;
use drover_core::workload::App;
use drover_crds::{ANNOTATION_BACKUP_AT, DatabaseStatus};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;

use super::Databases;
use crate::cluster::{Acting, ApiError};
use crate::metrics;
use crate::owned::make_job;
use crate::turn::It;

/// Notes what ran, and has made what is due. `is_up` says whether there is a server to back up. Returns after which time to look again
/// although no event comes, and by which time of the clock.
pub(super) async fn turn(
    it: &It<'_, Databases>,
    server: &Server<'_>,
    wanted: Option<&ValidatedBackup>,
    image: &ErrandImage,
    status: &mut DatabaseStatus,
    is_up: bool,
) -> Result<(Option<Duration>, Option<Timestamp>), ApiError> {
    let Some(wanted) = wanted else {
        backup::none(status);
        return Ok((None, None));
    };
    let now = it.now();
    let runs = runs(&it.acting, server.app, now.0.as_second()).await?;
    for ended in backup::note(status, wanted, &runs) {
        metrics::backed_up(ended.word());
    }
    let uid = server.app.uid.as_deref().unwrap_or_default();
    let request = Request::of(wanted, uid, it.annotation(ANNOTATION_BACKUP_AT));
    let any = status.backups.iter().any(|kept| kept.verified.is_some());
    let state = status.backup.clone().unwrap_or_default();
    let due = if is_up { backup::due(request, &state, any, now.0.as_second()) } else { Due::No };
    let (mut again, mut look_at_the_clock) = (None, None);
    match due {
        Due::No => match backup::catch_up(wanted, status, now.0) {
            Catch::Up(missed) if is_up => {
                let job = backup::made_up_job(server, wanted, image, missed);
                // Its end is still to be noted where it is there already.
                if !runs.iter().any(|run| Some(&run.job) == job.metadata.name.as_ref()) {
                    make_job(&it.acting, it.owner, &job).await?;
                }
            }
            Catch::Look(time) => look_at_the_clock = Some(time),
            Catch::Up(_) | Catch::Nothing => {}
        },
        Due::In(wait) => again = Some(wait),
        Due::Now(request) => make_job(&it.acting, it.owner, &backup::job(server, wanted, image, &request)).await?,
    }
    let trouble = runs.iter().find_map(|run| run.trouble.as_deref());
    let look = backup::conclude(status, trouble, it.generation(), &now);
    Ok((again.into_iter().chain(look).min(), look_at_the_clock))
}

/// What the Jobs of `app` say of its backups; `now` is in seconds since 1970.
async fn runs(acting: &Acting, app: &App, now: i64) -> Result<Vec<Run>, ApiError> {
    let (jobs, pods) = jobs_and_pods(acting, app, &backup::selector(&app.object_name())).await?;
    Ok(jobs.iter().map(|job| backup::run(job, &pods, now)).collect())
}

/// Jobs, and the pods around them.
pub(super) async fn jobs_and_pods(
    acting: &Acting,
    app: &App,
    selector: &str,
) -> Result<(Vec<Job>, Vec<Pod>), ApiError> {
    let params = ListParams::default().labels(selector);
    let jobs: Api<Job> = Api::namespaced(acting.client(), &app.namespace);
    let jobs = jobs.list(&params).await.map_err(|error| acting.error(error, "list", &key("batch", "Job", app)))?.items;
    if jobs.is_empty() {
        return Ok((jobs, Vec::new()));
    }
    let pods: Api<Pod> = Api::namespaced(acting.client(), &app.namespace);
    let pods = pods.list(&params).await.map_err(|error| acting.error(error, "list", &key("", "Pod", app)))?;
    Ok((jobs, pods.items))
}

fn key(group: &str, kind: &str, app: &App) -> ObjectKey {
    let (namespace, name) = (Some(app.namespace.clone()), app.object_name());
    ObjectKey { group: group.into(), kind: kind.into(), namespace, name }
}
