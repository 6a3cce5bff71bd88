//! The objects that restore a Database. Nothing here can fail.

use std::collections::BTreeMap;

use drover_crds as crds;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{ConfigMap, Container, PodSpec, PodTemplateSpec, Volume, VolumeMount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::order::RestoreOrder;
use super::plan::{DumpSource, FETCHED, Restore, RestoreSource};
use crate::backup::build::{
    ORDER_FILE, RESULT, SETTINGS, STAYS, Server, as_server, claim_volume, empty, errand, job_spec, json, mount, owned,
    pull_secrets, script, scripts, secret_volume, settings_volume, variable, work_mounts,
};
use crate::render::Object;
use crate::sync::ErrandImage;
use crate::workload::build::metadata::{self, Labels};
use crate::workload::build::pod;

/// The name of the file that the last container's order is in.
const RESTORE_FILE: &str = "restore.json";
/// Where the Database's claim is mounted.
const DATA: &str = "/var/lib/drover";

/// Where a dump is that somebody else made.
const FOLDER: &str = "/dump";

/// The containers of a restore, in the order in which they run.
pub(super) const TAKES: &str = "take";
/// See [`TAKES`].
pub(super) const LOADS: &str = "load";
/// See [`TAKES`].
pub(super) const CONCLUDES: &str = "conclude";

/// The database that is filled.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Its server.
    pub server: Server<'a>,
    /// What it is called.
    pub database: &'a str,
    /// Who owns it.
    pub user: &'a str,
    /// The claim of its data.
    pub claim: &'a str,
    /// The labels of its server's pod, which has the claim.
    pub pod: &'a Labels,
}

/// The orders, and the scripts.
pub fn settings(target: &Target<'_>, restore: &Restore) -> Object {
    let order = match &restore.source {
        RestoreSource::Backup { of, .. } => Some(json(&of.order)),
        RestoreSource::Dump(DumpSource::Fetched { order, .. }) => Some(json(&**order)),
        RestoreSource::Dump(DumpSource::Claim { .. }) => None,
    };
    let dump = match &restore.source {
        RestoreSource::Backup { .. } => None,
        RestoreSource::Dump(dump) => Some(dump.shown()),
    };
    let (engine, checks) = (target.server.engine, restore.checks());
    let own = RestoreOrder { name: restore.request.id.clone(), engine, dump, checks: checks.to_vec() };
    let mut data = scripts(&target.server, engine.own().restores, checks);
    data.insert(RESTORE_FILE.to_owned(), json(&own));
    data.extend(order.map(|order| (ORDER_FILE.to_owned(), order)));
    let metadata = metadata::child(target.server.app, name(target));
    Object::built(&ConfigMap { metadata, data: Some(data), ..Default::default() })
}

/// The Job of a restore. Its name is the request's, so it is made once.
pub fn job(target: &Target<'_>, restore: &Restore, image: &ErrandImage) -> Job {
    let app = target.server.app;
    let annotations = [(crds::ANNOTATION_ASKED.to_owned(), restore.request.id.clone())].into();
    let labels = owned(app, crds::COMPONENT_RESTORE);
    Job {
        metadata: ObjectMeta {
            labels: Some(labels),
            annotations: Some(annotations),
            ..metadata::bookkeeping(app, restore.request.job_name(&app.name))
        },
        spec: Some(JobSpec {
            ttl_seconds_after_finished: Some(STAYS),
            ..job_spec(restore.timeout_seconds, template(target, restore, image))
        }),
        ..Default::default()
    }
}

/// The selector that finds a Database's restores, and their pods, in a namespace.
pub fn selector(instance: &str) -> String {
    metadata::selector_of(instance, crds::COMPONENT_RESTORE)
}

fn name(target: &Target<'_>) -> String {
    crds::restore_name(&target.server.app.name)
}

fn template(target: &Target<'_>, restore: &Restore, image: &ErrandImage) -> PodTemplateSpec {
    let beside = LabelSelector { match_labels: Some(target.pod.clone()), ..Default::default() };
    let spec = PodSpec {
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: pull_secrets(&target.server, image),
        security_context: Some(as_server(&target.server)),
        init_containers: Some(take(restore, image).into_iter().chain([load(target, restore)]).collect()),
        containers: vec![conclude(image)],
        volumes: Some(volumes(target, restore)),
        affinity: Some(pod::beside(beside)),
        ..Default::default()
    };
    pod::completed(false, metadata::labels_of(target.server.app, crds::COMPONENT_RESTORE), BTreeMap::new(), spec)
}

/// What brings the backup or the dump into the work folder, if it is not on a claim already.
fn take(restore: &Restore, image: &ErrandImage) -> Option<Container> {
    let order = format!("{SETTINGS}/{ORDER_FILE}");
    let mut mounts = work_mounts();
    let mut command: Vec<String> = Vec::new();
    let mut given = |option: &str, name: &str, path: &str, read_only: bool| {
        mounts.push(mount(name, path, read_only));
        [option.to_owned(), path.to_owned()]
    };
    match &restore.source {
        RestoreSource::Backup { of, backup } => {
            let work = ["drover-errands", "backup-take", "--order", &order, "--work", "/work", "--result", RESULT];
            command.extend(work.map(str::to_owned));
            if of.claim.is_some() {
                command.extend(given("--claim", "claim", "/backup", false));
            }
            if of.secret.is_some() {
                command.extend(given("--secret", "secret", "/secret", true));
            }
            if of.order.encryption.is_some() {
                command.extend(given("--key", "key", "/key", true));
            }
            command.extend(backup.iter().flat_map(|name| ["--name".to_owned(), name.as_str().to_owned()]));
        }
        RestoreSource::Dump(DumpSource::Fetched { secret, .. }) => {
            let fetch = ["drover-errands", "sync", "--order", &order, "--result", RESULT];
            command.extend(fetch.map(str::to_owned));
            command.extend(given("--claim", "fetched", FOLDER, false));
            if secret.is_some() {
                command.extend(given("--secret", "secret", "/secret", true));
            }
        }
        RestoreSource::Dump(DumpSource::Claim { .. }) => return None,
    }
    Some(errand(image, TAKES, command, mounts))
}

fn load(target: &Target<'_>, restore: &Restore) -> Container {
    let memory = target.server.memory;
    let mut env = vec![
        variable("DATABASE", target.database),
        variable("OWNER", target.user),
        variable("ROOT", DATA),
        variable("NAME", &restore.request.id),
        variable("ONCE", if restore.request.is_init { "yes" } else { "" }),
    ];
    let mut dump = None;
    if let RestoreSource::Dump(source) = &restore.source {
        let file = match source {
            DumpSource::Claim { path, .. } => {
                dump = Some(mount("dump", FOLDER, true));
                format!("{FOLDER}/{path}")
            }
            DumpSource::Fetched { .. } => {
                dump = Some(mount("fetched", FOLDER, true));
                format!("{FOLDER}/{FETCHED}")
            }
        };
        env.push(variable("FILE", &file));
    }
    let mut container = script(&target.server, LOADS, "restore.sh", env, memory);
    let mounts = container.volume_mounts.get_or_insert_default();
    mounts.push(mount("data", DATA, false));
    mounts.extend(dump);
    container
}

fn conclude(image: &ErrandImage) -> Container {
    let order = format!("{SETTINGS}/{RESTORE_FILE}");
    let command = [
        "drover-errands",
        "restore-conclude",
        "--order",
        &order,
        "--work",
        "/work",
        "--data",
        DATA,
        "--result",
        RESULT,
    ];
    let mounts: Vec<VolumeMount> = work_mounts().into_iter().chain([mount("data", DATA, false)]).collect();
    errand(image, CONCLUDES, command.map(str::to_owned).to_vec(), mounts)
}

fn volumes(target: &Target<'_>, restore: &Restore) -> Vec<Volume> {
    let mut volumes =
        vec![empty("work"), empty("tmp"), settings_volume(name(target)), claim_volume("data", target.claim, false)];
    match &restore.source {
        RestoreSource::Backup { of, .. } => {
            volumes.extend(of.claim.as_ref().map(|claim| claim_volume("claim", &claim.name, false)));
            volumes.extend(of.secret.as_ref().map(|name| secret_volume("secret", name)));
            volumes.extend(of.order.encryption.as_ref().map(|name| secret_volume("key", name)));
        }
        RestoreSource::Dump(DumpSource::Claim { name, .. }) => volumes.push(claim_volume("dump", name, true)),
        RestoreSource::Dump(DumpSource::Fetched { secret, .. }) => {
            volumes.push(empty("fetched"));
            volumes.extend(secret.as_ref().map(|name| secret_volume("secret", name)));
        }
    }
    volumes
}
