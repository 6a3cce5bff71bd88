//! Where requests from outside go.

use std::collections::BTreeSet;

use drover_crds as crds;

use super::port_named;
use crate::front;
use crate::workload::{App, Invalid};

/// A host and path, and the Service's port that they lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedRoute {
    /// The host.
    pub host: String,
    /// The path.
    pub path: String,
    /// The Service.
    pub service: String,
    /// The number of its port.
    pub port: i32,
}

/// A certificate and its hosts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsEntry {
    /// The hosts.
    pub hosts: Vec<String>,
    /// The Secret.
    pub secret: String,
}

pub(super) fn routes(app: &App, spec: &crds::WebAppSpec, main: &crds::Port) -> Result<Vec<ValidatedRoute>, Invalid> {
    let mut seen = BTreeSet::new();
    let mut routes = Vec::with_capacity(spec.routes.len());
    for route in &spec.routes {
        let (host, path) = (route.host.clone(), route.path.clone());
        if !path_is_plain(&path) {
            return Err(Invalid::RoutePath { host, path });
        }
        if !seen.insert((host.clone(), path.clone())) {
            return Err(Invalid::RouteTwice { host, path });
        }
        let to = &route.to;
        let (service, port) = match (&to.app, &to.service, to.address.is_some() || to.files.is_some()) {
            (Some(target), None, false) => {
                let field = format!("the route {host}{path}");
                (app.object_name(), port_named(&spec.ports, target.port.as_deref(), main, &field)?.port)
            }
            (None, Some(target), false) => (target.name.clone(), target.port),
            // The front knows where.
            (None, None, true) => (app.front_name(), front::PORT),
            _ => return Err(Invalid::RouteTarget { host, path }),
        };
        let (service, port) = if spec.has_front() { (app.front_name(), front::PORT) } else { (service, port) };
        routes.push(ValidatedRoute { host, path, service, port });
    }
    Ok(routes)
}

/// Nothing from a path may mean something to the proxy that gets it.
fn path_is_plain(path: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "/._~!$&'()*+,;=:@%-".contains(c);
    path.starts_with('/')
        && path.chars().all(allowed)
        && !path.contains("//")
        && !path.split('/').any(|s| s == "." || s == "..")
}

pub(super) fn tls(spec: &crds::WebAppSpec, routes: &[ValidatedRoute]) -> Result<Vec<TlsEntry>, Invalid> {
    for host in spec.tls.iter().flat_map(|t| &t.hosts) {
        if !routes.iter().any(|r| &r.host == host) {
            return Err(Invalid::TlsHost { host: host.clone() });
        }
    }
    Ok(spec.tls.iter().map(|t| TlsEntry { hosts: t.hosts.clone(), secret: t.secret_name.clone() }).collect())
}

pub(super) fn url(routes: &[ValidatedRoute], tls: &[TlsEntry]) -> Option<String> {
    let first = routes.first()?;
    let secure = tls.iter().any(|t| t.hosts.contains(&first.host));
    Some(format!("{}://{}{}", if secure { "https" } else { "http" }, first.host, first.path))
}
