//! The Service: the app's name, the app's ports, and those that others made before.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::metadata;
use crate::workload::takeover::KeptPort;
use crate::workload::validate::ValidatedWebApp;

pub fn service(app: &ValidatedWebApp) -> Service {
    let port = |p: &drover_crds::Port| ServicePort {
        name: Some(p.name.clone()),
        port: p.port,
        target_port: Some(IntOrString::String(p.name.clone())),
        protocol: Some("TCP".to_owned()),
        ..Default::default()
    };
    let kept = |p: &KeptPort| ServicePort {
        name: Some(p.name.clone()),
        port: p.port,
        target_port: Some(IntOrString::String(p.target.clone())),
        protocol: Some("TCP".to_owned()),
        ..Default::default()
    };
    Service {
        metadata: metadata::child(&app.pods.app, app.pods.app.object_name()),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".to_owned()),
            selector: Some(metadata::pod_selector(&app.pods.app, &app.kept)),
            ports: Some(app.ports.iter().map(port).chain(app.kept.ports.iter().map(kept)).collect()),
            ..Default::default()
        }),
        ..Default::default()
    }
}
