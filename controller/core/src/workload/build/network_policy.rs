//! What may reach the pods: the declared ports, from anywhere, and nothing where none is declared. What they may reach is not restricted.

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPort, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata;
use crate::workload::App;

pub fn network_policy(app: &App, pods: LabelSelector, ports: &[drover_crds::Port]) -> NetworkPolicy {
    let port = |p: &drover_crds::Port| NetworkPolicyPort {
        port: Some(IntOrString::Int(p.port)),
        protocol: Some("TCP".to_owned()),
        end_port: None,
    };
    NetworkPolicy {
        metadata: metadata::child(app, app.object_name()),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(pods),
            policy_types: Some(vec!["Ingress".to_owned()]),
            // A rule without ports would let everybody come to all of them.
            ingress: (!ports.is_empty())
                .then(|| vec![NetworkPolicyIngressRule { ports: Some(ports.iter().map(port).collect()), from: None }]),
            egress: None,
        }),
    }
}
