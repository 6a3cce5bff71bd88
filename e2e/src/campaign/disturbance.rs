//! Where in a rollout something goes wrong, and what.

use std::collections::HashMap;
use std::fmt;

use super::ledger::concerns;
use crate::fault::api::{Call, Fault, Match, Rule};

/// The namespace of a rollout, as calls name it whose rollout does not matter.
const ANY: &str = "NAMESPACE";

/// A request of a rollout: of those that ask for the same, the nth.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Point {
    /// What it asks for.
    pub call: Call,
    /// From 1.
    pub nth: u32,
}

impl Point {
    /// All writes among these, the election's aside.
    pub fn writes(calls: &[Call]) -> Vec<Self> {
        let mut counts: HashMap<&Call, u32> = HashMap::new();
        let writes = calls.iter().filter(|call| call.writes() && call.resource != "leases");
        writes
            .map(|call| {
                let nth = counts.entry(call).or_default();
                *nth += 1;
                Self { call: call.clone(), nth: *nth }
            })
            .collect()
    }

    /// One of each sort: the first with that verb and kind.
    pub fn one_of_each_sort(points: &[Self]) -> Vec<Self> {
        let mut seen = std::collections::HashSet::new();
        let sort = |call: &Call| {
            let own = call.namespace != ANY;
            (call.verb.clone(), call.resource.clone(), call.subresource.clone(), own)
        };
        points.iter().filter(|point| seen.insert(sort(&point.call))).cloned().collect()
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Call { verb, resource, subresource, name, .. } = &self.call;
        let slash = if subresource.is_empty() { "" } else { "/" };
        write!(f, "{verb} {resource}{slash}{subresource} {name} (no. {})", self.nth)
    }
}

/// What goes wrong in one rollout.
#[derive(Clone, Debug)]
pub struct Disturbance {
    rules: Vec<Rule>,
    what: String,
    anew: bool,
}

impl Disturbance {
    /// Nothing.
    pub fn none() -> Self {
        Self { rules: Vec::new(), what: "nothing".to_owned(), anew: false }
    }

    /// That fault, at that point.
    pub fn at(point: &Point, fault: &Fault) -> Self {
        let rule = Rule { matches: Match::like(&point.call).nth(point.nth), fault: fault.clone() };
        Self { rules: vec![rule], what: format!("{fault:?} at {point}"), anew: false }
    }

    /// That fault, for all those requests, whatever namespace they are for, of a drover that has just started: so it meets the
    /// watches too.
    pub fn throughout(matches: Match, fault: Fault) -> Self {
        let what = format!("{fault:?} for {matches}");
        Self { rules: vec![Rule { matches, fault }], what, anew: true }
    }

    /// And that one too.
    #[must_use]
    pub fn and(mut self, matches: Match, fault: Fault) -> Self {
        self.what = format!("{}, {fault:?} for {matches}", self.what);
        self.rules.push(Rule { matches, fault });
        self
    }

    /// Whether drover starts anew under it.
    pub(super) fn is_met_anew(&self) -> bool {
        self.anew
    }

    /// The rules for the rollout in `namespace`.
    pub(super) fn rules(&self, namespace: &str) -> Vec<Rule> {
        let mut rules = self.rules.clone();
        for rule in &mut rules {
            rule.matches.namespace = rule.matches.namespace.replace(ANY, namespace);
            rule.matches.name = rule.matches.name.replace(ANY, namespace);
        }
        rules
    }
}

impl fmt::Display for Disturbance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl Call {
    /// The call with [`ANY`] for the namespace; nothing when it concerns another rollout. An inventory concerns the namespace that
    /// its name holds, and other objects of drover's own concern all, as do requests for no namespace.
    pub(super) fn in_namespace(&self, namespace: &str) -> Option<Self> {
        let concerns_all =
            self.namespace.is_empty() || self.namespace == "drover-system" && !self.name.contains("e2e-");
        if !concerns_all && !concerns(self, namespace) {
            return None;
        }
        let plain = |text: &str| text.replace(namespace, ANY);
        // An event's name says when it was.
        let name = if self.resource == "events" { "*".to_owned() } else { plain(&self.name) };
        Some(Self { namespace: plain(&self.namespace), name, ..self.clone() })
    }
}
