//! What every container of an app has, whatever makes its pods.

use std::collections::BTreeMap;

use drover_crds as crds;
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapEnvSource, ConfigMapKeySelector, Container, EnvFromSource, EnvVar, EnvVarSource,
    ObjectFieldSelector, ResourceFieldSelector, ResourceRequirements, SeccompProfile, SecretEnvSource,
    SecretKeySelector, SecurityContext,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::volume;
use crate::workload::pods::Pods;

/// The name of the app's container.
pub const APP: &str = "app";

/// The one container of these pods, as far as they themselves say: whoever takes requests adds ports and probes.
pub fn container(pods: &Pods) -> Container {
    let env_from: Vec<EnvFromSource> = pods.env_from.iter().map(|source| env_from(pods, source)).collect();
    Container {
        name: APP.to_owned(),
        image: Some(pods.image.clone()),
        image_pull_policy: pods.pull_policy.map(|p| p.as_str().to_owned()),
        command: pods.command.clone(),
        args: pods.args.clone(),
        env: Some(env(pods)),
        env_from: (!env_from.is_empty()).then_some(env_from),
        resources: Some(resources(&pods.resources)),
        volume_mounts: Some(volume::mounts(pods)),
        security_context: Some(security(pods.identity.root)),
        ..Default::default()
    }
}

/// What a spec says of CPU and memory, as a container has it.
pub fn resources(asked: &crds::Resources) -> ResourceRequirements {
    let amounts = |amounts: &BTreeMap<String, Quantity>| (!amounts.is_empty()).then(|| amounts.clone());
    ResourceRequirements { limits: amounts(&asked.limits), requests: amounts(&asked.requests), claims: None }
}

/// So much CPU and memory.
pub fn amounts(cpu: &str, memory: &str) -> BTreeMap<String, Quantity> {
    [("cpu", cpu), ("memory", memory)].map(|(k, v)| (k.to_owned(), Quantity(v.to_owned()))).into()
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

fn env(pods: &Pods) -> Vec<EnvVar> {
    let plain = |name: &str, value: String| EnvVar { name: name.to_owned(), value: Some(value), ..Default::default() };
    let mut env = vec![plain("DROVER_RELEASE", pods.release.number.to_string())];
    env.extend(pods.release.commit.clone().map(|commit| plain("DROVER_COMMIT", commit)));
    env.extend(pods.image_revision.clone().map(|revision| plain("DROVER_IMAGE_REVISION", revision)));
    if volume::brings_home(pods) {
        env.push(plain("HOME", volume::HOME.to_owned()));
    }
    env.retain(|e| !pods.env.iter().any(|own| own.name == e.name));
    for database in &pods.databases {
        let of_secret = |(key, variable): (&str, &String)| EnvVar {
            name: variable.clone(),
            value_from: Some(EnvVarSource {
                secret_key_ref: Some(SecretKeySelector {
                    name: crds::connection_secret(&database.name),
                    key: key.to_owned(),
                    optional: None,
                }),
                ..Default::default()
            }),
            ..Default::default()
        };
        env.extend(database.env.named().map(of_secret));
    }
    // Behind these, so that the app's own may name them as $(NAME).
    env.extend(pods.env.iter().map(|e| EnvVar {
        name: e.name.clone(),
        value: e.value.clone(),
        value_from: e.value_from.as_ref().map(|source| value_from(pods, source)),
    }));
    env
}

fn value_from(pods: &Pods, source: &crds::EnvSource) -> EnvVarSource {
    EnvVarSource {
        secret_key_ref: source.secret_key_ref.clone().map(|r| SecretKeySelector {
            name: r.name,
            key: r.key,
            optional: r.optional,
        }),
        config_map_key_ref: source.config_map_key_ref.clone().map(|r| ConfigMapKeySelector {
            name: pods.settings.config_map(r.name),
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

fn env_from(pods: &Pods, source: &crds::EnvFrom) -> EnvFromSource {
    EnvFromSource {
        prefix: source.prefix.clone(),
        secret_ref: source.secret_ref.clone().map(|r| SecretEnvSource { name: r.name, optional: r.optional }),
        config_map_ref: source
            .config_map_ref
            .clone()
            .map(|r| ConfigMapEnvSource { name: pods.settings.config_map(r.name), optional: r.optional }),
    }
}
