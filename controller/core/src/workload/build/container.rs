//! The app's container.

use drover_crds as crds;
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapEnvSource, ConfigMapKeySelector, Container, ContainerPort, EnvFromSource, EnvVar,
    EnvVarSource, ExecAction, HTTPGetAction, HTTPHeader, Lifecycle, LifecycleHandler, ObjectFieldSelector, Probe,
    ResourceFieldSelector, ResourceRequirements, SeccompProfile, SecretEnvSource, SecretKeySelector, SecurityContext,
    SleepAction, TCPSocketAction,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::volume;
use crate::workload::validate::{Check, Strategy, ValidatedWebApp};

/// The name of the app's container.
pub const APP: &str = "app";

/// Seconds for which a pod that is to stop goes on answering, until no proxy sends it requests any more.
pub const LEAVE_SECONDS: i64 = 5;

pub fn container(app: &ValidatedWebApp) -> Container {
    let port = |p: &crds::Port| ContainerPort {
        name: Some(p.name.clone()),
        container_port: p.port,
        protocol: Some("TCP".to_owned()),
        ..Default::default()
    };
    let env_from: Vec<EnvFromSource> = app.env_from.iter().map(env_from).collect();
    let resources = ResourceRequirements {
        limits: (!app.resources.limits.is_empty()).then(|| app.resources.limits.clone()),
        requests: (!app.resources.requests.is_empty()).then(|| app.resources.requests.clone()),
        claims: None,
    };
    Container {
        name: APP.to_owned(),
        image: Some(app.image.clone()),
        image_pull_policy: app.pull_policy.map(|p| p.as_str().to_owned()),
        command: app.command.clone(),
        args: app.args.clone(),
        ports: Some(app.ports.iter().map(port).collect()),
        env: Some(env(app)),
        env_from: (!env_from.is_empty()).then_some(env_from),
        resources: Some(resources),
        volume_mounts: Some(volume::mounts(app)),
        startup_probe: Some(startup(app)),
        readiness_probe: Some(readiness(app)),
        liveness_probe: Some(liveness(app)),
        lifecycle: leave_seconds(app).map(|seconds| Lifecycle {
            pre_stop: Some(LifecycleHandler { sleep: Some(SleepAction { seconds }), ..Default::default() }),
            ..Default::default()
        }),
        security_context: Some(security(app.identity.root)),
        ..Default::default()
    }
}

/// How long a pod lingers before it is told to stop. Where the old pod has to be gone before the new one starts, lingering
/// would only lengthen the gap.
pub fn leave_seconds(app: &ValidatedWebApp) -> Option<i64> {
    (app.strategy != Strategy::Recreate).then_some(LEAVE_SECONDS)
}

/// What the Pod Security level `restricted` asks for. Root keeps the runtime's usual capabilities: without them it could not
/// even read files of others.
pub fn security(root: bool) -> SecurityContext {
    SecurityContext {
        allow_privilege_escalation: Some(false),
        capabilities: (!root).then(|| Capabilities { drop: Some(vec!["ALL".to_owned()]), add: None }),
        run_as_non_root: (!root).then_some(true),
        seccomp_profile: Some(SeccompProfile { type_: "RuntimeDefault".to_owned(), localhost_profile: None }),
        ..Default::default()
    }
}

fn env(app: &ValidatedWebApp) -> Vec<EnvVar> {
    let plain = |name: &str, value: String| EnvVar { name: name.to_owned(), value: Some(value), ..Default::default() };
    let mut env = vec![plain("DROVER_RELEASE", app.pods.number.to_string())];
    env.extend(app.pods.commit.clone().map(|commit| plain("DROVER_COMMIT", commit)));
    if volume::brings_home(app) {
        env.push(plain("HOME", volume::HOME.to_owned()));
    }
    env.retain(|e| !app.env.iter().any(|own| own.name == e.name));
    env.extend(app.env.iter().map(|e| EnvVar {
        name: e.name.clone(),
        value: e.value.clone(),
        value_from: e.value_from.as_ref().map(value_from),
    }));
    env
}

fn value_from(source: &crds::EnvSource) -> EnvVarSource {
    EnvVarSource {
        secret_key_ref: source.secret_key_ref.clone().map(|r| SecretKeySelector {
            name: r.name,
            key: r.key,
            optional: r.optional,
        }),
        config_map_key_ref: source.config_map_key_ref.clone().map(|r| ConfigMapKeySelector {
            name: r.name,
            key: r.key,
            optional: r.optional,
        }),
        field_ref: source
            .field_ref
            .clone()
            .map(|r| ObjectFieldSelector { field_path: r.field_path, api_version: None }),
        resource_field_ref: source.resource_field_ref.clone().map(|r| ResourceFieldSelector {
            resource: r.resource,
            divisor: r.divisor,
            container_name: None,
        }),
        file_key_ref: None,
    }
}

fn env_from(source: &crds::EnvFrom) -> EnvFromSource {
    EnvFromSource {
        prefix: source.prefix.clone(),
        secret_ref: source.secret_ref.clone().map(|r| SecretEnvSource { name: r.name, optional: r.optional }),
        config_map_ref: source
            .config_map_ref
            .clone()
            .map(|r| ConfigMapEnvSource { name: r.name, optional: r.optional }),
    }
}

fn probe(check: &Check, timeout: i32) -> Probe {
    let port = |name: &str| IntOrString::String(name.to_owned());
    let mut probe = Probe { timeout_seconds: Some(timeout), ..Default::default() };
    match check {
        Check::Http { path, host, port: name } => {
            let header = |value: &String| HTTPHeader { name: "Host".to_owned(), value: value.clone() };
            probe.http_get = Some(HTTPGetAction {
                path: Some(path.clone()),
                port: port(name),
                http_headers: host.as_ref().map(|h| vec![header(h)]),
                ..Default::default()
            });
        }
        Check::Tcp { port: name } => probe.tcp_socket = Some(TCPSocketAction { port: port(name), host: None }),
        Check::Command(command) => probe.exec = Some(ExecAction { command: Some(command.clone()) }),
    }
    probe
}

fn startup(app: &ValidatedWebApp) -> Probe {
    Probe {
        period_seconds: Some(app.probes.startup_period),
        failure_threshold: Some(app.probes.startup_failures),
        ..probe(&app.probes.serves, app.probes.timeout)
    }
}

fn readiness(app: &ValidatedWebApp) -> Probe {
    Probe {
        period_seconds: Some(app.probes.period),
        failure_threshold: Some(app.probes.not_ready_after),
        ..probe(&app.probes.serves, app.probes.timeout)
    }
}

fn liveness(app: &ValidatedWebApp) -> Probe {
    Probe {
        period_seconds: Some(app.probes.period),
        failure_threshold: Some(app.probes.restart_after),
        ..probe(&app.probes.lives, app.probes.timeout)
    }
}
