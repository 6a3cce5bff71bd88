//! The questions that the kubelet asks.

use k8s_openapi::api::core::v1::{ExecAction, HTTPGetAction, HTTPHeader, Probe, TCPSocketAction};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::workload::validate::{Check, Probes};

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

pub fn startup(probes: &Probes) -> Probe {
    Probe {
        period_seconds: Some(probes.startup_period),
        failure_threshold: Some(probes.startup_failures),
        ..probe(&probes.serves, probes.timeout)
    }
}

pub fn readiness(probes: &Probes) -> Probe {
    Probe {
        period_seconds: Some(probes.period),
        failure_threshold: Some(probes.not_ready_after),
        ..probe(&probes.serves, probes.timeout)
    }
}

pub fn liveness(probes: &Probes) -> Probe {
    Probe {
        period_seconds: Some(probes.period),
        failure_threshold: Some(probes.restart_after),
        ..probe(&probes.lives, probes.timeout)
    }
}
