//! What was created and deleted, by the API server's audit log.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::PathBuf;

use serde::Deserialize;

use crate::fault::Call;
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

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    user: User,
    #[serde(default)]
    impersonated_user: Option<User>,
    object_ref: Option<ObjectRef>,
    #[serde(default)]
    response_status: Status,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ObjectRef {
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
    api_group: String,
}

/// A write that the API server has answered.
#[derive(Clone, Debug)]
pub struct Write {
    /// What was written; an object whose name the API server chose has the name that was asked for, or none.
    pub call: Call,
    /// The HTTP status.
    pub code: u16,
    /// The account, without `system:serviceaccount:NAMESPACE:`.
    pub account: String,
    /// Whether drover wrote it, as itself or as the account of a namespace.
    pub by_drover: bool,
}

impl Write {
    /// Whether drover wrote it, into that namespace or into its own under that namespace's name.
    pub fn concerns(&self, namespace: &str) -> bool {
        self.by_drover && (self.call.namespace == namespace || self.call.name.contains(namespace))
    }
}

impl Ledger {
    /// From now on.
    pub fn from_now(bed: &Testbed) -> Self {
        let path = bed.state().join("log/audit.log");
        let from = std::fs::metadata(&path).map_or(0, |file| file.len());
        Self { path, from }
    }

    /// All writes since, the election's and the events aside.
    pub fn writes(&self) -> Vec<Write> {
        let mut file = File::open(&self.path).expect("the testbed was started with its audit log");
        file.seek(SeekFrom::Start(self.from)).expect("the audit log only grows");
        let mut found = Vec::new();
        for line in BufReader::new(file).split(b'\n') {
            // The last line may be half written.
            let Ok(event) = serde_json::from_slice::<Event>(&line.expect("the audit log can be read")) else {
                continue;
            };
            let Some(object) = event.object_ref else { continue };
            let call = Call {
                verb: event.verb,
                group: object.api_group,
                resource: object.resource,
                subresource: object.subresource,
                namespace: object.namespace,
                name: object.name,
            };
            if !call.writes() || ASIDE.contains(&call.resource.as_str()) {
                continue;
            }
            let account = |user: &User| user.username.rsplit(':').next().unwrap_or_default().to_owned();
            let by_drover = event.user.username == "system:serviceaccount:drover-system:drover";
            let account = account(event.impersonated_user.as_ref().unwrap_or(&event.user));
            found.push(Write { call, code: event.response_status.code, account, by_drover });
        }
        found
    }

    /// How often drover and the controllers that work for it created and deleted what, in the namespace and in drover's own
    /// where an object is named after it; and what may have been done besides.
    pub fn changes(&self, namespace: &str) -> (BTreeMap<String, usize>, BTreeSet<String>) {
        let mut counted = BTreeMap::new();
        let mut unanswered = BTreeSet::new();
        for Write { call, code, account, by_drover } in self.writes() {
            let what = match (call.verb.as_str(), code) {
                ("create", 201) | ("patch", 201) | ("update", 201) => "create",
                ("delete" | "deletecollection", 200 | 202) => "delete",
                // Whoever asked was gone before the answer, so the log does not say what came of it.
                ("create" | "patch" | "update", 504) => "create",
                ("delete" | "deletecollection", 504) => "delete",
                _ => continue,
            };
            let worker = WORKERS.contains(&account.as_str());
            if !(by_drover || worker) || !(call.namespace == namespace || call.name.contains(namespace)) {
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
