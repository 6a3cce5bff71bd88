//! What the API server's audit log says was asked of it: who, what, when, and how it was answered.

use std::fs;
use std::io::{BufRead as _, BufReader, Seek as _, SeekFrom};
use std::path::Path;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use serde::Deserialize;
use serde_json::Value;

use crate::fault::api::{Call, DRY_RUN, REHEARSE};

/// A request that was answered.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What for.
    pub call: Call,
    /// The user, before any impersonation.
    pub user: String,
    /// The user that it was done as.
    pub acting_as: String,
    /// The token's id, where it was one.
    pub credential: String,
    /// When it arrived.
    pub at: MicroTime,
    /// The HTTP status of the answer; 0 for none.
    pub code: u16,
}

impl Asked {
    /// Whether drover asked, as itself or as the account of a namespace.
    pub fn by_drover(&self) -> bool {
        self.user == "system:serviceaccount:drover-system:drover"
    }

    /// Whether something was to be written, the Lease aside, whatever came of it.
    pub fn is_write(&self) -> bool {
        self.call.writes() && self.call.resource != "leases"
    }

    /// Whether it changed the cluster, the Lease and Events aside.
    pub fn changed_something(&self) -> bool {
        self.call.writes() && self.code < 300 && !["leases", "events"].contains(&self.call.resource.as_str())
    }
}

/// The log, in the order in which requests were answered.
#[derive(Clone, Debug)]
pub struct Audit(Vec<Asked>);

impl Audit {
    pub(crate) fn read(path: &Path) -> Self {
        Self::read_from(path, 0)
    }

    /// What lies in the file after that many bytes.
    pub(crate) fn read_from(path: &Path, place: u64) -> Self {
        let mut file = fs::File::open(path).expect("the testbed was started with its audit log");
        let end = file.seek(SeekFrom::End(0)).expect("the audit log is a file");
        assert!(place <= end, "the audit log became shorter: did the API server begin another file?");
        file.seek(SeekFrom::Start(place)).expect("the audit log is a file");
        let lines = BufReader::new(file).split(b'\n').map(|line| line.expect("the audit log can be read"));
        // The last line may not be whole yet, and an API server that was killed leaves half a line.
        Self(lines.filter_map(|line| parse(&line).ok()).collect())
    }

    /// How many entries there are: a place to go on from.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was asked.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What came after that many entries.
    pub fn since(&self, place: usize) -> &[Asked] {
        &self.0[place..]
    }

    /// All entries.
    pub fn into_entries(self) -> Vec<Asked> {
        self.0
    }

    /// What was asked with that credential.
    pub fn by<'a>(&'a self, credential: &'a str) -> impl Iterator<Item = &'a Asked> + 'a {
        self.0.iter().filter(move |asked| asked.credential == credential)
    }
}

fn parse(line: &[u8]) -> Result<Asked, serde_json::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Line {
        verb: String,
        #[serde(default, rename = "requestURI")]
        uri: String,
        user: User,
        impersonated_user: Option<User>,
        #[serde(default)]
        object_ref: Object,
        request_received_timestamp: MicroTime,
        #[serde(default)]
        response_status: Value,
    }
    #[derive(Deserialize)]
    struct User {
        #[serde(default)]
        username: String,
        #[serde(default)]
        extra: Value,
    }
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Object {
        api_group: String,
        resource: String,
        subresource: String,
        namespace: String,
        name: String,
    }
    let Line { verb, uri, user, impersonated_user, object_ref: object, request_received_timestamp, response_status } =
        serde_json::from_slice(line)?;
    let id = &user.extra["authentication.kubernetes.io/credential-id"][0];
    Ok(Asked {
        call: Call {
            verb: if uri.contains(DRY_RUN) { REHEARSE.to_owned() } else { verb },
            group: object.api_group,
            resource: object.resource,
            subresource: object.subresource,
            namespace: object.namespace,
            name: object.name,
        },
        acting_as: impersonated_user.map_or_else(|| user.username.clone(), |user| user.username),
        user: user.username,
        credential: id.as_str().unwrap_or_default().to_owned(),
        at: request_received_timestamp,
        code: response_status["code"].as_u64().and_then(|code| code.try_into().ok()).unwrap_or(0),
    })
}
