//! Where a broker is, by the URL of a spec.

use core::fmt;
use core::net::IpAddr;

use super::unasked::Unasked;
use crate::front::ServicePort;

/// Below a broker's console: where Jolokia is.
const JOLOKIA: &str = "api/jolokia";

/// A broker's console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    is_tls: bool,
    /// Whose host.
    pub host: Host,
    /// The port.
    pub port: u16,
    /// Begins and ends with a slash.
    path: String,
}

/// The host of a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// A Service of the namespace.
    Service {
        /// Its name.
        name: String,
        /// A name that it has in all of the cluster.
        whole: String,
    },
    /// Whoever has that name.
    Named(String),
    /// An address.
    Address(IpAddr),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service { whole: name, .. } | Self::Named(name) => f.write_str(name),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

impl Broker {
    /// Reads the URL of a spec of that namespace.
    pub fn read(url: &str, namespace: &str) -> Result<Self, Unasked> {
        let wrong = || Unasked::Url { url: shown(url) };
        let (is_tls, rest) = match url.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            _ => return Err(wrong()),
        };
        if rest.contains(['@', '?', '#', '\\']) || rest.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(wrong());
        }
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        // Behind the bracket of an address of IPv6 there may be a port.
        let split = match authority.strip_prefix('[') {
            Some(inner) => inner.split_once(']').map(|(host, port)| (host, port.strip_prefix(':'), port.is_empty())),
            None => match authority.split_once(':') {
                Some((host, port)) => Some((host, Some(port), false)),
                None => Some((authority, None, true)),
            },
        };
        let (host, port, has_none) = split.ok_or_else(wrong)?;
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?,
            None if has_none => {
                if is_tls {
                    443
                } else {
                    80
                }
            }
            None => return Err(wrong()),
        };
        let host = host.trim_end_matches('.');
        let host = match host.parse() {
            Ok(address) => Host::Address(address),
            Err(_) if authority.starts_with('[') => return Err(wrong()),
            Err(_) => named(host, namespace).ok_or_else(wrong)?,
        };
        let path = path.trim_matches('/');
        let path = if path.is_empty() { "/".to_owned() } else { format!("/{path}/") };
        Ok(Self { is_tls, host, port, path })
    }

    /// Where questions go.
    pub fn jolokia(&self) -> String {
        format!("{}{}{JOLOKIA}", self.origin(), self.path)
    }

    /// Scheme, host and port.
    pub fn origin(&self) -> String {
        format!("{}://{}:{}", if self.is_tls { "https" } else { "http" }, self.host, self.port)
    }

    /// The Service and the port where it is one's.
    pub fn service(&self) -> Option<ServicePort> {
        match &self.host {
            Host::Service { name, .. } => Some(ServicePort { service: name.clone(), port: i32::from(self.port) }),
            Host::Named(_) | Host::Address(_) => None,
        }
    }
}

/// Who has that name, seen from the namespace.
fn named(host: &str, namespace: &str) -> Option<Host> {
    let host = host.to_ascii_lowercase();
    let is_label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if host.is_empty() || host.len() > 253 || !host.split('.').all(is_label) {
        return None;
    }
    let in_cluster = host.strip_suffix(".cluster.local").unwrap_or(&host);
    let name = match in_cluster.split('.').collect::<Vec<_>>()[..] {
        [name] if name != "localhost" => Some(name),
        [name, of] | [name, of, "svc"] if of == namespace => Some(name),
        _ => None,
    };
    Some(match name {
        Some(name) => Host::Service { name: name.to_owned(), whole: format!("{name}.{namespace}.svc") },
        None => Host::Named(host),
    })
}

/// What a person wrote, as far as it is of use.
fn shown(url: &str) -> String {
    url.chars().take(200).flat_map(char::escape_debug).collect()
}
