//! What a commit waits for before it is applied: what `spec.dependsOn` of its Environment names.

use std::collections::{BTreeMap, VecDeque};

use drover_crds::condition::READY;
use drover_crds::{Dependency, Environment, GROUP, Key, LABEL_OWNER, Owner, OwnerKind};
use serde_json::Value;

use super::{CommitInfo, listed};
use crate::health::bounded;
use crate::render::ObjectKey;
use crate::trouble::{Mend, Trouble};

/// The reasons of what holds a commit back: what is waited for, a wait that never ends, and what cannot be looked at.
const AWAITING: &str = "AwaitingDependency";
const CIRCULAR: &str = "DependencyCycle";
const UNREADABLE: &str = "DependencyUnreadable";

/// Whether that reason of `Ready` says that something was held back: such a spec was seen, and not acted upon.
pub fn is_held_back(reason: &str) -> bool {
    [AWAITING, CIRCULAR, UNREADABLE].contains(&reason)
}

/// The object that a dependency of an Environment in that namespace names.
pub fn awaited(dependency: &Dependency, namespace: &str, namespaced: bool) -> ObjectKey {
    let (group, _) = dependency.api_version.rsplit_once('/').unwrap_or(("", &dependency.api_version));
    let namespace = dependency.namespace.as_deref().unwrap_or(namespace);
    ObjectKey {
        group: group.to_owned(),
        kind: dependency.kind.clone(),
        namespace: namespaced.then(|| namespace.to_owned()),
        name: dependency.name.clone(),
    }
}

/// Why the object of that key is not what the dependency waits for, as a part of a sentence; `None` where it is. `object` is `None` where it
/// is not there.
pub fn unmet(dependency: &Dependency, key: &ObjectKey, object: Option<&Value>) -> Option<String> {
    let condition = dependency.condition.as_deref().unwrap_or(READY);
    let Some(object) = object else {
        return Some(format!("{key} is not there: create it, or correct dependsOn"));
    };
    let number = |value: &Value, pointer: &str| value.pointer(pointer).and_then(Value::as_i64);
    let generation = number(object, "/metadata/generation");
    let is_older = |seen: Option<i64>| matches!((seen, generation), (Some(seen), Some(now)) if seen < now);
    if object.pointer("/metadata/deletionTimestamp").is_some() {
        return Some(format!("{key} is being deleted"));
    }
    let conditions = object.pointer("/status/conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let called = |condition: &Value| condition["type"].as_str().unwrap_or_default().to_owned();
    let Some(found) = conditions.iter().find(|found| called(found) == condition) else {
        let others: Vec<String> = conditions.iter().map(called).collect();
        return Some(if others.is_empty() {
            format!("{key} has no condition {condition} yet")
        } else {
            let others = bounded(&listed(&others));
            format!("{key} has no condition {condition}, but {others}: it may come, or write one of these in dependsOn")
        });
    };
    if is_older(number(object, "/status/observedGeneration")) || is_older(number(found, "/observedGeneration")) {
        return Some(format!("what {key} says is of before its last change"));
    }
    if found["status"] == "True" {
        return None;
    }
    let said = |field: &str| found[field].as_str().filter(|said| !said.is_empty()).map(bounded);
    let why = said("message").or_else(|| said("reason")).map(|why| format!(": {why}")).unwrap_or_default();
    Some(format!("{key} is not {condition} yet{why}"))
}

/// What is said of a dependency whose kind the cluster does not serve.
pub fn unserved(dependency: &Dependency) -> String {
    let Dependency { api_version, kind, name, .. } = dependency;
    format!(
        "the cluster serves no {kind} of {api_version}, of which {name} is to be one: install its definition, or correct dependsOn"
    )
}

/// The commit waits: each of `unmet` says why.
pub fn waiting(commit: &CommitInfo, unmet: &[String]) -> Trouble {
    let first = unmet.first().map(String::as_str).unwrap_or_default();
    let more = match unmet.len() {
        0 | 1 => String::new(),
        all => format!(" (and {} more)", all - 1),
    };
    let sentence = format!("Waiting with {}, as dependsOn says: {first}{more}", commit.id.short());
    Trouble::new(AWAITING, sentence, Mend::Others)
}

/// What the commit waits for cannot be looked at, because of `trouble`.
pub fn unreadable(commit: &CommitInfo, trouble: Trouble) -> Trouble {
    let sentence = format!("{} waits, because what dependsOn names cannot be looked at: {trouble}", commit.id.short());
    Trouble { reason: UNREADABLE.to_owned(), sentence, outlook: String::new(), ..trouble }
}

/// The commit holds what it is to wait for.
pub fn own_object(commit: &CommitInfo, key: &ObjectKey) -> Trouble {
    let sentence = format!(
        "{} waits for {key}, as dependsOn says, and holds it itself, so that it would come only after it was there: take it out of dependsOn",
        commit.id.short()
    );
    Trouble::new(CIRCULAR, sentence, Mend::Spec)
}

/// What is wrong with the Environments of `circle`, of which each waits for the next, and the last for the first.
pub fn circular(circle: &[Key]) -> String {
    let names = circle.iter().chain(circle.first()).map(|key| Owner::of(OwnerKind::Environment, key).to_string());
    let (mut line, mut joint) = (String::new(), "");
    for name in names {
        line.push_str(joint);
        line.push_str(&name);
        joint = if joint.is_empty() { " waits for " } else { ", which waits for " };
    }
    format!(
        "{line}; an Environment waits for what its dependsOn names, and is not ready before the Environments that it applies: take one of them out of dependsOn"
    )
}

/// The commit waits in a circle of Environments.
pub fn in_a_circle(commit: &CommitInfo, circle: &[Key]) -> Trouble {
    let (at, circular) = (commit.id.short(), circular(circle));
    let sentence = format!("{at} is never applied, because these wait for each other: {circular}");
    Trouble::new(CIRCULAR, sentence, Mend::Spec)
}

/// Which Environments wait for which.
#[derive(Default)]
pub struct Waiters {
    environments: BTreeMap<Key, Waiter>,
}

/// What an Environment says of itself.
struct Waiter {
    /// The Environments that its commits wait for.
    awaits: Vec<Key>,
    /// The owner label of who applies it.
    applied_by: Option<String>,
}

impl Waiters {
    /// Notes what an Environment says now.
    pub fn note(&mut self, environment: &Environment) {
        let meta = &environment.metadata;
        let key = Key::of(meta);
        let of_environments = environment.spec.depends_on.iter().filter(|dependency| {
            dependency.kind == OwnerKind::Environment.as_str()
                && dependency.api_version.starts_with(&format!("{GROUP}/"))
        });
        let awaits = of_environments.map(|dependency| Key {
            namespace: dependency.namespace.clone().unwrap_or_else(|| key.namespace.clone()),
            name: dependency.name.clone(),
        });
        let awaits = awaits.collect();
        let applied_by = meta.labels.as_ref().and_then(|labels| labels.get(LABEL_OWNER)).cloned();
        self.environments.insert(key, Waiter { awaits, applied_by });
    }

    /// Forgets an Environment that is gone.
    pub fn forget(&mut self, key: &Key) {
        self.environments.remove(key);
    }

    /// The shortest line of Environments that begins with this one, in which each waits for the next, and the last for the first.
    pub fn circle(&self, key: &Key) -> Option<Vec<Key>> {
        let mut came_from: BTreeMap<&Key, &Key> = BTreeMap::new();
        let mut next: VecDeque<&Key> = VecDeque::new();
        let (key, waiter) = self.environments.get_key_value(key)?;
        for awaited in &waiter.awaits {
            if awaited == key {
                return Some(vec![key.clone()]);
            }
            came_from.entry(awaited).or_insert_with(|| {
                next.push_back(awaited);
                key
            });
        }
        while let Some(at) = next.pop_front() {
            let label = Owner::of(OwnerKind::Environment, at).label();
            let applied = self.environments.iter().filter(|(_, waiter)| waiter.applied_by.as_ref() == Some(&label));
            let awaited = self.environments.get(at).into_iter().flat_map(|waiter| &waiter.awaits);
            for further in awaited.chain(applied.map(|(key, _)| key)) {
                if further == key {
                    let mut line = vec![at];
                    while let Some(before) =
                        line.last().and_then(|last| came_from.get(last)).filter(|before| **before != key)
                    {
                        line.push(before);
                    }
                    line.push(key);
                    return Some(line.into_iter().rev().cloned().collect());
                }
                came_from.entry(further).or_insert_with(|| {
                    next.push_back(further);
                    at
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn dependency(more: &Value) -> Dependency {
        let mut all = json!({"apiVersion": "drover.dev/v1alpha1", "kind": "Database", "name": "db"});
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        serde_json::from_value(all).expect("a dependency")
    }

    #[test]
    fn an_object_is_of_the_environment_s_namespace_unless_another_is_named_or_it_has_none() {
        let key = |more: &Value, namespaced| awaited(&dependency(more), "shop", namespaced).to_string();
        assert_eq!(key(&json!({}), true), "Database shop/db");
        assert_eq!(key(&json!({"namespace": "other"}), true), "Database other/db");
        let issuer = json!({"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "name": "ca"});
        assert_eq!(key(&issuer, false), "ClusterIssuer ca");
        assert_eq!(awaited(&dependency(&json!({"apiVersion": "v1"})), "shop", true).group, "");
    }

    #[rstest]
    #[case::missing(Value::Null, Some("Database shop/db is not there: create it, or correct dependsOn"))]
    #[case::new(json!({}), Some("Database shop/db has no condition Ready yet"))]
    #[case::others(json!({"status": {"conditions": [{"type": "Available", "status": "True"}]}}),
        Some("Database shop/db has no condition Ready, but Available: it may come, or write one of these in dependsOn"))]
    #[case::not_yet(json!({"status": {"conditions": [{"type": "Ready", "status": "False", "message": "recovers since 10:00"}]}}),
        Some("Database shop/db is not Ready yet: recovers since 10:00"))]
    #[case::reason(json!({"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "Starting"}]}}),
        Some("Database shop/db is not Ready yet: Starting"))]
    #[case::nothing_said(json!({"status": {"conditions": [{"type": "Ready"}]}}), Some("Database shop/db is not Ready yet"))]
    #[case::ready(json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 2, "conditions": [{"type": "Ready", "status": "True"}]}}), None)]
    #[case::older(json!({"metadata": {"generation": 2}, "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]}}),
        Some("what Database shop/db says is of before its last change"))]
    #[case::older_condition(json!({"metadata": {"generation": 2}, "status": {"conditions": [{"type": "Ready", "status": "True", "observedGeneration": 1}]}}),
        Some("what Database shop/db says is of before its last change"))]
    #[case::going(json!({"metadata": {"deletionTimestamp": "2026-11-28T00:00:00Z"}, "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
        Some("Database shop/db is being deleted"))]
    fn what_is_waited_for_is_told_with_its_own_words(#[case] object: Value, #[case] expected: Option<&str>) {
        let dependency = dependency(&json!({}));
        let key = awaited(&dependency, "shop", true);
        assert_eq!(unmet(&dependency, &key, Some(&object).filter(|object| !object.is_null())).as_deref(), expected);
    }

    #[test]
    fn another_condition_may_be_waited_for() {
        let dependency = dependency(&json!({"condition": "BackupVerified"}));
        let key = awaited(&dependency, "shop", true);
        let with = |status: &str| json!({"status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "BackupVerified", "status": status}]}});
        assert_eq!(unmet(&dependency, &key, Some(&with("True"))), None);
        assert_eq!(
            unmet(&dependency, &key, Some(&with("False"))).as_deref(),
            Some("Database shop/db is not BackupVerified yet")
        );
    }

    #[test]
    fn of_several_the_first_is_told_and_how_many_more() {
        let wait = waiting(
            &CommitInfo::of_digit('a'),
            &["A is not Ready yet".into(), "B is not there".into(), "C is not there".into()],
        );
        assert_eq!(wait.sentence, "Waiting with aaaaaaaaaaaa, as dependsOn says: A is not Ready yet (and 2 more)");
        assert_eq!((wait.reason.as_str(), wait.mended_by), ("AwaitingDependency", Mend::Others));
        let refused =
            unreadable(&CommitInfo::of_digit('a'), Trouble::new("Forbidden", "the account may not", Mend::Person));
        let sentence = "aaaaaaaaaaaa waits, because what dependsOn names cannot be looked at: the account may not";
        assert_eq!((refused.sentence.as_str(), refused.mended_by), (sentence, Mend::Person));
        assert!(is_held_back(&wait.reason) && is_held_back(&refused.reason) && !is_held_back("Applied"));
    }

    /// Environments of a namespace, each with those it waits for and the one that applies it.
    fn waiters(all: &[(&str, &[&str], Option<&str>)]) -> Waiters {
        let mut waiters = Waiters::default();
        for (name, awaits, applied_by) in all {
            let depends_on: Vec<_> = awaits
                .iter()
                .map(|name| json!({"apiVersion": "drover.dev/v1alpha1", "kind": "Environment", "name": name}))
                .chain([json!({"apiVersion": "drover.dev/v1alpha1", "kind": "Database", "name": name})])
                .collect();
            let label = applied_by.map(|by| Owner::new(OwnerKind::Environment, "shop", by).label());
            let environment = json!({"apiVersion": "drover.dev/v1alpha1", "kind": "Environment",
                "metadata": {"name": name, "namespace": "shop", "labels": label.map(|label| json!({LABEL_OWNER: label}))},
                "spec": {"source": {"url": "https://git.test/a.git", "ref": {"branch": "main"}}, "dependsOn": depends_on}});
            waiters.note(&serde_json::from_value(environment).expect("an Environment"));
        }
        waiters
    }

    fn circle(name: &str, all: &[(&str, &[&str], Option<&str>)]) -> Vec<String> {
        let key = Key { namespace: "shop".into(), name: name.into() };
        waiters(all).circle(&key).unwrap_or_default().into_iter().map(|key| key.name).collect()
    }

    #[test]
    fn environments_that_wait_for_each_other_are_found() {
        assert_eq!(circle("a", &[("a", &["b"], None), ("b", &[], None)]), Vec::<String>::new());
        assert_eq!(circle("a", &[("a", &["b"], None)]), Vec::<String>::new(), "nobody knows what b waits for");
        assert_eq!(circle("a", &[("a", &["a"], None)]), ["a"]);
        assert_eq!(circle("a", &[("a", &["b"], None), ("b", &["c"], None), ("c", &["a", "b"], None)]), ["a", "b", "c"]);
        assert_eq!(circle("d", &[("d", &["b"], None), ("b", &["c"], None), ("c", &["b"], None)]), Vec::<String>::new());
        assert_eq!(
            circle("a", &[("a", &["b", "c"], None), ("b", &["d"], None), ("c", &["a"], None), ("d", &["a"], None)]),
            ["a", "c"]
        );
    }

    #[test]
    fn who_applies_an_environment_waits_for_it() {
        assert_eq!(circle("app", &[("root", &[], None), ("app", &["root"], Some("root"))]), ["app", "root"]);
        assert_eq!(circle("root", &[("root", &[], None), ("app", &["root"], Some("root"))]), Vec::<String>::new());
        let bootstrap: &[(&str, &[&str], Option<&str>)] =
            &[("root", &[], Some("root")), ("db", &[], Some("root")), ("app", &["db"], Some("root"))];
        assert_eq!(circle("app", bootstrap), Vec::<String>::new());
    }

    #[test]
    fn a_circle_is_named_whole() {
        let key = |name: &str| Key { namespace: "shop".into(), name: name.into() };
        let told = in_a_circle(&CommitInfo::of_digit('a'), &[key("a"), key("b"), key("c")]);
        let chain = "Environment shop/a waits for Environment shop/b, which waits for Environment shop/c, which waits for Environment shop/a; ";
        assert!(told.sentence.contains(chain) && told.mended_by == Mend::Spec && is_held_back(&told.reason), "{told}");
        let own = in_a_circle(&CommitInfo::of_digit('a'), &[key("a")]);
        assert!(own.sentence.contains("Environment shop/a waits for Environment shop/a; "), "{own}");
        let mut forgotten = waiters(&[("a", &["b"], None), ("b", &["a"], None)]);
        forgotten.forget(&key("b"));
        assert_eq!(forgotten.circle(&key("a")), None);
    }
}
