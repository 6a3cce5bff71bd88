//! Which Ingress answers for which host and path. Two that claim the same one are both taken by the API server; which of them
//! then answers is up to the ingress controller. So a claim is looked at before it is sent, and whoever was there first keeps it.
//!
//! Within a namespace that is a matter of routes: a host may be shared by path, by class or with a canary. Between namespaces it is
//! a matter of hosts, because a longer path, another class that the same controller serves, a canary or a wildcard all take
//! requests away from who has the host.

mod claims;
#[cfg(test)]
mod tests;
mod unclaimable;

use std::collections::{BTreeSet, HashMap, HashSet};

use crate::render::ObjectKey;

pub use claims::{Claims, Host, Route};
pub use unclaimable::unclaimable;

/// A route that is not free, and the Ingress that has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The route.
    pub route: Route,
    /// Who has it.
    pub by: ObjectKey,
    /// The host that is another namespace's; `None` where the route itself is taken in the own namespace.
    pub host: Option<Host>,
}

/// All claims of a cluster.
#[derive(Debug, Default)]
pub struct Routes {
    claims: HashMap<ObjectKey, Known>,
    holders: HashMap<Host, BTreeSet<ObjectKey>>,
    /// Who was refused because of an Ingress, to be told when that claims something else.
    waiting: HashMap<ObjectKey, BTreeSet<String>>,
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
    /// other claims something else.
    pub fn taken(&mut self, key: &ObjectKey, wanted: &Claims, owner: &str) -> Option<Taken> {
        let own = self.claims.get(key).map(|own| &own.claims);
        let mut new = wanted.all().filter(|route| !own.is_some_and(|own| own.has(route)));
        let taken = new.find_map(|route| self.holder(key, wanted, &route))?;
        self.waiting.entry(taken.by.clone()).or_default().insert(owner.to_owned());
        Some(taken)
    }

    /// Who has that route of `wanted`, the first by name.
    fn holder(&self, key: &ObjectKey, wanted: &Claims, route: &Route) -> Option<Taken> {
        let taken_by = |by: &ObjectKey| {
            let theirs = &self.claims.get(by)?.claims;
            let host = if by.namespace == key.namespace {
                wanted.doubles(theirs, route).then_some(None)
            } else {
                theirs.all().find(|theirs| route.trespasses(theirs)).map(|theirs| Some(theirs.host))
            }?;
            Some(Taken { route: route.clone(), by: by.clone(), host })
        };
        let others: BTreeSet<&ObjectKey> = self.near(&route.host).filter(|by| *by != key).collect();
        others.into_iter().find_map(taken_by)
    }

    /// The Ingresses whose hosts may have to do with this one.
    fn near<'a>(&'a self, host: &'a Host) -> Box<dyn Iterator<Item = &'a ObjectKey> + 'a> {
        match host {
            // The usual case, which is not to cost a look at all hosts of the cluster.
            Host::Named(name) => {
                let above = name.match_indices('.').map(|(dot, _)| Host::Below(name[dot + 1..].to_owned()));
                let hosts = std::iter::once(host.clone()).chain(above);
                Box::new(hosts.filter_map(|host| self.holders.get(&host)).flatten())
            }
            Host::Below(_) | Host::Any => Box::new(self.holders.values().flatten()),
        }
    }

    /// Claims routes for an Ingress that is about to be sent, so that no other is sent for them meanwhile.
    pub fn reserve(&mut self, key: &ObjectKey, wanted: &Claims) {
        let (mut claims, standing) = match self.claims.get(key) {
            Some(known) => (known.claims.clone(), known.standing),
            None => (Claims { routes: BTreeSet::new(), aliases: BTreeSet::new(), ..wanted.clone() }, Standing::Sent),
        };
        claims.routes.extend(wanted.routes.iter().cloned());
        claims.aliases.extend(wanted.aliases.iter().cloned());
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

    /// Takes in an Ingress as it is. Returns who waits for it to claim something else, when it does.
    pub fn observed(&mut self, key: &ObjectKey, claims: Claims) -> BTreeSet<String> {
        let changed = self.claims.get(key).is_some_and(|known| known.claims != claims);
        self.put(key, claims, Standing::Seen);
        if changed { self.waiting.remove(key).unwrap_or_default() } else { BTreeSet::new() }
    }

    /// An Ingress is gone. Returns who waits for what it claimed.
    pub fn gone(&mut self, key: &ObjectKey) -> BTreeSet<String> {
        if let Some(known) = self.claims.remove(key) {
            self.let_go(known.claims.hosts(), key);
        }
        self.waiting.remove(key).unwrap_or_default()
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
        let hosts = claims.hosts();
        if let Some(before) = self.claims.insert(key.clone(), Known { claims, standing }) {
            self.let_go(before.claims.hosts().difference(&hosts).cloned(), key);
        }
        for host in hosts {
            self.holders.entry(host).or_default().insert(key.clone());
        }
    }

    fn let_go(&mut self, hosts: impl IntoIterator<Item = Host>, key: &ObjectKey) {
        for host in hosts {
            if let Some(holders) = self.holders.get_mut(&host) {
                holders.remove(key);
                if holders.is_empty() {
                    self.holders.remove(&host);
                }
            }
        }
    }
}
