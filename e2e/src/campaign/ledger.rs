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
            // Pods and ReplicaSets have made-up names, which are counted, not compared.
            let name = if worker { String::new() } else { call.name.replace(namespace, "NAMESPACE") };
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
