//! What was created and deleted, by the API server's audit log.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use crate::audit::{Asked, Audit};
use crate::fault::api::Call;
use crate::testbed::Testbed;

/// Kinds whose writes are no part of an outcome: the election's and what is told to people.
const ASIDE: [&str; 2] = ["leases", "events"];
/// The accounts whose work drover causes: how many pods they make tells how often drover changed its mind.
const WORKERS: [&str; 2] = ["deployment-controller", "replicaset-controller"];

/// A place in the audit log from which it is read.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
    from: u64,
}

impl Ledger {
    /// From now on.
    pub fn from_now(bed: &Testbed) -> Self {
        let path = bed.state().join("log/audit.log");
        let from = std::fs::metadata(&path).map_or(0, |file| file.len());
        Self { path, from }
    }

    /// All writes since, the election's and the events aside, also those that failed.
    pub fn writes(&self) -> Vec<Asked> {
        let mut all = Audit::read_from(&self.path, self.from).into_entries();
        all.retain(|asked| asked.call.writes() && !ASIDE.contains(&asked.call.resource.as_str()));
        all
    }

    /// Those of drover.
    pub fn writes_of_drover(&self) -> Vec<Asked> {
        let mut all = self.writes();
        all.retain(Asked::by_drover);
        all
    }

    /// How often drover and the controllers that work for it created and deleted what, in the namespace and in drover's own
    /// where an object is named after it; and what may have been done besides.
    pub fn changes(&self, namespace: &str) -> (BTreeMap<String, usize>, BTreeSet<String>) {
        let mut counted = BTreeMap::new();
        let mut unanswered = BTreeSet::new();
        let mut deleted = BTreeSet::new();
        for asked in self.writes() {
            let (call, code) = (&asked.call, asked.code);
            // 504: whoever asked was gone before the answer, so the log does not say what came of it.
            let what = match (call.verb.as_str(), code) {
                ("create" | "patch" | "update", 201 | 504) => "create",
                ("delete" | "deletecollection", 200 | 202 | 504) => "delete",
                _ => continue,
            };
            let worker = asked.acting_as.rsplit(':').next().is_some_and(|account| WORKERS.contains(&account));
            if !(asked.by_drover() || worker) || !concerns(call, namespace) {
                continue;
            }
            // Who got no answer deletes the same pod once more, and is told again that it is ending.
            if worker && what == "delete" && code != 504 && !deleted.insert((call.resource.clone(), call.name.clone()))
            {
                continue;
            }
            // Pods, ReplicaSets and Jobs have made-up names, which are counted, not compared.
            let is_made_up = worker || call.resource == "jobs";
            let name = if is_made_up { String::new() } else { call.name.replace(namespace, "NAMESPACE") };
            let change = format!("{what} {} {name}", call.resource).trim_end().to_owned();
            if code == 504 {
                unanswered.insert(change);
            } else {
                *counted.entry(change).or_default() += 1;
            }
        }
        (counted, unanswered)
    }
}

/// Whether the call is for that namespace, or for an object of drover's own that is named after it.
pub(super) fn concerns(call: &Call, namespace: &str) -> bool {
    call.namespace == namespace || call.name.contains(namespace)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pod_whose_deletion_was_asked_for_twice_counts_once() {
        let asked = |verb: &str, account: &str, resource: &str, name: &str, code: u16| {
            json!({"verb": verb, "requestURI": "/", "user": {"username": format!("system:serviceaccount:{account}")},
                "objectRef": {"resource": resource, "namespace": "shop", "name": name},
                "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z", "responseStatus": {"code": code}})
        };
        let (sets, drover) = ("kube-system:replicaset-controller", "drover-system:drover");
        let lines = [
            asked("create", sets, "pods", "", 201),
            asked("delete", sets, "pods", "web-a", 200),
            asked("delete", sets, "pods", "web-a", 200),
            asked("delete", sets, "pods", "web-a", 404),
            asked("delete", sets, "pods", "web-b", 504),
            asked("delete", drover, "services", "web", 200),
            asked("patch", drover, "services", "web", 201),
            asked("delete", drover, "services", "web", 200),
        ];
        let path = std::env::temp_dir().join(format!("drover-ledger-{}", std::process::id()));
        std::fs::write(&path, lines.map(|line| format!("{line}\n")).concat())
            .expect("the temporary folder can be written");
        let (counted, unanswered) = Ledger { path: path.clone(), from: 0 }.changes("shop");
        std::fs::remove_file(path).expect("it was written");
        let counted: Vec<_> = counted.iter().map(|(what, times)| (what.as_str(), *times)).collect();
        assert_eq!(
            counted,
            [("create pods", 1), ("create services web", 1), ("delete pods", 1), ("delete services web", 2)]
        );
        assert_eq!(unanswered, BTreeSet::from(["delete pods".to_owned()]));
    }
}
