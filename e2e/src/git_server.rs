//! The real git server of the testbed: smart HTTP over TLS with a password, and SSH.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, OnceLock};

use serde_json::{Value, json};

use crate::command::run;
use crate::testbed::{Testbed, repository};

/// A running git server, as `gitserver env` describes it.
#[derive(Clone, Debug)]
pub struct GitServer {
    variables: BTreeMap<String, String>,
    testbed: u32,
    address: String,
}

impl GitServer {
    /// The server of the shared testbed, started when it is not up yet.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<GitServer> = OnceLock::new();
        SHARED.get_or_init(|| Self::beside(Testbed::shared()))
    }

    /// The server that the pods of that testbed reach, started when it is not up yet.
    pub fn beside(bed: &Testbed) -> Self {
        static KNOWN: Mutex<BTreeMap<u32, GitServer>> = Mutex::new(BTreeMap::new());
        let mut known = KNOWN.lock().expect("no holder of this lock panics");
        known.entry(bed.number()).or_insert_with(|| Self::start(bed)).clone()
    }

    fn start(bed: &Testbed) -> Self {
        let (testbed, address) = (bed.number(), bed.host_ip().to_owned());
        tool(testbed, &address, &["up"]);
        let variables = tool(testbed, &address, &["env"])
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        Self { variables, testbed, address }
    }

    fn variable(&self, name: &str) -> &str {
        self.variables.get(name).unwrap_or_else(|| panic!("`gitserver env` prints no {name}: {:?}", self.variables))
    }

    /// Ends it and deletes its repositories.
    pub fn down(&self) {
        tool(self.testbed, &self.address, &["down"]);
    }

    /// Makes an empty repository, in place of one that an earlier run left. As on most hosts its default branch is `main`, so that `prod` may be deleted.
    pub fn create(&self, name: &str) {
        let folder = Path::new(self.variable("GIT_REPOSITORIES")).join(format!("{name}.git"));
        if folder.exists() {
            fs::remove_dir_all(&folder).expect("the git server's folder is ours");
        }
        tool(self.testbed, &self.address, &["repo", name]);
        run(Command::new("git").arg("-C").arg(folder).args(["symbolic-ref", "HEAD", "refs/heads/main"]));
    }

    /// The address of a repository over TLS.
    pub fn https(&self, name: &str) -> String {
        format!("{}/{name}.git", self.variable("GIT_HTTPS_URL"))
    }

    /// The address of a repository over TLS where anybody may read it; who writes is asked for the password.
    pub fn public(&self, name: &str) -> String {
        format!("{}/{name}.git", self.variable("GIT_PUBLIC_URL"))
    }

    /// The same without TLS, for a drover that knows only the authorities of everybody.
    pub fn public_without_tls(&self, name: &str) -> String {
        self.public(name).replacen(self.variable("GIT_HTTPS_URL"), self.http(), 1)
    }

    /// Where the server answers without TLS, for a proxy before it.
    pub fn http(&self) -> &str {
        self.variable("GIT_HTTP_URL")
    }

    /// The address of a repository over SSH.
    pub fn ssh(&self, name: &str) -> String {
        format!("{}/{name}.git", self.variable("GIT_SSH_URL"))
    }

    /// Who may read and write over TLS.
    pub fn username(&self) -> &str {
        self.variable("GIT_USER")
    }

    /// The password of that user.
    pub fn password(&self) -> &str {
        self.variable("GIT_PASSWORD")
    }

    /// The certificate authority that vouches for the server.
    pub fn authority(&self) -> &Path {
        Path::new(self.variable("GIT_CA"))
    }

    /// The private key that may read and write over SSH.
    pub fn identity(&self) -> &Path {
        Path::new(self.variable("GIT_IDENTITY"))
    }

    /// The server's SSH host key, as a line of a `known_hosts` file.
    pub fn known_hosts(&self) -> &Path {
        Path::new(self.variable("GIT_KNOWN_HOSTS"))
    }

    /// A Secret with what the server asks for over TLS.
    pub fn secret_for_https(&self, name: &str) -> String {
        self.secret_for_https_with_password(name, self.password())
    }

    /// The same, with that password.
    pub fn secret_for_https_with_password(&self, name: &str, password: &str) -> String {
        secret(name, &json!({"username": self.username(), "password": password, "ca.crt": read(self.authority())}))
    }

    /// A Secret with what the server asks for over SSH.
    pub fn secret_for_ssh(&self, name: &str) -> String {
        secret(name, &json!({"identity": read(self.identity()), "known_hosts": read(self.known_hosts())}))
    }

    /// The same, with that text as `known_hosts`.
    pub fn secret_for_ssh_knowing(&self, name: &str, known_hosts: &str) -> String {
        secret(name, &json!({"identity": read(self.identity()), "known_hosts": known_hosts}))
    }

    /// The same, but for a server with another host key.
    pub fn secret_for_ssh_with_wrong_host_key(&self, name: &str) -> String {
        let folder = tempfile::tempdir().expect("the temporary folder is ours to write");
        let key = folder.path().join("key");
        run(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(&key));
        let stranger = read(&key.with_extension("pub"));
        let known: Vec<String> = read(self.known_hosts())
            .lines()
            .filter_map(|line| line.split(' ').next())
            .map(|host| format!("{host} {stranger}"))
            .collect();
        secret(name, &json!({"identity": read(self.identity()), "known_hosts": known.concat()}))
    }

    /// Lets a git command use the server over TLS.
    pub fn let_in(&self, command: &mut Command) {
        let helper = format!("!f() {{ echo username={}; echo password={}; }}; f", self.username(), self.password());
        command
            .env("GIT_SSL_CAINFO", self.authority())
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_COUNT", "2")
            .env("GIT_CONFIG_KEY_0", "credential.helper")
            .env("GIT_CONFIG_VALUE_0", "")
            .env("GIT_CONFIG_KEY_1", "credential.helper")
            .env("GIT_CONFIG_VALUE_1", helper);
    }
}

fn tool(testbed: u32, address: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(repository().join("e2e/testbed/gitserver"));
    run(command.args(arguments).env("TESTBED", testbed.to_string()).env("GITSERVER_ADDR", address))
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn secret(name: &str, data: &Value) -> String {
    json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}).to_string()
}
