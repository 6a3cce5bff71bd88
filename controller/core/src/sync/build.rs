//! The objects of a [`ValidatedSync`]. Nothing here can fail.

use std::collections::BTreeMap;

use drover_crds as crds;
use k8s_openapi::api::batch::v1::{
    CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec, PodFailurePolicy, PodFailurePolicyOnPodConditionsPattern,
    PodFailurePolicyRule,
};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, EmptyDirVolumeSource, EnvVar, EnvVarSource, ObjectFieldSelector,
    PersistentVolumeClaimVolumeSource, PodSpec, PodTemplateSpec, ResourceRequirements, SecretVolumeSource, Volume,
    VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::request::{Request, made_up_name};
use super::{Missed, SyncChildren, ValidatedSync};
use crate::render::Object;
use crate::schedule::{STARTING_DEADLINE, Schedule};
use crate::workload::build::metadata::{self, Labels};
use crate::workload::build::{container, pod, pvc};
use crate::workload::pods::Identity;

/// The name of the file that holds the order, in its ConfigMap.
const ORDER_FILE: &str = "order.json";

/// Who every errand runs as, so that what one wrote the next may change.
const USER: i64 = 65_532;
/// Seconds beyond the order's own time after which Kubernetes ends a Job.
const DEADLINE_ALLOWANCE: i64 = 60;
/// The variable with the name of the Job.
const JOB: &str = "DROVER_JOB";
/// Seconds for which a Job that drover made stays when it has ended, for people to look at.
const STAYS: i32 = 3600;

/// What errands run from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrandImage {
    /// The image, which has the program `drover-errands`.
    pub reference: String,
    /// The Secrets of the namespace that it is pulled with.
    pub pull_secrets: Vec<String>,
}

impl ErrandImage {
    /// The image that this version's chart names, where nobody says another.
    pub fn of_this_version() -> Self {
        Self { reference: format!("drover:{}", env!("CARGO_PKG_VERSION")), pull_secrets: Vec::new() }
    }
}

/// Every child of `sync`.
pub fn children(sync: &ValidatedSync, image: &ErrandImage) -> SyncChildren<Vec<Object>> {
    let cron_job = sync.schedule.as_ref().map(|schedule| cron_job(sync, image, schedule));
    SyncChildren {
        claim: vec![Object::built(&pvc::pvc(&sync.app, &sync.claim))],
        order: vec![Object::built(&order(sync))],
        cron_job: cron_job.iter().map(Object::built).collect(),
    }
}

fn name(sync: &ValidatedSync) -> String {
    crds::synced_claim(&sync.app.name)
}

/// Labels of Jobs and their pods. Jobs are watched by their owner's.
fn labels(sync: &ValidatedSync) -> Labels {
    metadata::labels_of(&sync.app, crds::COMPONENT_SYNC)
}

fn owned(sync: &ValidatedSync) -> Labels {
    let owner = crds::Owner::new(sync.app.kind, &*sync.app.namespace, &*sync.app.name);
    let mut labels = labels(sync);
    labels.insert(crds::LABEL_OWNER.to_owned(), owner.label());
    labels
}

fn order(sync: &ValidatedSync) -> ConfigMap {
    let text = serde_json::to_string_pretty(&sync.order).expect("an order is JSON");
    ConfigMap {
        metadata: metadata::child(&sync.app, name(sync)),
        data: Some([(ORDER_FILE.to_owned(), text)].into()),
        ..Default::default()
    }
}

fn cron_job(sync: &ValidatedSync, image: &ErrandImage, schedule: &Schedule) -> CronJob {
    let mut spec = job_spec(sync, image);
    if !schedule.runs_each_hour() {
        for container in spec.template.spec.iter_mut().flat_map(|pod| &mut pod.containers) {
            once_for_each_reading(container, schedule);
        }
    }
    CronJob {
        metadata: metadata::child(&sync.app, name(sync)),
        spec: CronJobSpec {
            schedule: schedule.text().to_owned(),
            time_zone: Some(schedule.time_zone().to_owned()),
            suspend: Some(sync.is_suspended),
            concurrency_policy: Some("Forbid".to_owned()),
            starting_deadline_seconds: Some(STARTING_DEADLINE),
            successful_jobs_history_limit: Some(1),
            failed_jobs_history_limit: Some(1),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(owned(sync)), ..Default::default() }),
                spec: Some(spec),
            },
        },
        ..Default::default()
    }
}

/// The name of a Job tells for which time of the schedule it is, so that what a clock change repeats is not done twice.
fn once_for_each_reading(container: &mut Container, schedule: &Schedule) {
    let field_path = "metadata.labels['batch.kubernetes.io/job-name']".to_owned();
    let source = EnvVarSource {
        field_ref: Some(ObjectFieldSelector { field_path, api_version: Some("v1".to_owned()) }),
        ..Default::default()
    };
    let job = EnvVar { name: JOB.to_owned(), value_from: Some(source), ..Default::default() };
    container.env.get_or_insert_default().push(job);
    let arguments = ["--scheduled", &format!("$({JOB})"), "--time-zone", schedule.time_zone()].map(str::to_owned);
    container.command.get_or_insert_default().extend(arguments);
}

/// The Job of a sync that the spec or a person asked for. Its name is the request's, so it is made once.
pub fn job(sync: &ValidatedSync, image: &ErrandImage, request: &Request) -> Job {
    let asked = request.asked.clone().map(|at| (crds::ANNOTATION_RECONCILE_AT.to_owned(), at));
    let id = (crds::ANNOTATION_ASKED.to_owned(), request.id.clone());
    let annotations = [id].into_iter().chain(asked).collect();
    once(sync, image, request.job_name(&sync.app.name), Some(annotations))
}

/// The Job that makes up for what was missed on the claim of that uid. Its name is that time's, so it is made once.
pub fn made_up_job(sync: &ValidatedSync, image: &ErrandImage, missed: Missed, claim: &str) -> Job {
    once(sync, image, made_up_name(sync, missed, claim), None)
}

fn once(sync: &ValidatedSync, image: &ErrandImage, name: String, annotations: Option<Labels>) -> Job {
    Job {
        metadata: ObjectMeta { labels: Some(owned(sync)), annotations, ..metadata::bookkeeping(&sync.app, name) },
        spec: Some(JobSpec { ttl_seconds_after_finished: Some(STAYS), ..job_spec(sync, image) }),
        ..Default::default()
    }
}

fn job_spec(sync: &ValidatedSync, image: &ErrandImage) -> JobSpec {
    let timeout = i64::try_from(sync.order.timeout_seconds).unwrap_or(i64::MAX);
    // A node that went away, or made room, says nothing about the sync.
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
        template: template(sync, image),
        ..Default::default()
    }
}

fn template(sync: &ValidatedSync, image: &ErrandImage) -> PodTemplateSpec {
    let who = Some(USER);
    let identity = Identity { user: who, group: who, fs_group: who, root: false, home: false, assumed: false };
    let order = format!("/order/{ORDER_FILE}");
    let mut command = vec!["drover-errands", "sync", "--order", &order, "--claim", "/claim"];
    command.extend(["--result", "/dev/termination-log"]);
    if sync.secret.is_some() {
        command.extend(["--secret", "/secret"]);
    }
    let spec = PodSpec {
        restart_policy: Some("Never".to_owned()),
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: pod::pull_secrets(&image.pull_secrets),
        security_context: Some(pod::security(&identity, false)),
        containers: vec![Container {
            name: crds::COMPONENT_SYNC.to_owned(),
            image: Some(image.reference.clone()),
            command: Some(command.into_iter().map(str::to_owned).collect()),
            resources: Some(ResourceRequirements {
                requests: Some(container::amounts("50m", "64Mi")),
                limits: Some(container::amounts("2", "512Mi")),
                claims: None,
            }),
            security_context: Some(container::security(false)),
            volume_mounts: Some(mounts(sync)),
            ..Default::default()
        }],
        volumes: Some(volumes(sync)),
        ..Default::default()
    };
    pod::completed(sync.claim.is_of_one_node(), labels(sync), BTreeMap::new(), spec)
}

fn mounts(sync: &ValidatedSync) -> Vec<VolumeMount> {
    let mount = |name: &str, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: format!("/{name}"),
        read_only: read_only.then_some(true),
        ..Default::default()
    };
    let mut mounts = vec![mount("claim", false), mount("order", true), mount("tmp", false)];
    mounts.extend(sync.secret.as_ref().map(|_| mount("secret", true)));
    mounts
}

fn volumes(sync: &ValidatedSync) -> Vec<Volume> {
    let of = |name: &str| Volume { name: name.to_owned(), ..Default::default() };
    let claim_name = sync.claim.name.clone();
    let mut volumes = vec![
        Volume {
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None }),
            ..of("claim")
        },
        Volume { config_map: Some(ConfigMapVolumeSource { name: name(sync), ..Default::default() }), ..of("order") },
        Volume { empty_dir: Some(EmptyDirVolumeSource::default()), ..of("tmp") },
    ];
    volumes.extend(sync.secret.as_ref().map(|name| Volume {
        secret: Some(SecretVolumeSource { secret_name: Some(name.clone()), ..Default::default() }),
        ..of("secret")
    }));
    volumes
}
