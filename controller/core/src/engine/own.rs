//! What each kind of server has a word for.

/// A file's name, and what is in it.
pub type Script = (&'static str, &'static str);

/// What is a kind of server's own: names, and the scripts that its programs are run by.
#[derive(Debug)]
pub struct Own {
    /// As a sentence has it.
    pub name: &'static str,
    /// As a spec has it. Its container and its port are called so.
    pub word: &'static str,
    /// The port that it listens on.
    pub port: i32,
    /// What a URL begins with.
    pub scheme: &'static str,
    /// Who runs it, as `/etc/passwd` has that: the name, and the whole name.
    pub account: (&'static str, &'static str),
    /// Databases and users that are the server's own.
    pub databases: &'static [&'static str],
    /// See `databases`.
    pub users: &'static [&'static str],
    /// What the names of its own begin with besides.
    pub reserved: Option<&'static str>,
    /// The least memory that it is configured for, in bytes.
    pub least_memory: i64,
    /// What has it end at once, where it waits for who is connected when Kubernetes tells it to end.
    pub ends_by: Option<&'static str>,
    /// What its pod runs.
    pub serves: &'static [Script],
    /// What a backup of it runs.
    pub backs_up: &'static [Script],
    /// What a restore runs.
    pub restores: &'static [Script],
    /// The variables by which the script that dumps is told host, port, database, user and password.
    pub variables: [&'static str; 5],
    /// What a whole dump ends with; newer servers have one line more.
    pub closing_line: &'static str,
}

/// Where the data is on a claim, and what takes its place: for the scripts that start a server.
pub(super) const CLAIM: Script = ("claim.sh", include_str!("claim.sh"));
/// What a proof and a restore have in common.
pub(super) const PROOF: Script = ("proof.sh", include_str!("proof.sh"));
/// Loads a dump into a server that is thrown away.
pub(super) const PROVE: Script = ("prove.sh", include_str!("prove.sh"));
/// Loads a dump into a new folder of a claim.
pub(super) const RESTORE: Script = ("restore.sh", include_str!("restore.sh"));

pub(super) const MIB: i64 = 1 << 20;
