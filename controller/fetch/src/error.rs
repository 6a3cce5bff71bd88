//! What can go wrong between a repository and its files, each as one sentence for a person.

use std::time::Duration;

use drover_core::render::Unreadable;
use serde::{Deserialize, Serialize};

/// Why a repository could not be followed or read. Crosses the pipe from the child process, and holds no secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[allow(missing_docs)] // of the fields: each is explained by the sentence it stands in
pub enum Error {
    /// The address is not one that drover connects to.
    #[error(
        "the address {url} cannot be used because {reason}: write https://host/path, ssh://user@host/path or user@host:path, without a password"
    )]
    BadAddress { url: String, reason: String },
    /// The Secret does not fit the address.
    #[error("the Secret of secretRef cannot be used for {url} because {reason}")]
    UnsuitableCredential { url: String, reason: String },
    /// No Secret is named, and the address needs one.
    #[error(
        "{url} is an ssh address, which needs a private key and the server's host keys, and spec.source.secretRef names no Secret: name one with the keys identity and known_hosts, or write the https address if the repository is public"
    )]
    NoCredential { url: String },
    /// DNS does not know the host.
    #[error("the host {host} of {url} cannot be resolved: check spec.source.url and the cluster's DNS")]
    UnresolvedHost { url: String, host: String },
    /// No connection.
    #[error(
        "no connection to {url} could be made ({detail}): check that the git server runs and that the network lets drover reach it"
    )]
    Unreachable { url: String, detail: String },
    /// TLS failed.
    #[error(
        "the TLS certificate of {host} is not trusted ({detail}): put the certificate authority that signed it into the key ca.crt of the Secret that spec.source.secretRef names, or of a new one that you name there"
    )]
    UntrustedCertificate { host: String, detail: String },
    /// The server refused who we are.
    #[error("authentication failed for {url}: {advice}")]
    AuthenticationFailed { url: String, advice: String },
    /// The server knows who we are and says no.
    #[error("access to {url} is forbidden: {advice}")]
    Forbidden { url: String, advice: String },
    /// SSH: nothing in known_hosts has the server's key.
    #[error(
        "the SSH host key of {host} is not in known_hosts (it has {fingerprint}): compare this fingerprint with the one that the git host publishes, and if it is the same add the line `{line}` to the key known_hosts of the Secret that secretRef names"
    )]
    UnknownHostKey { host: String, fingerprint: String, line: String },
    /// SSH: known_hosts has another key, or revokes this one.
    #[error(
        "the SSH host key of {host} differs from the one in known_hosts (it now has {fingerprint}): somebody may stand between drover and the server; if the git host changed its key, replace its line in the key known_hosts of the Secret that secretRef names"
    )]
    ChangedHostKey { host: String, fingerprint: String },
    /// The wall clock ran out.
    #[error(
        "{url} did not answer in full within {seconds} s, so drover gave up: check the git server and the size of the repository"
    )]
    TimedOut { url: String, seconds: u64 },
    /// The server sent more than is allowed.
    #[error("{url} is too large: {detail}")]
    TooLarge { url: String, detail: String },
    /// The child needs more memory than it may use.
    #[error(
        "the repository needs more memory than the git process may use: keep large files out of it, or deploy from another"
    )]
    OutOfMemory,
    /// A redirect that would carry the credential to somebody else.
    #[error(
        "{url} redirects to another host ({detail}), which drover does not follow because it would send the credential there: write the final address into spec.source.url"
    )]
    Redirected { url: String, detail: String },
    /// There is no such repository, or this credential may not see it.
    #[error(
        "there is no git repository at {url}, or the credential may not see it: check spec.source.url and secretRef"
    )]
    NotARepository { url: String },
    /// The server answered with an error.
    #[error("the git server of {url} answered with an error ({detail})")]
    Server { url: String, detail: String },
    /// The server listed it and did not send it in full.
    #[error(
        "the git server of {url} broke off while it sent {what} ({detail}): if that goes on, `git fsck` at the server tells what is damaged"
    )]
    BrokeOff { url: String, what: String, detail: String },
    /// What was fetched is not what git makes.
    #[error(
        "what is followed in {url} holds an object that cannot be read ({detail}): run `git fsck` in a clone of it, and push a commit without that object"
    )]
    Unsound { url: String, detail: String },
    /// The server wants to be asked less often. `wait` is the number of seconds that it asks for.
    #[error("the git server of {url} limits requests{}", waits(.wait.as_ref()))]
    Throttled { url: String, wait: Option<u64> },
    /// The branch is not there.
    #[error("the branch {branch} does not exist in {url}: {advice}")]
    NoSuchBranch { url: String, branch: String, advice: String },
    /// The tag is not there.
    #[error("the tag {tag} does not exist in {url}: {advice}")]
    NoSuchTag { url: String, tag: String, advice: String },
    /// The range is not one.
    #[error("`{range}` in spec.source.ref.semver is not a range of versions ({detail}): write one such as `>=1.2, <2`")]
    BadRange { range: String, detail: String },
    /// No tag is in the range.
    #[error("no tag of {url} is a version in the range {range}: {advice}")]
    NoMatchingVersion { url: String, range: String, advice: String },
    /// No such commit anywhere in the branches and tags.
    #[error("the commit {commit} is in no branch or tag of {url}: push it, or name another in spec.source.ref.commit")]
    NoSuchCommit { url: String, commit: String },
    /// A tag of a tree or a file.
    #[error("{name} of {url} does not point to a commit: name a branch or a tag of a commit in spec.source.ref")]
    NotACommit { url: String, name: String },
    /// None of branch, tag, semver and commit, or several.
    #[error("spec.source.ref must name exactly one of branch, tag, semver and commit")]
    BadReference,
    /// The folder is not in the commit.
    #[error("the path {path} does not exist in commit {commit}: check spec.source.path{advice}")]
    NoSuchPath { path: String, commit: String, advice: String },
    /// What is in the folder is not read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The commit is not in the cache (any more); it is being fetched again.
    #[error("the commit {commit} is not in the cache; drover fetches it again")]
    MissingCommit { commit: String },
    /// The cache is damaged; it is being fetched anew.
    #[error("the cache of the repository is damaged ({detail}); drover fetches it anew")]
    DamagedCache { detail: String },
    /// Nobody follows a repository under that name.
    #[error("no repository is followed for {name}")]
    NotSubscribed { name: String },
    /// The child process ended without an answer.
    #[error("the git process for {url} ended without an answer ({detail})")]
    Child { url: String, detail: String },
}

fn waits(seconds: Option<&u64>) -> String {
    seconds.map(|seconds| format!(" and asks drover to wait {seconds} s")).unwrap_or_default()
}

impl Error {
    /// Whether only a person can change it. Such a failure is still polled, because the change may be made at the git host.
    pub fn is_terminal(&self) -> bool {
        !matches!(
            self,
            Self::UnresolvedHost { .. }
                | Self::Unreachable { .. }
                | Self::TimedOut { .. }
                | Self::Server { .. }
                | Self::BrokeOff { .. }
                | Self::Throttled { .. }
                | Self::MissingCommit { .. }
                | Self::DamagedCache { .. }
                | Self::NotSubscribed { .. }
                | Self::Child { .. }
        )
    }

    /// The sentence, where the fields that it names stand below `field` and not below `spec.source`.
    pub fn below(&self, field: &str) -> String {
        self.to_string().replace("spec.source.", &format!("{field}."))
    }

    /// For how long the server asks to be left alone.
    pub fn asked_wait(&self) -> Option<Duration> {
        match self {
            Self::Throttled { wait, .. } => wait.map(Duration::from_secs),
            _ => None,
        }
    }

    /// One CamelCase word: the reason of a condition and the label of a metric.
    pub fn label(&self) -> &'static str {
        match self {
            Self::BadAddress { .. } => "BadAddress",
            Self::UnsuitableCredential { .. } | Self::NoCredential { .. } => "UnsuitableCredential",
            Self::UnresolvedHost { .. } => "UnresolvedHost",
            Self::Unreachable { .. } => "Unreachable",
            Self::UntrustedCertificate { .. } => "UntrustedCertificate",
            Self::AuthenticationFailed { .. } => "AuthenticationFailed",
            Self::Forbidden { .. } => "Forbidden",
            Self::UnknownHostKey { .. } => "UnknownHostKey",
            Self::ChangedHostKey { .. } => "ChangedHostKey",
            Self::TimedOut { .. } => "TimedOut",
            Self::TooLarge { .. } | Self::OutOfMemory => "RepositoryTooLarge",
            Self::Redirected { .. } => "Redirected",
            Self::NotARepository { .. } => "NotARepository",
            Self::Server { .. } | Self::BrokeOff { .. } => "GitServerError",
            Self::Unsound { .. } => "UnsoundCommit",
            Self::Throttled { .. } => "GitServerThrottles",
            Self::NoSuchBranch { .. } => "NoSuchBranch",
            Self::NoSuchTag { .. } => "NoSuchTag",
            Self::BadRange { .. } => "BadRange",
            Self::NoMatchingVersion { .. } => "NoMatchingVersion",
            Self::NoSuchCommit { .. } => "NoSuchCommit",
            Self::NotACommit { .. } => "NotACommit",
            Self::BadReference => "BadReference",
            Self::NoSuchPath { .. } => "NoSuchPath",
            Self::Unreadable(unreadable) => unreadable.label(),
            Self::MissingCommit { .. } => "MissingCommit",
            Self::DamagedCache { .. } => "DamagedCache",
            Self::NotSubscribed { .. } => "NotSubscribed",
            Self::Child { .. } => "GitProcessFailed",
        }
    }
}
