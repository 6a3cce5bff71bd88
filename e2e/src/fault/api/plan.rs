//! The plan: which requests meet which fault.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use wildmatch::WildMatch;

use super::call::Call;
use super::events::Events;

/// All faults of a run. Of several rules for one request the first wins.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// In order.
    pub rules: Vec<Rule>,
}

/// One fault.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// For these requests.
    #[serde(rename = "match")]
    pub matches: Match,
    /// This happens.
    #[serde(rename = "do")]
    pub fault: Fault,
}

/// Which requests. What is empty matches all; `*` in a text stands for anything.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Match {
    /// The verb, or `write` for all that change something.
    pub verb: String,
    /// The plural of the kind.
    pub resource: String,
    /// The subresource; `-` for the object itself.
    pub subresource: String,
    /// The namespace.
    pub namespace: String,
    /// The object's name.
    pub name: String,
    /// Only from the nth of these requests on, counted from 1.
    pub nth: u32,
    /// How many of them; 0 for one when `nth` is set, else for all.
    pub times: u32,
}

/// On which side of the change that a request makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum When {
    /// The API server never sees the request.
    Before,
    /// It has done what was asked, and its answer is lost.
    After,
}

/// What happens.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Fault {
    /// The answer is an error.
    #[serde(rename_all = "camelCase")]
    Fail {
        /// The HTTP status.
        status: u16,
        /// Value of `Retry-After`, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
    /// The request goes out that many milliseconds late.
    Delay(u64),
    /// No answer ever comes.
    Hang(When),
    /// The connection breaks.
    Cut(When),
    /// drover is killed as by `kill -9`.
    Kill(When),
    /// What the first such request got is what all later ones get.
    Stale,
    /// The events of a watch.
    Events(Events),
}

impl Plan {
    /// A plan of one rule.
    pub fn one(matches: Match, fault: Fault) -> Self {
        Self { rules: vec![Rule { matches, fault }] }
    }

    /// The plan in that file.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The same, but nothing kills.
    #[must_use]
    pub fn without_kills(mut self) -> Self {
        self.rules.retain(|rule| !matches!(rule.fault, Fault::Kill(_)));
        self
    }

    /// Puts the plan where drover reads it, at once and whole.
    pub fn write(&self, path: &Path) {
        let new = path.with_extension("new");
        let text = serde_json::to_string_pretty(self).expect("a plan is plain data");
        std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, path)).expect("the plan can be written");
    }
}

impl Match {
    /// Requests with that verb, or all `write`s.
    pub fn verb(verb: &str) -> Self {
        Self { verb: verb.to_owned(), ..Self::default() }
    }

    /// Of that kind, by its plural.
    #[must_use]
    pub fn resource(mut self, resource: &str) -> Self {
        resource.clone_into(&mut self.resource);
        self
    }

    /// Only the nth of them.
    #[must_use]
    pub fn nth(mut self, nth: u32) -> Self {
        self.nth = nth;
        self
    }

    /// Only that many of them, or that many from the nth on.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = times;
        self
    }

    /// Requests for the very object of `call`, wherever the namespace is `namespace`.
    pub fn like(call: &Call) -> Self {
        let or_none = |text: &str| if text.is_empty() { "-".to_owned() } else { text.to_owned() };
        Self {
            verb: call.verb.clone(),
            resource: call.resource.clone(),
            subresource: or_none(&call.subresource),
            namespace: or_none(&call.namespace),
            name: or_none(&call.name),
            nth: 0,
            times: 0,
        }
    }

    /// Whether `call` is one of these requests, numbers aside.
    pub(super) fn fits(&self, call: &Call) -> bool {
        let fits = |pattern: &str, text: &str| match pattern {
            "" => true,
            "-" => text.is_empty(),
            pattern => WildMatch::new(pattern).matches(text),
        };
        (self.verb.is_empty() || self.verb == call.verb || self.verb == "write" && call.writes())
            && fits(&self.resource, &call.resource)
            && fits(&self.subresource, &call.subresource)
            && fits(&self.namespace, &call.namespace)
            && fits(&self.name, &call.name)
    }

    /// Whether the `number`th of these requests, from 1, meets the fault.
    pub(super) fn counts(&self, number: u32) -> bool {
        match (self.nth, self.times) {
            (0, 0) => true,
            (0, times) => number <= times,
            (nth, times) => (nth..nth + times.max(1)).contains(&number),
        }
    }
}

impl fmt::Display for Match {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_all = |text: &str| if text.is_empty() { "*".to_owned() } else { text.to_owned() };
        write!(f, "{} {}", or_all(&self.verb), or_all(&self.resource))?;
        match (self.nth, self.times) {
            (0, 0) => Ok(()),
            (0, times) => write!(f, " (the first {times})"),
            (nth, times) => write!(f, " (from no. {nth}, {})", times.max(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_names_requests_and_counts_them() {
        let call = Call {
            verb: "patch".into(),
            group: "apps".into(),
            resource: "deployments".into(),
            namespace: "shop".into(),
            name: "web".into(),
            ..Call::default()
        };
        assert!(Match::default().fits(&call));
        assert!(Match::verb("write").resource("deployments").fits(&call));
        assert!(Match { name: "w*".into(), subresource: "-".into(), ..Match::default() }.fits(&call));
        assert!(Match::like(&call).fits(&call));
        assert!(!Match::verb("create").fits(&call));
        assert!(!Match { subresource: "status".into(), ..Match::default() }.fits(&call));
        let second = Match::default().nth(2);
        assert_eq!([1, 2, 3].map(|number| second.counts(number)), [false, true, false]);
        let first_two = Match { times: 2, ..Match::default() };
        assert_eq!([1, 2, 3].map(|number| first_two.counts(number)), [true, true, false]);
    }

    #[test]
    fn the_file_is_what_the_documentation_says() {
        let text = r#"{"rules": [
            {"match": {"verb": "patch", "resource": "deployments", "name": "web", "nth": 2}, "do": {"kill": "after"}},
            {"match": {"verb": "list"}, "do": {"fail": {"status": 429, "retryAfter": 3600}}},
            {"match": {}, "do": "stale"}, {"match": {"verb": "watch"}, "do": {"events": {"drop": 3}}}]}"#;
        let plan: Plan = serde_json::from_str(text).expect("a plan");
        assert_eq!(plan.rules[0].fault, Fault::Kill(When::After));
        assert_eq!(plan.rules[1].fault, Fault::Fail { status: 429, retry_after: Some(3600) });
        assert_eq!(plan.rules[3].fault, Fault::Events(Events::Drop(3)));
        assert!(serde_json::from_str::<Plan>(r#"{"rules": [{"match": {"verbs": "x"}, "do": "stale"}]}"#).is_err());
    }
}
