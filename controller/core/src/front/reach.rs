//! Where a Service of the namespace is, and why a route leads nowhere.

use core::net::{IpAddr, SocketAddr};

use k8s_openapi::api::core::v1::Service;

use super::routes::ServicePort;

/// Why a route leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreachable {
    /// There is none.
    #[error("there is no Service {service}: make it, or correct the route")]
    Missing {
        /// Its name.
        service: String,
    },
    /// It has no such port.
    #[error(
        "Service {service} has no port {port}, but {known}: write one of these in the route, or add it to the Service"
    )]
    Port {
        /// Its name.
        service: String,
        /// The number of the port.
        port: i32,
        /// Its ports.
        known: String,
    },
    /// There are no files yet.
    #[error("the DataSync {data_sync} has published no files yet: make it, or see what its status says")]
    Unpublished {
        /// Its name.
        data_sync: String,
    },
    /// It has no address of its own.
    #[error(
        "Service {service} has no address of its own, being headless or a name of something else: make one beside it of type ClusterIP, and lead the route there"
    )]
    NoAddress {
        /// Its name.
        service: String,
    },
}

impl Unreachable {
    /// One CamelCase word.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "ServiceMissing",
            Self::Port { .. } => "PortMissing",
            Self::NoAddress { .. } => "ServiceHasNoAddress",
            Self::Unpublished { .. } => "DataMissing",
        }
    }
}

/// The address at which the Service itself is; `None` where it has none yet, or never will.
pub fn address(service: &Service) -> Option<IpAddr> {
    service.spec.as_ref()?.cluster_ip.as_deref()?.parse().ok()
}

/// The address at which requests for `wanted` are taken by the Service of that name, where it is there.
pub fn reach(service: Option<&Service>, wanted: &ServicePort) -> Result<SocketAddr, Unreachable> {
    let name = || wanted.service.clone();
    let service = service.ok_or_else(|| Unreachable::Missing { service: name() })?;
    let address = address(service).ok_or_else(|| Unreachable::NoAddress { service: name() })?;
    let ports = || service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let is_tcp = |protocol: &Option<String>| protocol.as_deref().is_none_or(|protocol| protocol == "TCP");
    let found = ports().find(|port| port.port == wanted.port && is_tcp(&port.protocol));
    let port = found.and_then(|port| u16::try_from(port.port).ok());
    port.map(|port| (address, port).into()).ok_or_else(|| {
        let known: Vec<String> = ports().map(|port| port.port.to_string()).collect();
        Unreachable::Port { service: name(), port: wanted.port, known: known.join(", ") }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_service_is_reached_at_its_own_address() {
        let service = |spec| serde_json::from_value::<Service>(json!({"spec": spec})).expect("a Service");
        let wanted = ServicePort { service: "tree".into(), port: 4001 };
        let ports = json!([{"port": 4001, "protocol": "UDP"}, {"port": 4001}, {"port": 80}]);
        let there = service(json!({"clusterIP": "10.96.0.9", "ports": ports}));
        assert_eq!(reach(Some(&there), &wanted), Ok("10.96.0.9:4001".parse().expect("an address")));
        let six = service(json!({"clusterIP": "fd00::9", "ports": ports}));
        assert_eq!(reach(Some(&six), &wanted), Ok("[fd00::9]:4001".parse().expect("an address")));
        for (found, reason) in [
            (None, "ServiceMissing"),
            (Some(service(json!({"clusterIP": "None", "ports": ports}))), "ServiceHasNoAddress"),
            (Some(service(json!({"type": "ExternalName", "externalName": "example.org"}))), "ServiceHasNoAddress"),
            (Some(service(json!({"clusterIP": "10.96.0.9", "ports": [{"port": 80}]}))), "PortMissing"),
        ] {
            let error = reach(found.as_ref(), &wanted).expect_err(reason);
            assert!(error.reason() == reason && error.to_string().contains("tree"), "{error}");
        }
    }
}
