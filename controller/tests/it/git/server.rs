//! The testbed's git server, one per test, and repositories on it.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use drover_fetch::Credential;
use tempfile::TempDir;

/// The testbed's script, wherever in the workspace the crate of the test is.
fn script() -> PathBuf {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let found = crates.map(|folder| folder.join("e2e/testbed/gitserver")).find(|script| script.exists());
    found.expect("the workspace has a testbed")
}

/// A running server; dropping it stops it and deletes everything.
pub struct GitServer {
    number: u32,
    settings: HashMap<String, String>,
}

impl GitServer {
    pub fn start() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Apart from other runs on this machine, and with ports below those that the kernel hands out.
        let number = 100 + std::process::id() % 70 * 32 + COUNT.fetch_add(1, Ordering::Relaxed);
        let mut server = Self { number, settings: HashMap::new() };
        server.call(&["up"]);
        let settings = server.call(&["env"]);
        server.settings =
            settings.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.into(), v.into())).collect();
        server
    }

    fn call(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(script());
        let output = command.args(arguments).env("TESTBED", self.number.to_string()).output().expect("the script runs");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "gitserver {arguments:?} failed: {complaint}");
        String::from_utf8(output.stdout).expect("text")
    }

    pub fn setting(&self, name: &str) -> &str {
        &self.settings[name]
    }

    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.setting(name)).expect(name)
    }

    /// Makes a repository with one commit on `prod`: `deploy/app.yaml`.
    pub fn repo(&self, name: &str) -> Repo {
        self.call(&["repo", name]);
        let repo = Repo { bare: Path::new(self.setting("GIT_REPOSITORIES")).join(format!("{name}.git")), work: work() };
        repo.push("prod", &[("deploy/app.yaml", "kind: ConfigMap\n")], "first");
        repo
    }

    pub fn https(&self, name: &str) -> String {
        format!("{}/{name}.git", self.setting("GIT_HTTPS_URL"))
    }

    /// Where the same repository may be read by anybody.
    pub fn public(&self, name: &str) -> String {
        format!("{}/{name}.git", self.setting("GIT_PUBLIC_URL"))
    }

    pub fn ssh(&self, name: &str) -> String {
        format!("{}/{name}.git", self.setting("GIT_SSH_URL"))
    }

    pub fn password(&self) -> Credential {
        let (user, password) = (self.setting("GIT_USER"), self.setting("GIT_PASSWORD"));
        credential(&[
            ("username", user.as_bytes()),
            ("password", password.as_bytes()),
            ("ca.crt", &self.file("GIT_CA")),
        ])
    }

    pub fn token(&self) -> Credential {
        credential(&[("bearerToken", self.setting("GIT_TOKEN").as_bytes()), ("ca.crt", &self.file("GIT_CA"))])
    }

    pub fn with_authority(&self, pairs: &[(&str, &str)]) -> Credential {
        let authority = self.file("GIT_CA");
        let mut all: Vec<(&str, &[u8])> = pairs.iter().map(|(k, v)| (*k, v.as_bytes())).collect();
        all.push(("ca.crt", &authority));
        credential(&all)
    }

    /// `identity` is the name of a setting; `known_hosts` a text.
    pub fn key(&self, identity: &str, known_hosts: &str) -> Credential {
        credential(&[("identity", &self.file(identity)), ("known_hosts", known_hosts.as_bytes())])
    }

    /// Makes a key with these arguments of ssh-keygen, and lets it in.
    pub fn new_key(&self, arguments: &[&str], password: &str) -> Credential {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("key");
        let mut command = Command::new("ssh-keygen");
        let made = command.args(["-q", "-f"]).arg(&path).args(arguments).status().expect("ssh-keygen runs");
        assert!(made.success());
        let public = fs::read_to_string(path.with_extension("pub")).expect("public key");
        let authorised = Path::new(self.setting("GIT_IDENTITY")).with_file_name("authorized_keys");
        let all = fs::read_to_string(&authorised).expect("keys") + &public;
        fs::write(&authorised, all).expect("written");
        let (identity, known_hosts) = (fs::read(&path).expect("key"), self.known_hosts());
        credential(&[
            ("identity", &identity),
            ("known_hosts", known_hosts.as_bytes()),
            ("password", password.as_bytes()),
        ])
    }

    pub fn known_hosts(&self) -> String {
        String::from_utf8(self.file("GIT_KNOWN_HOSTS")).expect("text")
    }

    /// Lines of the access log with `part` in them. A request is written down after its answer has gone out, so whoever has the answer
    /// may be here first: it is waited for.
    pub fn requests(&self, part: &str) -> usize {
        let log = |setting| fs::read_to_string(self.setting(setting)).unwrap_or_default();
        let patience = Instant::now() + Duration::from_secs(2);
        loop {
            let begun = self.requests_begun();
            let (written, own) = (log("GIT_ACCESS_LOG"), log("GIT_STATUS_LOG"));
            // What asks how many there are is one of them.
            if written.lines().count() + own.lines().count() + 1 >= begun || Instant::now() > patience {
                return written.lines().filter(|line| line.contains(part)).count();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// How many requests the server has begun to answer, this one among them.
    fn requests_begun(&self) -> usize {
        let mut status = UnixStream::connect(self.setting("GIT_STATUS")).expect("the server listens");
        status.write_all(b"GET / HTTP/1.0\r\n\r\n").expect("it reads");
        let mut answer = String::new();
        status.read_to_string(&mut answer).expect("it answers");
        // `server accepts handled requests`, and a line with these three numbers.
        let numbers = answer.lines().skip_while(|line| !line.starts_with("server accepts")).nth(1);
        let begun = numbers.and_then(|numbers| numbers.split_whitespace().nth(2)?.parse().ok());
        begun.unwrap_or_else(|| panic!("no number of requests: {answer}"))
    }
}

impl Drop for GitServer {
    fn drop(&mut self) {
        self.call(&["down"]);
    }
}

pub fn credential(pairs: &[(&str, &[u8])]) -> Credential {
    let data: BTreeMap<String, Vec<u8>> = pairs.iter().map(|(k, v)| ((*k).to_owned(), v.to_vec())).collect();
    Credential::from_secret(&data).expect("suitable")
}

/// Text that does not compress to less than half.
pub fn noise() -> String {
    hex::encode(
        (0..40_000u32)
            .flat_map(|n| n.wrapping_mul(2_654_435_761).rotate_left(n % 31).to_be_bytes())
            .collect::<Vec<u8>>(),
    )
}

/// A repository on the server and a working folder.
pub struct Repo {
    bare: PathBuf,
    pub work: TempDir,
}

fn work() -> TempDir {
    let work = tempfile::tempdir().expect("folder");
    run(work.path(), &["init", "-q", "--initial-branch=work"]);
    work
}

impl Repo {
    /// Commits these files beside what is there and pushes to `branch`; returns the commit.
    pub fn push(&self, branch: &str, files: &[(&str, &str)], message: &str) -> String {
        for (path, content) in files {
            let path = self.work.path().join(path);
            fs::create_dir_all(path.parent().expect("in the folder")).expect("folder");
            fs::write(path, content).expect("written");
        }
        self.push_work(branch, message)
    }

    /// Commits the working folder as it is and pushes it.
    pub fn push_work(&self, branch: &str, message: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
        self.git(&["push", "-q", "--force", &self.bare.display().to_string(), &format!("HEAD:refs/heads/{branch}")]);
        self.git(&["rev-parse", "HEAD"])
    }

    /// Tags the last commit and pushes the tag.
    pub fn tag(&self, arguments: &[&str], name: &str) {
        self.git(&[&["tag"], arguments, &[name]].concat());
        self.git(&["push", "-q", &self.bare.display().to_string(), &format!("refs/tags/{name}")]);
    }

    pub fn git(&self, arguments: &[&str]) -> String {
        run(self.work.path(), arguments)
    }

    /// Git in the bare repository.
    pub fn at_server(&self, arguments: &[&str]) -> String {
        run(&self.bare, arguments)
    }
}

fn run(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(folder).args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"]).args(arguments);
    let output = command.output().expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}
