//! A claim, and the binary at work in it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use drover_core::errand::{Outcome, SyncResult};
use serde_json::{Value, json};
use tempfile::TempDir;

pub struct Errand {
    folder: TempDir,
    secret: bool,
    pub allow_loopback: bool,
}

impl Errand {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("claim")).expect("a claim");
        Self { folder, secret: false, allow_loopback: true }
    }

    pub fn claim(&self) -> PathBuf {
        self.folder.path().join("claim")
    }

    /// Mounts a Secret, as Kubernetes does: keys are links.
    pub fn with_secret(mut self, keys: &[(&str, &str)]) -> Self {
        let folder = self.folder.path().join("secret");
        fs::create_dir_all(folder.join("..data")).expect("a Secret");
        for (key, value) in keys {
            fs::write(folder.join("..data").join(key), value).expect("a key");
            symlink(Path::new("..data").join(key), folder.join(key)).expect("a link");
        }
        self.secret = true;
        self
    }

    /// What a file at the claim's top says.
    pub fn read(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.claim().join(path)).ok()
    }

    /// The names of the sets.
    pub fn sets(&self) -> Vec<String> {
        names(&self.claim().join(".drover/sets"))
    }

    /// The folder of a published set.
    pub fn set(&self, result: &SyncResult) -> PathBuf {
        self.claim().join(".drover/sets").join(result.set.as_deref().expect("a set"))
    }

    pub fn command(&self, order: &Value) -> Command {
        self.command_to(order, "result")
    }

    fn command_to(&self, order: &Value, result: &str) -> Command {
        let file = |name: &str| self.folder.path().join(name);
        fs::write(file("order.json"), order.to_string()).expect("an order");
        let mut command = Command::new(env!("CARGO_BIN_EXE_drover-errands"));
        command.arg("sync").arg("--claim").arg(self.claim());
        command.arg("--order").arg(file("order.json")).arg("--result").arg(file(result));
        if self.secret {
            command.arg("--secret").arg(file("secret"));
        }
        if self.allow_loopback {
            command.arg("--allow-loopback");
        }
        command
    }

    /// Begins, and does not wait for the end. Each run that is under way at once needs a result of its own.
    pub fn start(&self, order: &Value, result: &str) -> Running {
        let child = self.command_to(order, result).stdout(Stdio::piped()).stderr(Stdio::null()).spawn();
        Running { child: child.expect("the binary"), result: self.folder.path().join(result) }
    }

    /// Runs to the end.
    pub fn sync(&self, order: &Value) -> SyncResult {
        self.run(&mut self.command(order))
    }

    pub fn run(&self, command: &mut Command) -> SyncResult {
        let output = command.output().expect("the binary");
        let text = fs::read_to_string(self.folder.path().join("result"))
            .unwrap_or_else(|_| panic!("no result: {}", String::from_utf8_lossy(&output.stderr)));
        let result = SyncResult::read(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        let is_good = matches!(result.outcome, Outcome::Published | Outcome::Unchanged);
        assert_eq!(output.status.success(), is_good, "{text}");
        result
    }
}

pub struct Running {
    pub child: Child,
    result: PathBuf,
}

impl Running {
    pub fn wait(mut self) -> SyncResult {
        self.child.wait().expect("it ends");
        SyncResult::read(&fs::read_to_string(&self.result).expect("a result")).expect("a result")
    }
}

/// An order with what most tests want.
pub fn order(source: &Value, publish: &str) -> Value {
    json!({"source": source, "publish": publish, "keep": 2, "keepForSeconds": 0, "timeoutSeconds": 30})
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let mut names: Vec<_> =
        entries.map(|entry| entry.expect("an entry").file_name().into_string().expect("text")).collect();
    names.sort();
    names
}

/// Waits until it is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[track_caller]
pub fn assert_ends(result: &SyncResult, outcome: Outcome, reason: &str, sentence: &str) {
    assert_eq!((result.outcome, result.reason.as_str()), (outcome, reason), "{}", result.message);
    assert!(result.message.contains(sentence), "{} has not: {sentence}", result.message);
}
