//! The objects that make backups. Nothing here can fail.

use std::collections::BTreeMap;

use drover_crds::{self as crds, ImagePullPolicy};
use k8s_openapi::api::batch::v1::{
    CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec, PodFailurePolicy, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, LocalObjectReference,
    PersistentVolumeClaimVolumeSource, PodSecurityContext, PodSpec, PodTemplateSpec, ResourceRequirements,
    SecretKeySelector, SecretVolumeSource, SecurityContext, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use serde::Serialize;

use super::order::Check;
use super::request::{Missed, Request};
use super::validate::ValidatedBackup;
use crate::engine::{Engine, Script};
use crate::render::Object;
use crate::schedule::STARTING_DEADLINE;
use crate::sync::ErrandImage;
use crate::workload::App;
use crate::workload::build::metadata::{self, Labels};
use crate::workload::build::{container, pod, pvc};
use crate::workload::pods::{Identity, ValidatedClaim};

/// Where the scripts and the order are.
pub(crate) const SETTINGS: &str = "/etc/drover";
/// The name of the file that holds the order.
pub(crate) const ORDER_FILE: &str = "order.json";
/// Where a container leaves its last words.
pub(crate) const RESULT: &str = "/dev/termination-log";
/// Seconds beyond a backup's own time after which Kubernetes ends a Job.
const DEADLINE_ALLOWANCE: i64 = 60;
/// Seconds for which a Job that drover made stays when it has ended, for people to look at.
pub(crate) const STAYS: i32 = 3600;
/// The least memory that the server for a proof may have, in bytes.
const LEAST_MEMORY: i64 = 512 << 20;

/// The containers of a backup, in the order in which they run.
pub(super) const DUMPS: &str = "dump";
/// See [`DUMPS`].
pub(super) const STORES: &str = "store";
/// See [`DUMPS`].
pub(super) const PROVES: &str = "prove";
/// See [`DUMPS`].
pub(super) const CONCLUDES: &str = "conclude";

/// The database that is backed up.
#[derive(Clone, Copy, Debug)]
pub struct Server<'a> {
    /// Whose objects are made.
    pub app: &'a App,
    /// Which kind.
    pub engine: Engine,
    /// The image that has its programs.
    pub image: &'a str,
    /// When the node pulls it.
    pub pull_policy: Option<ImagePullPolicy>,
    /// The Secrets that it is pulled with.
    pub pull_secrets: &'a [String],
    /// The user and the group that it runs as.
    pub run_as: (i64, i64),
    /// Its major version.
    pub version: &'a str,
    /// The Secret that says how to connect.
    pub connection: &'a str,
    /// The memory that it has, in bytes.
    pub memory: i64,
}

/// The claim, if that is where backups go.
pub fn claim(server: &Server<'_>, backup: &ValidatedBackup) -> Option<Object> {
    backup.claim.as_ref().map(|claim| Object::built(&pvc::pvc(server.app, claim)))
}

/// The order, and the scripts.
pub fn settings(server: &Server<'_>, backup: &ValidatedBackup) -> Object {
    let mut data = scripts(server, server.engine.own().backs_up, &backup.order.checks);
    data.insert(ORDER_FILE.to_owned(), json(&backup.order));
    let metadata = metadata::child(server.app, name(server));
    Object::built(&ConfigMap { metadata, data: Some(data), ..Default::default() })
}

/// Scripts, what is asked of a restored database, and the users that the containers know.
pub(crate) fn scripts(server: &Server<'_>, scripts: &[Script], checks: &[Check]) -> BTreeMap<String, String> {
    let scripts = scripts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let checks = checks.iter().enumerate();
    let checks = checks.map(|(at, check)| (format!("check-{at}.sql"), server.engine.check_script(&check.query)));
    scripts.chain(checks).chain([("passwd".to_owned(), passwd(server.engine, server.run_as, "/work"))]).collect()
}

/// An order, as the errand reads it.
pub(crate) fn json<T: Serialize>(order: &T) -> String {
    serde_json::to_string_pretty(order).expect("an order is JSON")
}

/// A server's programs want to know their user's name, and an image need not know the number that they run as.
pub(crate) fn passwd(engine: Engine, (user, group): (i64, i64), home: &str) -> String {
    let (name, whole) = engine.own().account;
    format!("root:x:0:0:root:/root:/bin/sh\n{name}:x:{user}:{group}:{whole}:{home}:/bin/sh\n")
}

/// What makes backups by the schedule.
pub fn cron_job(server: &Server<'_>, backup: &ValidatedBackup, image: &ErrandImage) -> Object {
    Object::built(&CronJob {
        metadata: metadata::child(server.app, name(server)),
        spec: CronJobSpec {
            schedule: backup.schedule.text().to_owned(),
            time_zone: Some(backup.schedule.time_zone().to_owned()),
            concurrency_policy: Some("Forbid".to_owned()),
            starting_deadline_seconds: Some(STARTING_DEADLINE),
            successful_jobs_history_limit: Some(1),
            failed_jobs_history_limit: Some(1),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(owned(server.app, crds::COMPONENT_BACKUP)),
                    ..Default::default()
                }),
                spec: Some(backup_job(server, backup, image)),
            },
            ..Default::default()
        },
        ..Default::default()
    })
}

/// The Job of a backup that the spec or a person asked for. Its name is the request's, so it is made once.
pub fn job(server: &Server<'_>, backup: &ValidatedBackup, image: &ErrandImage, request: &Request) -> Job {
    let annotations = [(crds::ANNOTATION_ASKED.to_owned(), request.id.clone())].into();
    once(server, backup, image, request.job_name(&server.app.name), Some(annotations))
}

/// The Job that makes up for a backup that was missed. Its name is that time's, so it is made once.
pub fn made_up_job(server: &Server<'_>, backup: &ValidatedBackup, image: &ErrandImage, missed: Missed) -> Job {
    let uid = server.app.uid.as_deref().unwrap_or_default();
    once(server, backup, image, missed.job_name(&server.app.name, backup, uid), None)
}

fn once(
    server: &Server<'_>,
    backup: &ValidatedBackup,
    image: &ErrandImage,
    name: String,
    annotations: Option<Labels>,
) -> Job {
    Job {
        metadata: ObjectMeta {
            labels: Some(owned(server.app, crds::COMPONENT_BACKUP)),
            annotations,
            ..metadata::bookkeeping(server.app, name)
        },
        spec: Some(JobSpec { ttl_seconds_after_finished: Some(STAYS), ..backup_job(server, backup, image) }),
        ..Default::default()
    }
}

/// The selector that finds a Database's backups, and their pods, in a namespace.
pub fn selector(instance: &str) -> String {
    metadata::selector_of(instance, crds::COMPONENT_BACKUP)
}

fn name(server: &Server<'_>) -> String {
    crds::backup_name(&server.app.name)
}

/// Labels of a Job, which is watched by its owner's.
pub(crate) fn owned(app: &App, component: &str) -> Labels {
    let owner = crds::Owner::new(app.kind, &*app.namespace, &*app.name);
    let mut labels = metadata::labels_of(app, component);
    labels.insert(crds::LABEL_OWNER.to_owned(), owner.label());
    labels
}

fn backup_job(server: &Server<'_>, backup: &ValidatedBackup, image: &ErrandImage) -> JobSpec {
    job_spec(backup.order.timeout_seconds, template(server, backup, image))
}

/// A Job that is tried once, within that time.
pub(crate) fn job_spec(timeout_seconds: u64, template: PodTemplateSpec) -> JobSpec {
    let timeout = i64::try_from(timeout_seconds).unwrap_or(i64::MAX);
    // A node that went away, or made room, says nothing about the backup.
    let disrupted = PodFailurePolicyRule {
        action: "Ignore".to_owned(),
        on_pod_conditions: Some(vec![PodFailurePolicyOnPodConditionsPattern {
            type_: "DisruptionTarget".to_owned(),
            status: Some("True".to_owned()),
        }]),
        on_exit_codes: None,
    };
    JobSpec {
        backoff_limit: Some(0),
        active_deadline_seconds: Some(timeout.saturating_add(DEADLINE_ALLOWANCE)),
        pod_failure_policy: Some(PodFailurePolicy { rules: vec![disrupted] }),
        template,
        ..Default::default()
    }
}

/// All containers run as one user, since each reads what the one before wrote.
pub(crate) fn as_server(server: &Server<'_>) -> PodSecurityContext {
    let (user, group) = server.run_as;
    let identity = Identity {
        user: Some(user),
        group: Some(group),
        fs_group: Some(group),
        root: false,
        home: false,
        assumed: false,
    };
    pod::security(&identity, false)
}

/// The Secrets with which both images are pulled.
pub(crate) fn pull_secrets(server: &Server<'_>, image: &ErrandImage) -> Option<Vec<LocalObjectReference>> {
    let mut secrets = server.pull_secrets.to_vec();
    secrets.extend(image.pull_secrets.iter().filter(|secret| !server.pull_secrets.contains(secret)).cloned());
    pod::pull_secrets(&secrets)
}

/// One container after the other: a step that does not succeed ends it, and what it left is no backup.
fn template(server: &Server<'_>, backup: &ValidatedBackup, image: &ErrandImage) -> PodTemplateSpec {
    let spec = PodSpec {
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: pull_secrets(server, image),
        security_context: Some(as_server(server)),
        init_containers: Some(vec![dump(server), of_backup(backup, image, STORES, "backup-store"), prove(server)]),
        containers: vec![of_backup(backup, image, CONCLUDES, "backup-conclude")],
        volumes: Some(volumes(server, backup)),
        ..Default::default()
    };
    let is_of_one_node = backup.claim.as_ref().is_some_and(ValidatedClaim::is_of_one_node);
    pod::completed(is_of_one_node, metadata::labels_of(server.app, crds::COMPONENT_BACKUP), BTreeMap::new(), spec)
}

pub(crate) fn variable(name: &str, value: &str) -> EnvVar {
    EnvVar { name: name.to_owned(), value: Some(value.to_owned()), ..Default::default() }
}

pub(crate) fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    let (name, mount_path) = (name.to_owned(), path.to_owned());
    VolumeMount { name, mount_path, read_only: read_only.then_some(true), ..Default::default() }
}

/// One of the scripts, in the database's image.
pub(crate) fn script(server: &Server<'_>, name: &str, file: &str, mut env: Vec<EnvVar>, memory: i64) -> Container {
    env.extend([
        variable("VERSION", server.version),
        variable("WORK", "/work"),
        variable("SCRIPTS", SETTINGS),
        variable("RESULT", RESULT),
    ]);
    let passwd = VolumeMount { sub_path: Some("passwd".to_owned()), ..mount("settings", "/etc/passwd", true) };
    let limits = [("cpu", "2".to_owned()), ("memory", memory.to_string())];
    Container {
        name: name.to_owned(),
        image: Some(server.image.to_owned()),
        image_pull_policy: server.pull_policy.map(|policy| policy.as_str().to_owned()),
        command: Some(vec!["sh".to_owned(), format!("{SETTINGS}/{file}")]),
        env: Some(env),
        resources: Some(ResourceRequirements {
            requests: Some(container::amounts("50m", "128Mi")),
            limits: Some(limits.map(|(name, amount)| (name.to_owned(), Quantity(amount))).into()),
            claims: None,
        }),
        security_context: Some(confined()),
        volume_mounts: Some(vec![
            mount("work", "/work", false),
            mount("settings", SETTINGS, true),
            passwd,
            mount("tmp", "/tmp", false),
        ]),
        ..Default::default()
    }
}

fn dump(server: &Server<'_>) -> Container {
    let of = |name: &str, key: &str| EnvVar {
        name: name.to_owned(),
        value_from: Some(EnvVarSource {
            secret_key_ref: Some(SecretKeySelector {
                name: server.connection.to_owned(),
                key: key.to_owned(),
                optional: None,
            }),
            ..Default::default()
        }),
        ..Default::default()
    };
    let keys = ["host", "port", "database", "user", "password"];
    let mut env: Vec<EnvVar> =
        server.engine.own().variables.iter().zip(keys).map(|(variable, key)| of(variable, key)).collect();
    let more = server.engine.dumps_with(server.app.uid.as_deref().unwrap_or_default());
    env.extend(more.map(|(name, value)| variable(name, &value)));
    script(server, DUMPS, "dump.sh", env, LEAST_MEMORY)
}

/// It gets as much memory as the server whose data it loads, and nothing that leads to that.
fn prove(server: &Server<'_>) -> Container {
    let memory = server.memory.max(LEAST_MEMORY);
    let buffers = format!("{}MB", memory / 4 / (1 << 20));
    script(server, PROVES, "prove.sh", vec![variable("PROOF_BUFFERS", &buffers)], memory)
}

fn of_backup(backup: &ValidatedBackup, image: &ErrandImage, name: &str, errand_name: &str) -> Container {
    let order = format!("{SETTINGS}/{ORDER_FILE}");
    let mut command = vec!["drover-errands", errand_name, "--order", &order, "--work", "/work", "--result", RESULT];
    let mut mounts = work_mounts();
    let parts = [
        (backup.claim.is_some(), "claim", "/backup", false),
        (backup.secret.is_some(), "secret", "/secret", true),
        (backup.order.encryption.is_some(), "key", "/key", true),
    ];
    let options = ["--claim", "--secret", "--key"];
    for ((is_there, name, path, read_only), option) in parts.into_iter().zip(options) {
        if is_there {
            command.extend([option, path]);
            mounts.push(mount(name, path, read_only));
        }
    }
    errand(image, name, command.into_iter().map(str::to_owned).collect(), mounts)
}

/// What every container of drover's own image has.
pub(crate) fn work_mounts() -> Vec<VolumeMount> {
    vec![mount("work", "/work", false), mount("settings", SETTINGS, true), mount("tmp", "/tmp", false)]
}

/// A container of drover's own image.
pub(crate) fn errand(image: &ErrandImage, name: &str, command: Vec<String>, mounts: Vec<VolumeMount>) -> Container {
    Container {
        name: name.to_owned(),
        image: Some(image.reference.clone()),
        command: Some(command),
        resources: Some(ResourceRequirements {
            requests: Some(container::amounts("50m", "128Mi")),
            limits: Some(container::amounts("2", "1Gi")),
            claims: None,
        }),
        security_context: Some(confined()),
        volume_mounts: Some(mounts),
        ..Default::default()
    }
}

fn confined() -> SecurityContext {
    SecurityContext { read_only_root_filesystem: Some(true), ..container::security(false) }
}

pub(crate) fn empty(name: &str) -> Volume {
    Volume { empty_dir: Some(EmptyDirVolumeSource::default()), ..volume(name) }
}

pub(crate) fn secret_volume(name: &str, secret: &str) -> Volume {
    let secret = SecretVolumeSource { secret_name: Some(secret.to_owned()), ..Default::default() };
    Volume { secret: Some(secret), ..volume(name) }
}

pub(crate) fn settings_volume(config_map: String) -> Volume {
    let settings = ConfigMapVolumeSource { name: config_map, ..Default::default() };
    Volume { config_map: Some(settings), ..volume("settings") }
}

pub(crate) fn claim_volume(name: &str, claim: &str, read_only: bool) -> Volume {
    let claim_name = claim.to_owned();
    let claim = PersistentVolumeClaimVolumeSource { claim_name, read_only: read_only.then_some(true) };
    Volume { persistent_volume_claim: Some(claim), ..volume(name) }
}

fn volume(name: &str) -> Volume {
    Volume { name: name.to_owned(), ..Default::default() }
}

fn volumes(server: &Server<'_>, backup: &ValidatedBackup) -> Vec<Volume> {
    let mut volumes = vec![empty("work"), empty("tmp"), settings_volume(name(server))];
    volumes.extend(backup.claim.as_ref().map(|claim| claim_volume("claim", &claim.name, false)));
    volumes.extend(backup.secret.as_ref().map(|name| secret_volume("secret", name)));
    volumes.extend(backup.order.encryption.as_ref().map(|name| secret_volume("key", name)));
    volumes
}
