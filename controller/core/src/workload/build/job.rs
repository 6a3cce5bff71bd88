//! A CronJob for each job with a schedule, and a Job for what is run by hand or at a moment of a release. Their pods are none of the app's: no Service, budget or
//! policy finds them.

use std::collections::BTreeMap;

use drover_crds as crds;
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, Job, JobSpec, JobTemplateSpec};
use k8s_openapi::api::core::v1::{
    Affinity, Container, EnvVar, PodAffinity, PodAffinityTerm, PodSpec, PodTemplateSpec, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference};

use super::awaited::awaiting_databases;
use super::metadata::{self, Labels};
use super::{container, pod, volume};
use crate::schedule::STARTING_DEADLINE;
use crate::workload::App;
use crate::workload::pods::{Access, Pods, ValidatedJob};
use crate::workload::validate::ValidatedWebApp;

/// The variable in which a job before sleep finds the day.
const DAY: &str = "DROVER_DAY";

/// Seconds that a program has to end when it is told to. It has no requests under way, however long these may take; and most programs
/// do not listen when they are the first of their container.
pub(super) const GRACE: i64 = 30;

/// Seconds for which a Job that was made by hand stays after its end, should whoever made it not remove it.
const LEFT_BEHIND: i32 = 600;

/// How many Jobs that succeeded are kept, and how many that failed.
const HISTORY: i32 = 3;

/// The CronJob of `job`, whose pods run near those that `app` selects where they share a volume.
pub fn cron_job(pods: &Pods, job: &ValidatedJob, app: &LabelSelector) -> Option<CronJob> {
    let times = job.times.as_ref()?;
    Some(CronJob {
        metadata: metadata::child(&pods.app, pods.app.cron_name(&job.name)),
        spec: CronJobSpec {
            schedule: times.text().to_owned(),
            time_zone: Some(times.time_zone().to_owned()),
            starting_deadline_seconds: Some(STARTING_DEADLINE),
            concurrency_policy: Some("Forbid".to_owned()),
            successful_jobs_history_limit: Some(HISTORY),
            failed_jobs_history_limit: Some(HISTORY),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels(&pods.app, &job.name)), ..Default::default() }),
                spec: Some(once(pods, job, app)),
            },
            ..Default::default()
        },
        ..Default::default()
    })
}

/// A Job that runs `job` now, whose pods run near those that `app` selects where they share a volume. Kubernetes gives it a name of its own.
pub fn job(pods: &Pods, job: &ValidatedJob, app: &LabelSelector) -> Job {
    Job {
        metadata: ObjectMeta {
            generate_name: Some(format!("{}-", pods.app.cron_name(&job.name))),
            namespace: Some(pods.app.namespace.clone()),
            labels: Some(labels(&pods.app, &job.name)),
            ..Default::default()
        },
        spec: Some(JobSpec { ttl_seconds_after_finished: Some(LEFT_BEHIND), ..once(pods, job, app) }),
        ..Default::default()
    }
}

/// The Job of that name, which runs `job` for a release of `app` ([`of_release`]).
pub fn release_job(
    app: &ValidatedWebApp,
    job: &ValidatedJob,
    name: &str,
    record: OwnerReference,
    day: Option<&str>,
) -> Job {
    of_release(&app.pods, &metadata::label_selector(app), job, name, record, day)
}

/// The Job of that name, which runs `job` for a release and goes with the release's `record`, and learns of a day that ends. It is watched
/// by its owner's label. Its pods run near those that `app` selects where they share a volume.
pub(crate) fn of_release(
    pods: &Pods,
    app: &LabelSelector,
    job: &ValidatedJob,
    name: &str,
    record: OwnerReference,
    day: Option<&str>,
) -> Job {
    let owner = crds::Owner::new(pods.app.kind, &*pods.app.namespace, &*pods.app.name);
    let mut labels = labels(&pods.app, &job.name);
    labels.insert(crds::LABEL_OWNER.to_owned(), owner.label());
    let mut spec = once(pods, job, app);
    let containers = spec.template.spec.iter_mut().flat_map(|pod| &mut pod.containers);
    for (container, day) in containers.zip(day) {
        // Before all others, which may quote it.
        let value = Some(day.to_owned());
        container.env.get_or_insert_default().insert(0, EnvVar { name: DAY.to_owned(), value, ..Default::default() });
    }
    Job {
        metadata: ObjectMeta {
            name: Some(name.to_owned()),
            namespace: Some(pods.app.namespace.clone()),
            labels: Some(labels),
            owner_references: Some(vec![record]),
            ..Default::default()
        },
        spec: Some(spec),
        ..Default::default()
    }
}

fn once(pods: &Pods, job: &ValidatedJob, app: &LabelSelector) -> JobSpec {
    JobSpec {
        // What failed is not tried again: it may have done half of its work.
        backoff_limit: Some(0),
        active_deadline_seconds: Some(job.deadline_seconds),
        template: template(pods, job, app),
        ..Default::default()
    }
}

/// The labels of a job's pods. None is one of those that the app's own pods have, whoever selects these by whatever of them.
pub fn labels(app: &App, job: &str) -> Labels {
    let pairs = [
        (crds::LABEL_NAME, app.child_name(job)),
        (crds::LABEL_PART_OF, app.object_name()),
        (crds::LABEL_COMPONENT, crds::COMPONENT_JOB.to_owned()),
        (crds::LABEL_JOB, job.to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn template(pods: &Pods, job: &ValidatedJob, app: &LabelSelector) -> PodTemplateSpec {
    let shares = pods.volumes.iter().any(|volume| volume.access != Access::AnyPods);
    let mut container = Container {
        command: Some(job.command.clone()),
        args: None,
        working_dir: job.working_dir.clone(),
        ..container::container(pods)
    };
    let joined = pods.share_one_node() || pods.log.as_ref().is_some_and(|log| log.is_of_one_node);
    if let Some(log) = &pods.log {
        container.volume_mounts.get_or_insert_default().push(volume::log_mount(log));
    }
    let mut labels = labels(&pods.app, &job.name);
    labels.insert(crds::LABEL_RELEASE.to_owned(), pods.release.number.to_string());
    let mut spec = PodSpec {
        restart_policy: Some("Never".to_owned()),
        termination_grace_period_seconds: Some(GRACE),
        affinity: shares.then(|| near(app)),
        ..pod::spec(pods, container)
    };
    if let Some(log) = &pods.log {
        spec.volumes.get_or_insert_default().push(volume::log(log));
    }
    pod::completed(joined, labels, BTreeMap::new(), awaiting_databases(pods, job.deadline_seconds, spec))
}

/// On the node of the app's pods, where their volumes are attached; on any while there are none.
pub(super) fn near(app: &LabelSelector) -> Affinity {
    let term = PodAffinityTerm {
        label_selector: Some(app.clone()),
        topology_key: "kubernetes.io/hostname".to_owned(),
        ..Default::default()
    };
    Affinity {
        pod_affinity: Some(PodAffinity {
            preferred_during_scheduling_ignored_during_execution: Some(vec![WeightedPodAffinityTerm {
                pod_affinity_term: term,
                weight: 100,
            }]),
            ..Default::default()
        }),
        ..Default::default()
    }
}
