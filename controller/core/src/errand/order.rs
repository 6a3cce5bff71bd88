//! What the errand `sync` is asked to do.

use drover_crds::Reference;
use serde::{Deserialize, Serialize};

use super::manifest::is_set_id;
use super::path::{check_names, check_path};
use super::reason::{Reason, Refusal};

/// The longest that a sync may take, in seconds: a week.
const LONGEST: u64 = 7 * 24 * 3600;

/// An order, as the JSON file that the errand reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SyncOrder {
    /// Where the data lives.
    pub source: Source,
    /// How those who read the claim get a new set.
    pub publish: Publish,
    /// What is not published.
    #[serde(default)]
    pub guard: Guard,
    /// How many of the newest sets stay, at least 1.
    pub keep: u32,
    /// For how long, in seconds, a set stays after another took its place.
    pub keep_for_seconds: u64,
    /// The longest that all of it may take, in seconds, the wait for the claim included: at most a week.
    pub timeout_seconds: u64,
    /// The sets that templates or pods name: these stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_use: Vec<String>,
}

/// Where the data lives.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// Objects of a bucket.
    S3(S3Source),
    /// One file from a web server.
    Http(HttpSource),
    /// A folder of a git repository.
    Git(GitSource),
}

/// Objects of a bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct S3Source {
    /// `http://` or `https://` with host and port; without it, AWS's own of the region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket's name.
    pub bucket: String,
    /// What all keys of `paths` begin with; a slash is put after it where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// What goes where.
    pub paths: Vec<PathPair>,
    /// Whether requests are signed with the mounted keys; else the bucket is read as anybody may.
    pub signed: bool,
}

/// The region that requests are signed for, where a spec says `given` of it: servers that have none take Amazon's first.
pub fn region(given: Option<&String>) -> String {
    given.map_or("us-east-1", String::as_str).to_owned()
}

/// What goes where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PathPair {
    /// A key; or all keys that begin so, where it is empty or ends in `/`.
    pub from: String,
    /// A file of the set; or a folder of it, where it is empty or ends in `/`.
    pub to: String,
}

/// One file from a web server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HttpSource {
    /// `http://` or `https://`.
    pub url: String,
    /// The file of the set.
    pub to: String,
    /// Whether the mounted user and password, or token, are sent.
    pub authenticated: bool,
}

/// A folder of a git repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GitSource {
    /// `https://` or `ssh://`.
    pub url: String,
    /// What leads to the commit.
    #[serde(rename = "ref")]
    pub reference: Reference,
    /// The folder, without a `/` at either end; empty for the whole repository.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub path: String,
}

/// How those who read the claim get a new set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Publish {
    /// By links at the top of the claim, which lead to the new set from one moment to the next.
    Live,
    /// By mounting that set's folder.
    Rollout,
}

/// What is not published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Guard {
    /// Files, or folders with a `/` at the end, that a set must hold.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub require: Vec<String>,
    /// By how many percent each entry of `paths` may become less, in files and in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_shrink: Option<u8>,
    /// For how many seconds nothing in the source may have changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub settle_seconds: Option<u64>,
    /// The smallest that a file may be, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_bytes: Option<u64>,
    /// The types that files may have, such as `text/csv` or `image/*`; all where it is empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub content_types: Vec<String>,
}

impl SyncOrder {
    /// Reads an order and checks it.
    pub fn read(json: &[u8]) -> Result<Self, Refusal> {
        let order: Self = serde_json::from_slice(json)
            .map_err(|error| bad(format!("the order cannot be read ({error}): it is not one of this version's")))?;
        order.check()?;
        Ok(order)
    }

    /// Refuses what makes no sense, without a look at the source.
    pub fn check(&self) -> Result<(), Refusal> {
        self.source.check()?;
        self.guard.check()?;
        if self.keep == 0 {
            return Err(bad("keep is 0: one set, the published one, always stays"));
        }
        if self.timeout_seconds == 0 || self.timeout_seconds > LONGEST {
            return Err(bad("timeout must be more than nothing and no more than a week"));
        }
        match self.in_use.iter().find(|set| !is_set_id(set)) {
            Some(set) => Err(bad(format!("`{set}` is not the name of a set"))),
            None => Ok(()),
        }
    }
}

impl Source {
    /// Refuses what makes no sense, without a look at the source.
    pub fn check(&self) -> Result<(), Refusal> {
        match self {
            Self::S3(s3) => s3.check(),
            Self::Http(http) => {
                check_address("url", &http.url)?;
                if http.to.is_empty() || http.to.ends_with('/') {
                    return Err(bad(format!("to is `{}`, a folder: name the file that the page becomes", http.to)));
                }
                check_target("to", &http.to)
            }
            Self::Git(git) => {
                if !git.path.is_empty() {
                    check_key("path", &git.path)?;
                }
                let Reference { branch, tag, semver, commit } = &git.reference;
                match [branch, tag, semver, commit].iter().filter(|named| named.is_some()).count() {
                    1 => Ok(()),
                    _ => Err(bad("ref must name exactly one of branch, tag, semver and commit")),
                }
            }
        }
    }
}

impl S3Source {
    /// Refuses what is no place in a bucket.
    pub fn check_place(&self) -> Result<(), Refusal> {
        if let Some(endpoint) = &self.endpoint {
            check_address("endpoint", endpoint)?;
            if endpoint.contains(['?', '#']) {
                return Err(bad(format!("endpoint {endpoint} has a query: give scheme, host and port alone")));
            }
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if self.bucket.is_empty() || !self.bucket.chars().all(allowed) || self.bucket.starts_with('.') {
            return Err(bad(format!("`{}` is not the name of a bucket", self.bucket)));
        }
        if self.region.is_empty() || !self.region.chars().all(allowed) {
            return Err(bad(format!("`{}` is not a region: where the server has none, us-east-1 does", self.region)));
        }
        if let Some(prefix) = self.prefix.as_deref().filter(|prefix| !prefix.is_empty()) {
            check_key("prefix", prefix)?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Refusal> {
        self.check_place()?;
        if self.paths.is_empty() {
            return Err(bad("paths is empty: say what goes where, or `from: \"\"` and `to: \"\"` for all"));
        }
        for (at, pair) in self.paths.iter().enumerate() {
            if !pair.from.is_empty() {
                check_key("from", &pair.from)?;
            }
            if pair.is_prefix() && !pair.is_into_folder() {
                return Err(bad(format!(
                    "from `{}` is a prefix and to `{}` is a file: end it with a slash for a folder",
                    pair.from, pair.to
                )));
            }
            check_target("to", pair.to.trim_end_matches('/'))?;
            if self.paths[..at].iter().any(|other| other.from == pair.from) {
                return Err(bad(format!("from `{}` stands in paths twice", pair.from)));
            }
        }
        Ok(())
    }
}

impl PathPair {
    /// Whether `from` stands for all keys that begin so.
    pub fn is_prefix(&self) -> bool {
        self.from.is_empty() || self.from.ends_with('/')
    }

    /// Whether `to` is a folder.
    pub fn is_into_folder(&self) -> bool {
        self.to.is_empty() || self.to.ends_with('/')
    }
}

impl Guard {
    /// Refuses what makes no sense.
    pub fn check(&self) -> Result<(), Refusal> {
        if self.max_shrink.is_some_and(|percent| percent > 100) {
            return Err(bad("maxShrink is more than 100%"));
        }
        for path in &self.require {
            if path.trim_end_matches('/').is_empty() {
                return Err(bad("an entry of require is empty: name a file or a folder"));
            }
            check_target("require", path.trim_end_matches('/'))?;
        }
        match self.content_types.iter().find(|t| t.split('/').filter(|part| !part.is_empty()).count() != 2) {
            Some(wrong) => Err(bad(format!("`{wrong}` in contentTypes is not a type such as text/csv"))),
            None => Ok(()),
        }
    }
}

fn check_address(field: &str, address: &str) -> Result<(), Refusal> {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or_default();
    if host.contains('@') {
        return Err(bad(format!("{field} holds a user or password: put them into a Secret")));
    }
    if host.is_empty() || address.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(bad(format!("{field} is not an address that begins with https:// or http://")));
    }
    Ok(())
}

fn check_key(field: &str, key: &str) -> Result<(), Refusal> {
    let names = key.strip_suffix('/').unwrap_or(key);
    check_names(names).map_err(|why| bad(format!("{field} `{}` {why}", key.escape_debug())))
}

fn check_target(field: &str, path: &str) -> Result<(), Refusal> {
    if path.is_empty() {
        return Ok(());
    }
    check_path(path).map_err(|why| bad(format!("{field} `{}` {why}", path.escape_debug())))
}

fn bad(sentence: impl Into<String>) -> Refusal {
    Refusal::new(Reason::BadOrder, sentence)
}
