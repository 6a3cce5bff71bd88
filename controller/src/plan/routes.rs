//! Which Ingress answers for which host and path. Two that claim the same one are both taken by the API server; which of them
//! then answers is up to the ingress controller. So a claim is looked at before it is sent, and whoever was there first keeps it.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;

use serde_json::Value;

use crate::render::ObjectKey;

/// Annotation by which two Ingresses share a route on purpose.
const CANARY: &str = "nginx.ingress.kubernetes.io/canary";
/// How the class was written before it became a field.
const CLASS: &str = "kubernetes.io/ingress.class";

/// A host and path.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Route {
    /// The host; empty for requests to any host.
    pub host: String,
    /// The path, without a slash at its end.
    pub path: String,
    /// Whether it is this path alone. Such a path may stand beside the same one with everything below it.
    pub exact: bool,
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = if self.host.is_empty() { "*" } else { &self.host };
        let path = if self.path.is_empty() { "/" } else { &self.path };
        write!(f, "{host}{path}")
    }
}

/// What one Ingress claims.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claims {
    /// Its class; `None` where it names none, which may be any.
    pub class: Option<String>,
    /// Its routes.
    pub routes: BTreeSet<Route>,
}

impl Claims {
    /// What an Ingress claims. Nothing, when it shares on purpose.
    pub fn of(ingress: &Value) -> Self {
        let annotation = |name: &str| ingress.pointer("/metadata/annotations")?.get(name)?.as_str();
        if annotation(CANARY) == Some("true") {
            return Self::default();
        }
        let class = ingress.pointer("/spec/ingressClassName").and_then(Value::as_str).or_else(|| annotation(CLASS));
        let rules = ingress.pointer("/spec/rules").and_then(Value::as_array);
        let mut routes = BTreeSet::new();
        for rule in rules.into_iter().flatten() {
            let host = rule.get("host").and_then(Value::as_str).unwrap_or_default();
            for path in rule.pointer("/http/paths").and_then(Value::as_array).into_iter().flatten() {
                let text = |field: &str| path.get(field).and_then(Value::as_str).unwrap_or_default();
                routes.insert(Route {
                    host: host.to_owned(),
                    path: text("path").trim_end_matches('/').to_owned(),
                    exact: text("pathType") == "Exact",
                });
            }
        }
        Self { class: class.map(str::to_owned), routes }
    }

    /// Whether one ingress controller may see both.
    fn meets(&self, other: &Self) -> bool {
        match (&self.class, &other.class) {
            (Some(one), Some(other)) => one == other,
            _ => true,
        }
    }
}

/// A route that is not free, and the Ingress that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The route.
    pub route: Route,
    /// Who has it.
    pub by: ObjectKey,
}

/// All claims of a cluster.
#[derive(Debug, Default)]
pub struct Routes {
    claims: HashMap<ObjectKey, Known>,
    holders: HashMap<Route, BTreeSet<ObjectKey>>,
    /// Who was refused a route, to be told when it is free.
    waiting: HashMap<Route, BTreeSet<String>>,
}

#[derive(Debug)]
struct Known {
    claims: Claims,
    standing: Standing,
}

/// How sure a claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The Ingress is about to be sent.
    Sent,
    /// It was accepted since a listing began, which may not show it.
    Accepted,
    /// The watch showed it.
    Seen,
}

impl Routes {
    /// The first route of `wanted` that another Ingress has. An Ingress keeps what it has already. `owner` is told when the
    /// route becomes free.
    pub fn taken(&mut self, key: &ObjectKey, wanted: &Claims, owner: &str) -> Option<Taken> {
        let own = self.claims.get(key);
        let taken =
            wanted.routes.iter().filter(|route| !own.is_some_and(|own| own.claims.routes.contains(route))).find_map(
                |route| {
                    let holders = self.holders.get(route)?;
                    let other =
                        |by: &&ObjectKey| *by != key && self.claims.get(*by).is_some_and(|by| by.claims.meets(wanted));
                    let by = holders.iter().find(other)?;
                    Some(Taken { route: route.clone(), by: by.clone() })
                },
            )?;
        self.waiting.entry(taken.route.clone()).or_default().insert(owner.to_owned());
        Some(taken)
    }

    /// Claims routes for an Ingress that is about to be sent, so that no other is sent for them meanwhile.
    pub fn reserve(&mut self, key: &ObjectKey, wanted: &Claims) {
        let (mut claims, standing) = match self.claims.get(key) {
            Some(known) => (known.claims.clone(), known.standing),
            None => (Claims { class: wanted.class.clone(), routes: BTreeSet::new() }, Standing::Sent),
        };
        claims.routes.extend(wanted.routes.iter().cloned());
        self.put(key, claims, standing);
    }

    /// The Ingress was accepted.
    pub fn accepted(&mut self, key: &ObjectKey) {
        if let Some(known) = self.claims.get_mut(key) {
            known.standing = Standing::Accepted;
        }
    }

    /// Gives a reservation back: the Ingress was not accepted. Returns who waits for what it claimed.
    pub fn give_back(&mut self, key: &ObjectKey) -> BTreeSet<String> {
        let only_sent = self.claims.get(key).is_some_and(|known| known.standing == Standing::Sent);
        if only_sent { self.gone(key) } else { BTreeSet::new() }
    }

    /// Takes in an Ingress as it is. Returns who waits for what it no longer claims.
    pub fn observed(&mut self, key: &ObjectKey, claims: Claims) -> BTreeSet<String> {
        let before: Vec<Route> =
            self.claims.get(key).into_iter().flat_map(|k| k.claims.routes.iter().cloned()).collect();
        self.put(key, claims, Standing::Seen);
        self.freed(before)
    }

    /// An Ingress is gone. Returns who waits for what it claimed.
    pub fn gone(&mut self, key: &ObjectKey) -> BTreeSet<String> {
        let before: Vec<Route> = self.claims.remove(key).into_iter().flat_map(|k| k.claims.routes).collect();
        for route in &before {
            self.let_go(route, key);
        }
        self.freed(before)
    }

    /// A listing begins: it shows whatever was accepted before.
    pub fn listing(&mut self) {
        for known in self.claims.values_mut().filter(|known| known.standing == Standing::Accepted) {
            known.standing = Standing::Seen;
        }
    }

    /// A listing ended: what it did not show is gone, except what was sent since it began.
    pub fn keep_only(&mut self, seen: &HashSet<ObjectKey>) -> BTreeSet<String> {
        let gone = self.claims.iter().filter(|(key, known)| known.standing == Standing::Seen && !seen.contains(*key));
        let gone: Vec<ObjectKey> = gone.map(|(key, _)| key.clone()).collect();
        gone.iter().flat_map(|key| self.gone(key)).collect()
    }

    fn put(&mut self, key: &ObjectKey, claims: Claims, standing: Standing) {
        let routes = claims.routes.clone();
        let before = self.claims.insert(key.clone(), Known { claims, standing });
        for route in before.iter().flat_map(|known| &known.claims.routes).filter(|route| !routes.contains(route)) {
            self.let_go(route, key);
        }
        for route in routes {
            self.holders.entry(route).or_default().insert(key.clone());
        }
    }

    fn let_go(&mut self, route: &Route, key: &ObjectKey) {
        if let Some(holders) = self.holders.get_mut(route) {
            holders.remove(key);
            if holders.is_empty() {
                self.holders.remove(route);
            }
        }
    }

    fn freed(&mut self, routes: Vec<Route>) -> BTreeSet<String> {
        let free = routes.into_iter().filter(|route| !self.holders.contains_key(route));
        free.filter_map(|route| self.waiting.remove(&route)).flatten().collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(namespace: &str) -> ObjectKey {
        ObjectKey {
            group: "networking.k8s.io".into(),
            kind: "Ingress".into(),
            namespace: Some(namespace.into()),
            name: "web".into(),
        }
    }

    fn claims(class: Option<&str>, paths: &[&str]) -> Claims {
        let paths: Vec<Value> = paths.iter().map(|path| json!({"path": path, "pathType": "Prefix"})).collect();
        Claims::of(
            &json!({"spec": {"ingressClassName": class, "rules": [{"host": "a.test", "http": {"paths": paths}}]}}),
        )
    }

    #[test]
    fn who_came_first_keeps_a_route_and_the_other_is_told_when_it_is_free() {
        let mut routes = Routes::default();
        let (oak, elm) = (key("oak"), key("elm"));
        assert_eq!(routes.taken(&oak, &claims(None, &["/"]), "oak"), None);
        routes.reserve(&oak, &claims(None, &["/"]));
        let taken = routes.taken(&elm, &claims(None, &["/api", "/"]), "elm").expect("taken");
        assert_eq!((taken.route.to_string().as_str(), taken.by), ("a.test/", oak.clone()));
        assert!(routes.observed(&oak, claims(Some("public"), &["/"])).is_empty());
        assert_eq!(routes.taken(&oak, &claims(None, &["/"]), "oak"), None, "its own");
        assert_eq!(routes.observed(&oak, claims(Some("public"), &["/oak"])), BTreeSet::from(["elm".to_owned()]));
        assert_eq!(routes.taken(&elm, &claims(None, &["/api", "/"]), "elm"), None);
    }

    #[test]
    fn another_class_an_exact_path_and_a_canary_share_a_route() {
        let mut routes = Routes::default();
        routes.observed(&key("oak"), claims(Some("public"), &["/", "/api/"]));
        assert_eq!(routes.taken(&key("elm"), &claims(Some("internal"), &["/"]), "elm"), None);
        assert!(routes.taken(&key("elm"), &claims(None, &["/"]), "elm").is_some(), "it may be the same class");
        assert!(routes.taken(&key("elm"), &claims(Some("public"), &["/api"]), "elm").is_some(), "the slash is nothing");
        let with = |annotations: Value, path_type: &str| {
            let paths = json!([{"path": "/", "pathType": path_type}]);
            Claims::of(
                &json!({"metadata": {"annotations": annotations}, "spec": {"rules": [{"host": "a.test", "http": {"paths": paths}}]}}),
            )
        };
        assert_eq!(routes.taken(&key("elm"), &with(json!({}), "Exact"), "elm"), None);
        assert_eq!(routes.taken(&key("elm"), &with(json!({CANARY: "true"}), "Prefix"), "elm"), None);
        assert!(routes.taken(&key("elm"), &with(json!({CLASS: "public"}), "Prefix"), "elm").is_some());
    }

    #[test]
    fn what_was_never_accepted_or_is_gone_claims_nothing() {
        let mut routes = Routes::default();
        let wanted = claims(None, &["/"]);
        routes.reserve(&key("oak"), &wanted);
        assert!(routes.taken(&key("elm"), &wanted, "elm").is_some());
        assert_eq!(routes.give_back(&key("oak")), BTreeSet::from(["elm".to_owned()]));
        routes.observed(&key("oak"), wanted.clone());
        assert!(routes.give_back(&key("oak")).is_empty(), "a live one keeps its claim");
        routes.reserve(&key("ash"), &claims(None, &["/ash"]));
        assert!(routes.taken(&key("elm"), &wanted, "elm").is_some());
        assert_eq!(routes.keep_only(&HashSet::new()), BTreeSet::from(["elm".to_owned()]));
        assert_eq!(routes.taken(&key("elm"), &wanted, "elm"), None);
        let ash_holds = |routes: &mut Routes| routes.taken(&key("elm"), &claims(None, &["/ash"]), "elm").is_some();
        assert!(ash_holds(&mut routes), "it is about to be sent");
        routes.accepted(&key("ash"));
        routes.keep_only(&HashSet::new());
        assert!(ash_holds(&mut routes), "the listing began before it was accepted");
        routes.listing();
        routes.keep_only(&HashSet::new());
        assert!(!ash_holds(&mut routes), "the listing would have shown it");
    }
}
