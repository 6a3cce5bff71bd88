//! What a job's pod waits for before its program begins: databases that can be connected to. A Database that is ready is so on its own node;
//! until other nodes lead there, and while its server is made anew, connections are refused, and a job runs only once.

use drover_crds as crds;
use k8s_openapi::api::core::v1::{
    Container, EnvVar, EnvVarSource, PodSpec, ResourceRequirements, SecretKeySelector, SecurityContext,
};

use super::{container, pod};
use crate::workload::pods::Pods;

/// Seconds that are waited at most, and which part of the time that the job may take.
const LONGEST: i64 = 300;
const PART: i64 = 2;

/// The same pod, whose first container ends when its databases can be connected to.
pub fn awaiting_databases(pods: &Pods, deadline_seconds: i64, mut spec: PodSpec) -> PodSpec {
    let Some(errands) = pods.errands.as_ref().filter(|_| !pods.databases.is_empty()) else { return spec };
    pod::pull_with(&mut spec, pods, &errands.pull_secrets);
    let within = (deadline_seconds / PART).clamp(1, LONGEST);
    let mut command = ["drover-errands", "await-databases", "--within-seconds"].map(str::to_owned).to_vec();
    command.push(within.to_string());
    let mut env = Vec::new();
    for (at, database) in pods.databases.iter().enumerate() {
        for key in ["host", "port"] {
            let secret = SecretKeySelector {
                name: crds::connection_secret(&database.name),
                key: key.to_owned(),
                optional: None,
            };
            let source = EnvVarSource { secret_key_ref: Some(secret), ..Default::default() };
            let name = format!("{}_{at}", key.to_uppercase());
            env.push(EnvVar { name, value_from: Some(source), ..Default::default() });
        }
        command.push(format!("{}=$(HOST_{at}):$(PORT_{at})", database.name));
    }
    spec.init_containers.get_or_insert_default().insert(
        0,
        Container {
            name: "await-databases".to_owned(),
            image: Some(errands.image.clone()),
            command: Some(command),
            env: Some(env),
            resources: Some(ResourceRequirements {
                requests: Some(container::amounts("10m", "16Mi")),
                limits: Some(container::amounts("1", "64Mi")),
                claims: None,
            }),
            security_context: Some(SecurityContext {
                read_only_root_filesystem: Some(true),
                ..container::security(pods.identity.root)
            }),
            ..Default::default()
        },
    );
    spec
}
