//! What a rollout comes to: the objects in the end and the changes on the way, in a form in which two runs can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use drover_crds::{
    ANNOTATION_APPLIED, ANNOTATION_CONFIGURATION, ANNOTATION_JOBS, ANNOTATION_RECONCILE_AT, ANNOTATION_SETTINGS,
    LABEL_OWNER, LABEL_RELEASE,
};
use serde_json::{Map, Value};

use super::ledger::Ledger;
use crate::namespace::Namespace;

/// The kinds that are looked at.
const KINDS: &str = "environments,webapps,deployments,replicasets,pods,services,ingresses,serviceaccounts,configmaps,\
                     controllerrevisions,persistentvolumeclaims,poddisruptionbudgets,networkpolicies,datasyncs,databases,queueprocessors,\
                     statefulsets,cronjobs,jobs";
/// What the counts of Jobs, and of their pods, begin with.
const JOBS: &str = "Jobs";
/// Fields that differ from run to run: identities, versions, times, and hashes of what names the namespace.
const CHANGING: [&str; 40] = [
    "fields",
    "tree",
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "managedFields",
    "lastTransitionTime",
    "lastUpdateTime",
    "startTime",
    "startedAt",
    "fetchedAt",
    "appliedAt",
    "healthyAt",
    "finishedAt",
    "at",
    "since",
    "wokeAt",
    // Pods of before that are still ending.
    "terminatingReplicas",
    // Which sets pods mount at the moment, and a configuration that names Services by the order of their addresses.
    "inUse",
    "nginx.conf",
    "webhookPath",
    "clusterIP",
    "clusterIPs",
    "volumeName",
    "job",
    "noted",
    "took",
    "asked",
    // What a broker said last.
    "queue",
    // Of a backup: where it is, in which store, and how large, since a moment in it is a digit longer or shorter.
    "place",
    "repository",
    "expected",
    "bytes",
    // Hashes of what Secrets say, whose passwords are made anew and whose addresses name the namespace, and what is named after them.
    "secrets",
    "content",
    "keep",
    "subPath",
    "currentRevision",
    "updateRevision",
    "unavailableSeconds",
];
/// The same for annotations and labels: keyed hashes, hashes of what holds addresses, and times.
const CHANGING_MARKS: [&str; 6] = [
    ANNOTATION_APPLIED,
    ANNOTATION_CONFIGURATION,
    ANNOTATION_JOBS,
    ANNOTATION_SETTINGS,
    LABEL_OWNER,
    ANNOTATION_RECONCILE_AT,
];

/// The end of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The objects, by kind and name; of pods, ReplicaSets and Jobs only how many there are.
    pub objects: BTreeMap<String, Value>,
    /// How often was created and deleted what.
    pub changes: BTreeMap<String, usize>,
    /// What may have been created or deleted once more: the process that asked died before the answer.
    pub unanswered: BTreeSet<String>,
}

impl Outcome {
    /// As it is now. `commits` are replaced by their numbers.
    pub fn of(namespace: &Namespace, ledger: &Ledger, commits: &[String]) -> Self {
        let mut objects = BTreeMap::new();
        let listed = namespace.kubectl(&["get", KINDS, "--output", "json"]);
        let inventories = namespace.kubectl(&["get", "configmaps", "--namespace", "drover-system", "--output", "json"]);
        for (text, all) in [(listed, true), (inventories, false)] {
            let list: Value = serde_json::from_str(&text).expect("kubectl prints JSON");
            let items = list["items"].as_array().expect("a list");
            let left = left_to_kubernetes(items);
            for object in items {
                let (kind, name) = (text_of(object, "/kind"), text_of(object, "/metadata/name"));
                if !all && !name.contains(namespace.name()) {
                    continue;
                }
                if left.contains(&text_of(object, "/metadata/uid")) {
                    continue;
                }
                // A StatefulSet's own, which is named after its hash.
                let owner = text_of(object, "/metadata/ownerReferences/0/kind");
                if kind == "ControllerRevision" && owner == "StatefulSet" {
                    continue;
                }
                if ["Pod", "ReplicaSet", "Job"].contains(&kind.as_str()) {
                    let replicas = object.pointer("/spec/replicas").and_then(Value::as_u64).unwrap_or(1);
                    let of_a_job = object.pointer("/metadata/ownerReferences/0/kind").is_some_and(|kind| kind == "Job");
                    let kind = if of_a_job { format!("{JOBS}' {kind}") } else { kind };
                    let key = format!("{kind}s of {}", text_of(object, "/metadata/labels/app.kubernetes.io~1instance"));
                    let count = objects.entry(key).or_insert(Value::from(0));
                    *count = Value::from(count.as_u64().unwrap_or(0) + replicas);
                    continue;
                }
                let mut text = plain(object).to_string().replace(namespace.name(), "NAMESPACE");
                for (number, commit) in commits.iter().enumerate() {
                    text = text
                        .replace(commit, &format!("COMMIT-{number}"))
                        .replace(&commit[..12], &format!("COMMIT-{number}"));
                }
                let value = serde_json::from_str(&text).expect("still JSON");
                objects.insert(format!("{kind} {}", name.replace(namespace.name(), "NAMESPACE")), value);
            }
        }
        let (changes, unanswered) = ledger.changes(namespace.name());
        Self { objects, changes, unanswered }
    }

    /// Without what tells of the way here. To that belong Jobs of releases: one that the cluster forgot may have had its Jobs already, and
    /// one that is overtaken by the newest never gets them.
    #[must_use]
    pub fn without_history(mut self) -> Self {
        self.objects.retain(|key, _| !key.starts_with(JOBS));
        self.objects = newest_records(self.objects);
        self.objects.values_mut().for_each(forget_history);
        self.changes.clear();
        self.unanswered.clear();
        self
    }

    /// How `other` differs, a line for each difference; nothing when it does not.
    pub fn differences(&self, other: &Self) -> String {
        let mut found = String::new();
        let keys = |a: &BTreeMap<String, Value>, b: &BTreeMap<String, Value>| -> BTreeSet<String> {
            a.keys().chain(b.keys()).cloned().collect()
        };
        for key in keys(&self.objects, &other.objects) {
            differ(&key, self.objects.get(&key), other.objects.get(&key), &mut found);
        }
        for key in self.changes.keys().chain(other.changes.keys().filter(|key| !self.changes.contains_key(*key))) {
            let (wanted, seen) = (self.changes.get(key).unwrap_or(&0), other.changes.get(key).unwrap_or(&0));
            let one_more = usize::from(other.unanswered.contains(key));
            if !(*seen..=seen + one_more).contains(wanted) {
                let _ = writeln!(found, "{key}: {seen} times instead of {wanted}");
            }
        }
        found
    }
}

/// Of the records of an app's releases only the newest, under a name without its number.
fn newest_records(objects: BTreeMap<String, Value>) -> BTreeMap<String, Value> {
    let mut kept = BTreeMap::new();
    let mut newest: BTreeMap<String, (u64, Value)> = BTreeMap::new();
    for (key, value) in objects {
        let record = key.strip_prefix("ControllerRevision ").and_then(|name| name.rsplit_once("-r"));
        match record.and_then(|(app, number)| Some((app.to_owned(), number.parse::<u64>().ok()?))) {
            Some((app, number)) if newest.get(&app).is_none_or(|(known, _)| *known < number) => {
                newest.insert(app, (number, value));
            }
            Some(_) => {}
            None => drop(kept.insert(key, value)),
        }
    }
    kept.extend(newest.into_iter().map(|(app, (_, value))| (format!("ControllerRevision {app}"), value)));
    kept
}

/// An object that the cluster forgot is made anew as it is now: what counts its former states begins again, such as the number of a release.
fn forget_history(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for name in [
                "history",
                "deployment.kubernetes.io/revision",
                "generation",
                "observedGeneration",
                "number",
                LABEL_RELEASE,
            ] {
                fields.remove(name);
            }
            if fields.get("name").is_some_and(|name| name == "DROVER_RELEASE") {
                fields.remove("value");
            }
            fields.values_mut().for_each(forget_history);
            fields
                .retain(|name, value| name != "annotations" || value.as_object().is_none_or(|marks| !marks.is_empty()));
        }
        Value::Array(items) => items.iter_mut().for_each(forget_history),
        Value::String(text) => {
            if let Some(rest) = text.strip_prefix("Release ") {
                *text = format!("Release{}", rest.trim_start_matches(|c: char| c.is_ascii_digit()));
            }
        }
        _ => {}
    }
}

/// The uids of objects that Kubernetes removes in its own time: those whose owners are all gone or themselves on their way out, and
/// pods that are ending.
fn left_to_kubernetes(items: &[Value]) -> BTreeSet<String> {
    let mut left: BTreeSet<String> = items
        .iter()
        .filter(|object| object["kind"] == "Pod" && object.pointer("/metadata/deletionTimestamp").is_some())
        .map(|pod| text_of(pod, "/metadata/uid"))
        .collect();
    loop {
        let stays = |owner: &Value| {
            let uid = text_of(owner, "/uid");
            !left.contains(&uid) && items.iter().any(|object| text_of(object, "/metadata/uid") == uid)
        };
        let is_left = |object: &&Value| {
            let owners = object["metadata"]["ownerReferences"].as_array().map_or(&[][..], Vec::as_slice);
            !owners.is_empty() && !owners.iter().any(stays)
        };
        let more: Vec<String> = items.iter().filter(is_left).map(|object| text_of(object, "/metadata/uid")).collect();
        let before = left.len();
        left.extend(more);
        if left.len() == before {
            return left;
        }
    }
}

fn differ(path: &str, wanted: Option<&Value>, seen: Option<&Value>, found: &mut String) {
    match (wanted, seen) {
        (Some(Value::Object(wanted)), Some(Value::Object(seen))) => {
            for key in wanted.keys().chain(seen.keys().filter(|key| !wanted.contains_key(*key))) {
                differ(&format!("{path}.{key}"), wanted.get(key), seen.get(key), found);
            }
        }
        (Some(Value::Array(wanted)), Some(Value::Array(seen))) if wanted.len() == seen.len() => {
            for (index, (wanted, seen)) in wanted.iter().zip(seen).enumerate() {
                differ(&format!("{path}[{index}]"), Some(wanted), Some(seen), found);
            }
        }
        (wanted, seen) if wanted == seen => {}
        (wanted, seen) => {
            let shown = |value: Option<&Value>| value.map_or("nothing".to_owned(), Value::to_string);
            let _ = writeln!(found, "{path}: {} instead of {}", shown(seen), shown(wanted));
        }
    }
}

fn text_of(value: &Value, pointer: &str) -> String {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The object without what differs from run to run.
fn plain(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields
                .iter()
                .filter(|(name, _)| !CHANGING.contains(&name.as_str()) && !CHANGING_MARKS.contains(&name.as_str()));
            Value::Object(kept.map(|(name, value)| (name.clone(), plain(value))).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        // An inventory and an order are JSON in a text; a sentence of the Deployment's controller names a ReplicaSet by its hash.
        Value::String(text) if text.starts_with(['[', '{']) => {
            serde_json::from_str(text).map_or_else(|_| value.clone(), |inner| plain(&inner))
        }
        Value::String(text) if text.starts_with("ReplicaSet \"") => Value::from("ReplicaSet"),
        Value::String(text) => Value::from(without_moments(text)),
        other => other.clone(),
    }
}

/// The text without the names of backups, which are moments such as `20261127T020012Z`, and without how many seconds something took.
fn without_moments(text: &str) -> String {
    let is_moment = |word: &str| {
        let is_number = |part: &str, digits| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
        word.strip_suffix('Z')
            .and_then(|word| word.split_once('T'))
            .is_some_and(|(day, time)| is_number(day, 8) && is_number(time, 6))
    };
    let is_time = |word: &str| {
        let number = word.strip_suffix('s');
        number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let words = text.split(' ').map(|word| match word {
        word if is_moment(word) => "MOMENT",
        word if is_time(word) => "SECONDS",
        word => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn moments_and_what_follows_from_passwords_differ_from_run_to_run() {
        let database = |name: &str, took: &str| {
            let message =
                format!("Backup {name} was restored in {took} and holds all that was backed up, 3 rows among it");
            plain(&json!({"status": {"conditions": [{"message": message}], "updateRevision": name}}))
        };
        assert_eq!(database("20261127T020012Z", "7s"), database("20261128T030405Z", "12s"));
        let said = database("20261127T020012Z", "7s").to_string();
        assert!(said.contains("Backup MOMENT was restored in SECONDS") && said.contains("3 rows"), "{said}");
    }

    #[test]
    fn what_the_collector_has_not_reached_yet_does_not_count() {
        let object = |kind: &str, uid: &str, owner: &str| {
            let owners = if owner.is_empty() { json!([]) } else { json!([{"uid": owner}]) };
            json!({"kind": kind, "metadata": {"uid": uid, "ownerReferences": owners}})
        };
        let mut ending = object("Pod", "old pod", "set");
        ending["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        let items = [
            object("Deployment", "app", ""),
            object("ReplicaSet", "set", "app"),
            object("Pod", "pod", "set"),
            ending,
            object("Pod", "orphan's pod", "orphan"),
            object("ReplicaSet", "orphan", "deleted app"),
        ];
        let left = left_to_kubernetes(&items);
        assert_eq!(left, ["old pod", "orphan", "orphan's pod"].map(str::to_owned).into());
    }

    #[test]
    fn the_number_of_a_release_is_history_and_what_is_live_is_not() {
        let end = |number: u64, image: &str| {
            let app = json!({"status": {
                "release": {"number": number, "image": image},
                "conditions": [{"message": format!("Release {number} (COMMIT-1) is live")}],
            }});
            let deployment = json!({
                "labels": {LABEL_RELEASE: number.to_string()},
                "env": [{"name": "DROVER_RELEASE", "value": number.to_string()}],
            });
            let records = (1..=number).map(|n| {
                let image = if n == number { image } else { "before" };
                (format!("ControllerRevision web-r{n}"), json!({"data": {"image": image, "pods": {"number": n}}}))
            });
            let objects = records.chain([("WebApp web".into(), app), ("Deployment web".into(), deployment)]).collect();
            Outcome { objects, changes: BTreeMap::new(), unanswered: BTreeSet::new() }.without_history()
        };
        assert_eq!(end(2, "hello:2").differences(&end(1, "hello:2")), "");
        let other = end(2, "hello:2").differences(&end(2, "hello:1"));
        assert_eq!(other.lines().count(), 2, "{other}");
    }
}
