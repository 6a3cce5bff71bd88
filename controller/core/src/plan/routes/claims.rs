//! What one Ingress claims: hosts, and paths on them.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

/// Annotation by which two Ingresses of a namespace share a route on purpose.
const CANARY: &str = "nginx.ingress.kubernetes.io/canary";
/// How the class was written before it became a field.
const CLASS: &str = "kubernetes.io/ingress.class";
/// Ends of annotations that name further hosts, whatever the controller.
const ALIAS: &str = "/server-alias";
/// Ends of annotations that also answer for the host with, or without, `www.`.
const WWW: &str = "/from-to-www-redirect";

/// Whose requests are meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// Those for hosts that nobody else has.
    Any,
    /// Those for all hosts below this one.
    Below(String),
    /// Those for this host.
    Named(String),
}

impl Host {
    /// A host as an Ingress writes it.
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix("*.") {
            _ if text.is_empty() || text == "*" => Self::Any,
            Some(parent) => Self::Below(parent.to_ascii_lowercase()),
            None => Self::Named(text.to_ascii_lowercase()),
        }
    }

    /// Whether some request is for both. What names no host claims none.
    pub fn meets(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Named(one), Self::Named(other)) => one == other,
            (Self::Named(name), Self::Below(parent)) | (Self::Below(parent), Self::Named(name)) => {
                is_below(name, parent)
            }
            (Self::Below(one), Self::Below(other)) => one == other || is_below(one, other) || is_below(other, one),
            (Self::Any, Self::Any) => true,
            (Self::Any, _) | (_, Self::Any) => false,
        }
    }
}

/// At any depth: ingress controllers differ in how deep a wildcard goes.
fn is_below(name: &str, parent: &str) -> bool {
    name.strip_suffix(parent).is_some_and(|rest| rest.ends_with('.'))
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.write_str("*"),
            Self::Below(parent) => write!(f, "*.{parent}"),
            Self::Named(name) => f.write_str(name),
        }
    }
}

/// A host and path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route {
    /// The host.
    pub host: Host,
    /// The path, without a slash at its end.
    pub path: String,
    /// Whether it is this path alone. Such a path may stand beside the same one with everything below it.
    pub exact: bool,
}

impl Route {
    fn whole(host: Host) -> Self {
        Self { host, path: String::new(), exact: false }
    }

    /// Whether it takes requests of a route that another namespace has. A host belongs to its namespace with all its paths.
    pub fn trespasses(&self, other: &Self) -> bool {
        match (&self.host, &other.host) {
            (Host::Any, Host::Any) => is_within(&self.path, &other.path) || is_within(&other.path, &self.path),
            // To some controllers a long path is more than a host.
            (Host::Any, _) => !self.path.is_empty(),
            (one, other) => one.meets(other),
        }
    }
}

fn is_within(path: &str, outer: &str) -> bool {
    path.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "/" } else { &self.path };
        write!(f, "{}{path}", self.host)
    }
}

/// What one Ingress claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Its class; `None` where it names none, which may be any.
    pub class: Option<String>,
    /// Whether it takes a part of the requests of another Ingress of its namespace on purpose.
    pub canary: bool,
    /// Its routes.
    pub routes: BTreeSet<Route>,
    /// Hosts that it answers for only where no Ingress of its namespace does.
    pub aliases: BTreeSet<Host>,
}

impl Claims {
    /// What an Ingress claims.
    pub fn of(ingress: &Value) -> Self {
        let annotations = ingress.pointer("/metadata/annotations").and_then(Value::as_object);
        let annotation = |name: &str| annotations?.get(name)?.as_str();
        let class = ingress.pointer("/spec/ingressClassName").and_then(Value::as_str).or_else(|| annotation(CLASS));
        let rules = ingress.pointer("/spec/rules").and_then(Value::as_array);
        let (mut routes, mut aliases) = (BTreeSet::new(), BTreeSet::new());
        for rule in rules.into_iter().flatten() {
            let host = Host::parse(rule.get("host").and_then(Value::as_str).unwrap_or_default());
            let paths = rule.pointer("/http/paths").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
            if paths.is_empty() {
                // All of the host goes to the default backend.
                routes.insert(Route::whole(host.clone()));
            }
            for path in paths {
                let text = |field: &str| path.get(field).and_then(Value::as_str).unwrap_or_default();
                routes.insert(Route {
                    host: host.clone(),
                    path: text("path").trim_end_matches('/').to_owned(),
                    exact: text("pathType") == "Exact",
                });
            }
        }
        for (name, value) in annotations.into_iter().flatten() {
            let value = value.as_str().unwrap_or_default();
            if name.ends_with(ALIAS) {
                aliases.extend(aliases_in(value).map(Host::parse));
            } else if name.ends_with(WWW) && is_true(value) {
                aliases.extend(routes.iter().filter_map(|route| other_www(&route.host)));
            }
        }
        Self { class: class.map(str::to_owned), canary: annotation(CANARY).is_some_and(is_true), routes, aliases }
    }

    /// All that it claims, also by aliases.
    pub fn all(&self) -> impl Iterator<Item = Route> + '_ {
        self.routes.iter().cloned().chain(self.aliases.iter().cloned().map(Route::whole))
    }

    /// The hosts that it claims.
    pub fn hosts(&self) -> BTreeSet<Host> {
        self.all().map(|route| route.host).collect()
    }

    /// Whether it has that already.
    pub fn has(&self, route: &Route) -> bool {
        self.routes.contains(route) || self.aliases.contains(&route.host)
    }

    /// Whether an Ingress of the same namespace that claims `route` would be a second answer to the same requests.
    pub fn doubles(&self, other: &Self, route: &Route) -> bool {
        let may_share = self.canary || other.canary;
        let one_sees_both = match (&self.class, &other.class) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        };
        !may_share && one_sees_both && self.routes.contains(route) && other.routes.contains(route)
    }
}

/// The hosts in the value of an annotation that names more of them.
pub(super) fn aliases_in(value: &str) -> impl Iterator<Item = &str> {
    value.split(',').map(str::trim).filter(|host| !host.is_empty())
}

/// Whether the value of `name` names more hosts.
pub(super) fn names_aliases(name: &str) -> bool {
    name.ends_with(ALIAS)
}

/// As ingress controllers read it.
fn is_true(value: &str) -> bool {
    matches!(value, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

fn other_www(host: &Host) -> Option<Host> {
    let Host::Named(name) = host else { return None };
    Some(Host::Named(name.strip_prefix("www.").map_or_else(|| format!("www.{name}"), str::to_owned)))
}
