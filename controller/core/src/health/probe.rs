//! Which probe keeps a container from being ready.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Probe};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

const STARTUP: &str = "startup probe";

/// A probe that has not been answered yet.
pub(super) struct Pending<'a> {
    name: &'static str,
    probe: &'a Probe,
}

/// The probe that the container waits for: the startup probe until it has passed once, then the readiness probe.
pub(super) fn pending<'a>(spec: &'a Container, status: &ContainerStatus) -> Option<Pending<'a>> {
    match (&spec.startup_probe, &spec.readiness_probe) {
        (Some(probe), _) if status.started != Some(true) => Some(Pending { name: STARTUP, probe }),
        (_, Some(probe)) => Some(Pending { name: "readiness probe", probe }),
        _ => None,
    }
}

impl Pending<'_> {
    /// Whether a container that ran for that many seconds without an answer is ended for it: only a startup probe does that to
    /// one that never was ready.
    pub fn ends_after(&self, ran: i64) -> bool {
        let period = i64::from(self.probe.period_seconds.unwrap_or(10));
        let tries = i64::from(self.probe.failure_threshold.unwrap_or(3));
        // The first try comes within a period.
        self.name == STARTUP && ran >= (tries - 1) * period
    }

    /// Such as `readiness probe GET /login on port 3000 with Host shop.example.org`.
    pub fn describe(&self) -> String {
        let name = self.name;
        if let Some(http) = &self.probe.http_get {
            let host = http.http_headers.iter().flatten().find(|header| header.name.eq_ignore_ascii_case("host"));
            let host = host.map(|header| format!(" with Host {}", header.value)).unwrap_or_default();
            let path = http.path.as_deref().unwrap_or("/");
            return format!("{name} GET {path} on port {}{host}", port(&http.port));
        }
        if let Some(tcp) = &self.probe.tcp_socket {
            return format!("{name} on TCP port {}", port(&tcp.port));
        }
        if let Some(grpc) = &self.probe.grpc {
            return format!("{name} by gRPC on port {}", grpc.port);
        }
        match self.probe.exec.as_ref().and_then(|exec| exec.command.as_ref()?.first()) {
            Some(program) => format!("{name}, the command {program}"),
            None => name.to_owned(),
        }
    }

    /// What is most often the matter.
    pub fn advice(&self) -> &'static str {
        if self.probe.http_get.is_some() {
            "it may still be starting, listen on another port or on 127.0.0.1 only, answer that path with an error, or refuse \
             the Host header; its log says more"
        } else if self.probe.exec.is_some() {
            "run that command in the container to see what it says"
        } else {
            "it may still be starting, or listen on another port or on 127.0.0.1 only; its log says more"
        }
    }
}

fn port(port: &IntOrString) -> String {
    match port {
        IntOrString::Int(number) => number.to_string(),
        IntOrString::String(name) => name.clone(),
    }
}
