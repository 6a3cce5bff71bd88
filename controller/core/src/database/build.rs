//! The objects of a [`ValidatedDatabase`]. Nothing here can fail.

use std::collections::BTreeMap;

use drover_crds as crds;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec, StatefulSetUpdateStrategy};
use k8s_openapi::api::core::v1::{
    ConfigMap, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, ExecAction, KeyToPath,
    Lifecycle, LifecycleHandler, PersistentVolumeClaimVolumeSource, PodSpec, Probe, Secret, SecretVolumeSource,
    SecurityContext, Service, ServicePort, ServiceSpec, TCPSocketAction, Volume, VolumeMount,
};
use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{Connection, DatabaseChildren, ValidatedDatabase};
use crate::backup::{self, build::passwd};
use crate::engine::Engine;
use crate::render::Object;
use crate::restore::{self, Restore};
use crate::sync::ErrandImage;
use crate::workload::build::metadata::{self, Labels};
use crate::workload::build::{container, pod, pvc};
use crate::workload::pods::Identity;

/// Where the scripts and the configuration are.
const SETTINGS: &str = "/etc/drover";
/// Seconds that a server has to end cleanly.
const GRACE: i64 = 120;

/// Every child of `database`. `password` is a keyed hash of the password: a server that has another is started anew. Errands run from
/// `errands`; `restore` is what is being loaded.
pub fn children(
    database: &ValidatedDatabase,
    connection: &Connection,
    password: &str,
    errands: &ErrandImage,
    restore: Option<&Restore>,
) -> DatabaseChildren<Vec<Object>> {
    let connection_name = name(database);
    let (of, backup) = (database.server(&connection_name), database.backup.as_ref());
    DatabaseChildren {
        connection: vec![Object::built(&secret(database, connection))],
        settings: vec![Object::built(&settings(database))],
        claim: vec![Object::built(&pvc::pvc(&database.app, &database.claim))],
        service: vec![Object::built(&service(database))],
        network_policy: vec![Object::built(&network_policy(database))],
        server: vec![Object::built(&server(database, password))],
        backup_order: backup.map(|backup| backup::settings(&of, backup)).into_iter().collect(),
        backup_claim: backup.and_then(|backup| backup::claim(&of, backup)).into_iter().collect(),
        backups: backup.map(|backup| backup::cron_job(&of, backup, errands)).into_iter().collect(),
        restore_order: restore
            .map(|wanted| restore::settings(&database.target(&connection_name, &labels(database)), wanted))
            .into_iter()
            .collect(),
    }
}

/// The selector that finds a Database's pods in a namespace.
pub fn selector(instance: &str) -> String {
    metadata::selector_of(instance, crds::COMPONENT_DATABASE)
}

/// What is called after the Database and is no server.
fn name(database: &ValidatedDatabase) -> String {
    crds::connection_secret(&database.app.name)
}

/// The labels of its server's pod.
pub fn labels(database: &ValidatedDatabase) -> Labels {
    metadata::labels_of(&database.app, crds::COMPONENT_DATABASE)
}

/// The password lives and dies with the claim.
fn secret(database: &ValidatedDatabase, connection: &Connection) -> Secret {
    let metadata = metadata::retained(&database.app, name(database), database.claim.retain);
    Secret { metadata, data: Some(connection.data(database)), ..Default::default() }
}

fn settings(database: &ValidatedDatabase) -> ConfigMap {
    let scripts = database.engine.own().serves.iter().map(|(name, text)| (*name, (*text).to_owned()));
    let configuration = database.engine.configuration(database.memory, database.storage);
    let users = ("passwd", passwd(database.engine, database.run_as, "/var/lib/drover"));
    let all = scripts.chain(configuration).chain([users]);
    let mut data: BTreeMap<String, String> = all.map(|(name, text)| (name.to_owned(), text)).collect();
    if database.init.is_some() {
        // Its start waits for what is loaded, where there is no data.
        data.insert("init".to_owned(), "yes\n".to_owned());
    }
    ConfigMap { metadata: metadata::child(&database.app, name(database)), data: Some(data), ..Default::default() }
}

fn service(database: &ValidatedDatabase) -> Service {
    let own = database.engine.own();
    let word = own.word;
    Service {
        metadata: metadata::child(&database.app, database.app.object_name()),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(labels(database)),
            ports: Some(vec![ServicePort {
                name: Some(word.to_owned()),
                port: own.port,
                target_port: Some(IntOrString::String(word.to_owned())),
                protocol: Some("TCP".to_owned()),
                ..Default::default()
            }]),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// Only pods of its own namespace reach it.
fn network_policy(database: &ValidatedDatabase) -> NetworkPolicy {
    let number = database.engine.own().port;
    let port =
        NetworkPolicyPort { port: Some(IntOrString::Int(number)), protocol: Some("TCP".to_owned()), end_port: None };
    let all_here = NetworkPolicyPeer { pod_selector: Some(LabelSelector::default()), ..Default::default() };
    NetworkPolicy {
        metadata: metadata::child(&database.app, database.app.object_name()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector { match_labels: Some(labels(database)), ..Default::default() }),
            policy_types: Some(vec!["Ingress".to_owned()]),
            ingress: Some(vec![NetworkPolicyIngressRule { ports: Some(vec![port]), from: Some(vec![all_here]) }]),
            egress: None,
        }),
    }
}

/// One pod at a time, whatever happens to its node: a StatefulSet makes no second before it knows that the first is gone.
fn server(database: &ValidatedDatabase, password: &str) -> StatefulSet {
    // Scripts and configuration count when it starts: what another version of drover writes there starts no server anew.
    let mut annotations: Labels = [(crds::ANNOTATION_SETTINGS.to_owned(), password.to_owned())].into();
    annotations.extend(database.restored.clone().map(|id| (crds::ANNOTATION_RESTORED.to_owned(), id)));
    StatefulSet {
        metadata: metadata::child(&database.app, database.app.object_name()),
        spec: Some(StatefulSetSpec {
            replicas: Some(1),
            service_name: Some(database.app.object_name()),
            selector: LabelSelector { match_labels: Some(labels(database)), ..Default::default() },
            // With the default a pod that does not come up is not replaced by one of a template that was mended.
            pod_management_policy: Some("Parallel".to_owned()),
            update_strategy: Some(StatefulSetUpdateStrategy {
                type_: Some("RollingUpdate".to_owned()),
                rolling_update: None,
            }),
            template: pod::completed(false, labels(database), annotations, pod_spec(database)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn pod_spec(database: &ValidatedDatabase) -> PodSpec {
    let (user, group) = database.run_as;
    let identity = Identity {
        user: Some(user),
        group: Some(group),
        fs_group: Some(group),
        root: false,
        home: false,
        assumed: false,
    };
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        image_pull_secrets: pod::pull_secrets(&database.pull_secrets),
        security_context: Some(pod::security(&identity, false)),
        termination_grace_period_seconds: Some(GRACE),
        containers: vec![container(database)],
        volumes: Some(volumes(database)),
        ..Default::default()
    }
}

fn container(database: &ValidatedDatabase) -> Container {
    let script = |name: &str| vec!["sh".to_owned(), format!("{SETTINGS}/{name}")];
    let variable =
        |name: &str, value: &str| EnvVar { name: name.to_owned(), value: Some(value.to_owned()), ..Default::default() };
    let own = database.engine.own();
    // Who is connected is sent away.
    let at_once = |command: &str| LifecycleHandler {
        exec: Some(ExecAction { command: Some(["sh", "-c", command].map(str::to_owned).to_vec()) }),
        ..Default::default()
    };
    let accepts = || TCPSocketAction { port: IntOrString::String(own.word.to_owned()), host: None };
    let mut env = vec![
        variable("VERSION", &database.version),
        variable("DATABASE", &database.database),
        variable("OWNER", &database.user),
    ];
    if database.engine == Engine::Postgres {
        env.push(variable("EXTENSIONS", &database.extensions.join(" ")));
    }
    Container {
        name: own.word.to_owned(),
        image: Some(database.image.clone()),
        image_pull_policy: database.pull_policy.map(|policy| policy.as_str().to_owned()),
        command: Some(script("start.sh")),
        env: Some(env),
        ports: Some(vec![ContainerPort {
            name: Some(own.word.to_owned()),
            container_port: own.port,
            protocol: Some("TCP".to_owned()),
            ..Default::default()
        }]),
        resources: Some(container::resources(&database.resources)),
        // Its start sets it up, or recovers what an unclean stop left, and ends by itself when it cannot: nobody ends it for being slow.
        startup_probe: Some(Probe {
            tcp_socket: Some(accepts()),
            period_seconds: Some(2),
            timeout_seconds: Some(2),
            failure_threshold: Some(i32::MAX),
            ..Default::default()
        }),
        readiness_probe: Some(Probe {
            exec: Some(ExecAction { command: Some(script("ready.sh")) }),
            period_seconds: Some(5),
            timeout_seconds: Some(5),
            failure_threshold: Some(2),
            ..Default::default()
        }),
        // Only a server that takes no connections at all for two minutes is started anew: storage that stalls is not mended by that.
        liveness_probe: Some(Probe {
            tcp_socket: Some(accepts()),
            period_seconds: Some(10),
            timeout_seconds: Some(5),
            failure_threshold: Some(12),
            ..Default::default()
        }),
        lifecycle: own.ends_by.map(|command| Lifecycle { pre_stop: Some(at_once(command)), ..Default::default() }),
        security_context: Some(SecurityContext { read_only_root_filesystem: Some(true), ..container::security(false) }),
        volume_mounts: Some(mounts()),
        ..Default::default()
    }
}

fn mounts() -> Vec<VolumeMount> {
    let mount = |name: &str, path: &str| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        ..Default::default()
    };
    let read = |name: &str, path: &str| VolumeMount { read_only: Some(true), ..mount(name, path) };
    vec![
        mount("data", "/var/lib/drover"),
        read("settings", SETTINGS),
        VolumeMount { sub_path: Some("passwd".to_owned()), ..read("settings", "/etc/passwd") },
        read("connection", "/etc/drover-connection"),
        mount("run", "/run/drover"),
        mount("tmp", "/tmp"),
        // Programs share memory there, and a container has 64 MiB of it by itself.
        mount("shared-memory", "/dev/shm"),
    ]
}

fn volumes(database: &ValidatedDatabase) -> Vec<Volume> {
    let of = |name: &str| Volume { name: name.to_owned(), ..Default::default() };
    let claim_name = database.claim.name.clone();
    let empty = |name: &str| Volume { empty_dir: Some(EmptyDirVolumeSource::default()), ..of(name) };
    vec![
        Volume {
            persistent_volume_claim: Some(PersistentVolumeClaimVolumeSource { claim_name, read_only: None }),
            ..of("data")
        },
        Volume {
            config_map: Some(ConfigMapVolumeSource { name: name(database), ..Default::default() }),
            ..of("settings")
        },
        Volume {
            secret: Some(SecretVolumeSource {
                secret_name: Some(name(database)),
                items: Some(vec![KeyToPath {
                    key: super::PASSWORD.to_owned(),
                    path: super::PASSWORD.to_owned(),
                    mode: None,
                }]),
                ..Default::default()
            }),
            ..of("connection")
        },
        empty("run"),
        empty("tmp"),
        Volume {
            empty_dir: Some(EmptyDirVolumeSource {
                medium: Some("Memory".to_owned()),
                size_limit: Some(Quantity((database.memory / 4).to_string())),
            }),
            ..of("shared-memory")
        },
    ]
}
