//! What the front is made of: its configuration, its pod, its address; and what removes its old logs.

use std::collections::BTreeMap;

use drover_crds as crds;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, DeploymentStrategy, RollingUpdateDeployment};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, JobSpec, JobTemplateSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, HTTPGetAction, Lifecycle,
    LifecycleHandler, PodSpec, PodTemplateSpec, Probe, ResourceRequirements, SecurityContext, Service, ServicePort,
    ServiceSpec, SleepAction, Volume, VolumeMount,
};
use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use sha2::{Digest as _, Sha256};

use super::metadata::{self, Labels};
use super::{container, job, pod, volume};
use crate::front::{FILES, LOGS, PORT, PROBE_PATH, PROBE_PORT, configuration};
use crate::schedule::{STARTING_DEADLINE, TIME_ZONE};
use crate::workload::App;
use crate::workload::pods::{Identity, Pods, ValidatedVolume};
use crate::workload::validate::{PRUNES_LOGS, ValidatedFront, ValidatedWebApp};

/// Who every front runs as: its image's user does not matter.
const USER: i64 = 65_532;
/// The file of the configuration.
const FILE: &str = "nginx.conf";
/// The folder of that file.
const FOLDER: &str = "/etc/drover-front";
/// Seconds until no proxy sends requests to a pod any more that is to stop.
const LEAVE_SECONDS: i64 = 10;
/// Seconds, at most, for which a pod that is to stop lets requests come to their end.
const LONGEST_LEAVE: i64 = 300;
/// Seconds within which a new front has to come up.
const ROLLING_SECONDS: i32 = 180;

/// The labels of the front's pods. None is one of those that the app's own pods have.
fn selector(app: &App) -> Labels {
    let pairs = [
        (crds::LABEL_NAME, app.front_name()),
        (crds::LABEL_PART_OF, app.object_name()),
        (crds::LABEL_COMPONENT, crds::COMPONENT_FRONT.to_owned()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What selects the front's pods, as text for list requests.
pub fn selector_text(app: &App) -> String {
    selector(app).iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>().join(",")
}

/// What differs when the configuration has changed.
pub fn configuration_hash(front: &ValidatedFront) -> String {
    hex::encode(&Sha256::digest(configuration(&front.front, &front.upstreams))[..16])
}

pub fn config_map(app: &App, front: &ValidatedFront) -> ConfigMap {
    ConfigMap {
        metadata: metadata::child(app, app.front_name()),
        data: Some([(FILE.to_owned(), configuration(&front.front, &front.upstreams))].into()),
        ..Default::default()
    }
}

pub fn service(app: &App) -> Service {
    let port = ServicePort {
        name: Some("http".to_owned()),
        port: PORT,
        target_port: Some(IntOrString::Int(PORT)),
        protocol: Some("TCP".to_owned()),
        ..Default::default()
    };
    Service {
        metadata: metadata::child(app, app.front_name()),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(selector(app)),
            ports: Some(vec![port]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// From anywhere; the kubelet asks past it.
pub fn network_policy(app: &App) -> NetworkPolicy {
    let port =
        NetworkPolicyPort { port: Some(IntOrString::Int(PORT)), protocol: Some("TCP".to_owned()), end_port: None };
    NetworkPolicy {
        metadata: metadata::child(app, app.front_name()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector { match_labels: Some(selector(app)), ..Default::default() }),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule { ports: Some(vec![port]), from: None }]),
            egress: None,
        }),
    }
}

pub fn deployment(app: &ValidatedWebApp, front: &ValidatedFront) -> Deployment {
    let owner = &app.pods.app;
    Deployment {
        metadata: metadata::child(owner, owner.front_name()),
        spec: Some(DeploymentSpec {
            replicas: Some(1),
            selector: LabelSelector { match_labels: Some(selector(owner)), ..Default::default() },
            // Two write to one log for a while: each line is one write at the file's end.
            strategy: Some(DeploymentStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: Some(RollingUpdateDeployment {
                    max_surge: Some(IntOrString::Int(1)),
                    max_unavailable: Some(IntOrString::Int(0)),
                }),
            }),
            revision_history_limit: Some(2),
            progress_deadline_seconds: Some(ROLLING_SECONDS),
            template: template(&app.pods, front),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn template(pods: &Pods, front: &ValidatedFront) -> PodTemplateSpec {
    let leave = LEAVE_SECONDS + i64::try_from(front.front.seconds).unwrap_or(LONGEST_LEAVE).min(LONGEST_LEAVE);
    let mut labels = metadata::labels(&pods.app);
    labels.remove(crds::LABEL_INSTANCE);
    labels.extend(selector(&pods.app));
    let annotations = BTreeMap::from([(crds::ANNOTATION_CONFIGURATION.to_owned(), configuration_hash(front))]);
    let spec = PodSpec {
        // Requests under way come to their end, whatever the image does when it is told to stop.
        termination_grace_period_seconds: Some(leave + 5),
        image_pull_secrets: pod::pull_secrets(&front.front.pull_secrets),
        ..pod_spec(pods, front, nginx(pods, front, leave), volumes(pods, front))
    };
    pod::completed(front.is_of_one_node(), labels, annotations, spec)
}

fn pod_spec(pods: &Pods, front: &ValidatedFront, container: Container, volumes: Vec<Volume>) -> PodSpec {
    // What the app's pods may read and write by their group it may too, and so nobody changes the group of files back and forth.
    let fs_group = pods.identity.fs_group.or(front.log_claim.as_ref().map(|_| USER));
    let who = Some(USER);
    let identity = Identity { user: who, group: who, fs_group, root: false, home: false, assumed: false };
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        security_context: Some(pod::security(&identity, false)),
        containers: vec![container],
        volumes: Some(volumes),
        ..Default::default()
    }
}

fn nginx(pods: &Pods, front: &ValidatedFront, leave: i64) -> Container {
    let command = ["nginx", "-e", "stderr", "-c"].map(str::to_owned).into_iter();
    let probe = |period: i32, failures: i32| Probe {
        http_get: Some(HTTPGetAction {
            path: Some(PROBE_PATH.to_owned()),
            port: IntOrString::Int(PROBE_PORT),
            ..Default::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(5),
        failure_threshold: Some(failures),
        ..Default::default()
    };
    let zone = front.front.log.as_ref().map(|log| EnvVar {
        name: "TZ".to_owned(),
        value: Some(log.zone.clone()),
        ..Default::default()
    });
    Container {
        name: "front".to_owned(),
        image: Some(front.front.image.clone()),
        command: Some(command.chain([format!("{FOLDER}/{FILE}")]).collect()),
        env: zone.map(|zone| vec![zone]),
        ports: Some(vec![ContainerPort {
            name: Some("http".to_owned()),
            container_port: PORT,
            protocol: Some("TCP".to_owned()),
            ..Default::default()
        }]),
        readiness_probe: Some(probe(5, 2)),
        liveness_probe: Some(probe(10, 6)),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler { sleep: Some(SleepAction { seconds: leave }), ..Default::default() }),
            ..Default::default()
        }),
        resources: Some(ResourceRequirements {
            requests: Some(container::amounts("20m", "32Mi")),
            limits: Some(container::amounts("2", "256Mi")),
            claims: None,
        }),
        security_context: Some(read_only_root()),
        volume_mounts: Some(mounts(pods, front)),
        ..Default::default()
    }
}

fn read_only_root() -> SecurityContext {
    SecurityContext { read_only_root_filesystem: Some(true), ..container::security(false) }
}

fn mounts(pods: &Pods, front: &ValidatedFront) -> Vec<VolumeMount> {
    let own = |name: &str, mount_path: &str, read_only: bool| VolumeMount {
        name: name.to_owned(),
        mount_path: mount_path.to_owned(),
        read_only: read_only.then_some(true),
        ..Default::default()
    };
    let served = |volume: &ValidatedVolume| VolumeMount {
        sub_path: volume.folder(),
        ..own(&volume.name, &format!("{FILES}/{}", volume.name), true)
    };
    let mut mounts = vec![own("drover-front", FOLDER, true), own("drover-tmp", "/tmp", false)];
    mounts.extend(front.volumes.iter().map(served));
    if pods.log.is_some() {
        mounts.push(own(volume::LOG, LOGS, false));
    }
    mounts
}

fn volumes(pods: &Pods, front: &ValidatedFront) -> Vec<Volume> {
    let mut volumes = vec![
        Volume {
            name: "drover-front".to_owned(),
            config_map: Some(ConfigMapVolumeSource { name: pods.app.front_name(), ..Default::default() }),
            ..Default::default()
        },
        Volume {
            name: "drover-tmp".to_owned(),
            empty_dir: Some(EmptyDirVolumeSource::default()),
            ..Default::default()
        },
    ];
    volumes.extend(front.volumes.iter().map(|served| volume::volume(pods, served)));
    volumes.extend(pods.log.as_ref().map(volume::log));
    volumes
}

/// What removes old logs, every night.
pub fn prune_logs(pods: &Pods, front: &ValidatedFront) -> Option<CronJob> {
    let (log, claim) = (front.front.log.as_ref()?, pods.log.as_ref()?);
    let (image, pull_secrets) = &front.errands;
    let mut command = ["drover-errands", "prune-logs", "--folder", LOGS, "--keep-days"].map(str::to_owned).to_vec();
    command.push(log.keep_days.to_string());
    let container = Container {
        name: "errand".to_owned(),
        image: Some(image.clone()),
        command: Some(command),
        resources: Some(ResourceRequirements {
            requests: Some(container::amounts("10m", "16Mi")),
            limits: Some(container::amounts("1", "64Mi")),
            claims: None,
        }),
        security_context: Some(read_only_root()),
        volume_mounts: Some(vec![VolumeMount {
            name: volume::LOG.to_owned(),
            mount_path: LOGS.to_owned(),
            ..Default::default()
        }]),
        ..Default::default()
    };
    let spec = PodSpec {
        restart_policy: Some("Never".to_owned()),
        image_pull_secrets: pod::pull_secrets(pull_secrets),
        ..pod_spec(pods, front, container, vec![volume::log(claim)])
    };
    let labels = job::labels(&pods.app, PRUNES_LOGS);
    Some(CronJob {
        metadata: metadata::child(&pods.app, pods.app.cron_name(PRUNES_LOGS)),
        spec: CronJobSpec {
            schedule: "20 3 * * *".to_owned(),
            time_zone: Some(TIME_ZONE.to_owned()),
            starting_deadline_seconds: Some(STARTING_DEADLINE),
            concurrency_policy: Some("Forbid".to_owned()),
            successful_jobs_history_limit: Some(1),
            failed_jobs_history_limit: Some(1),
            job_template: JobTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels.clone()), ..Default::default() }),
                spec: Some(JobSpec {
                    backoff_limit: Some(0),
                    active_deadline_seconds: Some(600),
                    template: pod::completed(claim.is_of_one_node, labels, BTreeMap::new(), spec),
                    ..Default::default()
                }),
            },
            ..Default::default()
        },
        ..Default::default()
    })
}
