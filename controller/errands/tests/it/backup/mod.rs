//! The errands of a backup, with restic as the judge of what they write.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use drover_core::backup::{BackupResult, Ended};
use drover_core::engine::Engine;
use serde_json::{Value, json};
use tempfile::TempDir;

mod bucket;
mod claim;
mod database;
mod mariadb;

/// The password that the tests' Secrets hold.
const KEY: &str = "a key that a person keeps";

/// A place for backups, and the work folder of one pod.
struct Backup {
    folder: TempDir,
    order: Value,
    secret: bool,
}

impl Backup {
    /// Onto a claim, without a key.
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["claim", "work", "key"] {
            fs::create_dir(folder.path().join(name)).expect("a folder");
        }
        let order = json!({
            "database": "shop/db", "repository": "claim", "keep": {"last": 3}, "timeZone": "UTC", "timeoutSeconds": 600,
        });
        Self { folder, order, secret: false }
    }

    /// The same place, from another pod.
    fn beside(other: &Self) -> Self {
        let mut backup = Self::new();
        backup.order = other.order.clone();
        backup.order["_claim"] = json!(other.claim());
        backup.set_key(other.key().as_deref());
        backup.secret = other.secret;
        backup
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn claim(&self) -> PathBuf {
        self.order["_claim"].as_str().map_or_else(|| self.path("claim"), PathBuf::from)
    }

    fn key(&self) -> Option<String> {
        fs::read_to_string(self.path("key/password")).ok()
    }

    /// Mounts a Secret with that key; or none.
    fn set_key(&mut self, key: Option<&str>) {
        match key {
            Some(key) => {
                fs::write(self.path("key/password"), key).expect("a key");
                self.order["encryption"] = json!("backup-key");
            }
            None => {
                let _ = fs::remove_file(self.path("key/password"));
                self.order.as_object_mut().expect("an object").remove("encryption");
            }
        }
    }

    /// What the script `dump` leaves: these rows.
    fn dump(&self, rows: &str) {
        let dump = self.path("work/dump");
        fs::create_dir_all(&dump).expect("a folder");
        fs::write(dump.join("dump.sql"), format!("{rows}\n--\n{}\n--\n\n", Engine::Postgres.own().closing_line))
            .expect("a dump");
        fs::write(dump.join("facts"), facts(rows.lines().count())).expect("facts");
    }

    /// What the script `prove` leaves where all came back.
    fn prove(&self) {
        let proof = self.path("work/proof");
        fs::create_dir_all(&proof).expect("a folder");
        let restored = fs::read_to_string(self.path("work/restored/dump.sql")).expect("a restored dump");
        fs::write(proof.join("facts"), facts(restored.lines().count() - 4)).expect("facts");
        fs::write(proof.join("over"), "").expect("an end");
    }

    fn command(&self, errand: &str) -> Command {
        let mut order = self.order.clone();
        order.as_object_mut().expect("an object").retain(|key, _| !key.starts_with('_'));
        fs::write(self.path("order.json"), order.to_string()).expect("an order");
        let mut command = command(errand);
        command.arg("--allow-loopback").arg("--claim").arg(self.claim());
        for name in ["work", "key", "result"] {
            command.arg(format!("--{name}")).arg(self.path(name));
        }
        command.arg("--order").arg(self.path("order.json"));
        if self.secret {
            command.arg("--secret").arg(self.path("secret"));
        }
        command.stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }

    fn start(&self, errand: &str) -> Child {
        self.command(errand).stderr(Stdio::null()).spawn().expect("the binary")
    }

    /// What the errand said, which is nothing where all goes on.
    fn run(&self, errand: &str) -> Option<BackupResult> {
        let _ = fs::remove_file(self.path("result"));
        let output = self.command(errand).output().expect("the binary");
        let said = String::from_utf8_lossy(&output.stderr);
        let Ok(text) = fs::read_to_string(self.path("result")) else {
            assert!(output.status.success(), "no result: {said}");
            return None;
        };
        assert!(!text.contains(KEY) && !said.contains(KEY), "the key is told");
        let result = BackupResult::read(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(output.status.success(), result.ended == Ended::Proven, "{text}");
        Some(result)
    }

    /// Stores these rows.
    fn store(&self, rows: &str) -> Option<BackupResult> {
        self.dump(rows);
        self.run("backup-store")
    }

    fn conclude(&self) -> BackupResult {
        self.run("backup-conclude").expect("a result")
    }

    /// A whole backup, of which all comes back.
    fn make(&self, rows: &str) -> BackupResult {
        if let Some(result) = self.store(rows) {
            panic!("not stored: {}", result.message);
        }
        self.prove();
        let result = self.conclude();
        assert_eq!(result.ended, Ended::Proven, "{}", result.message);
        result
    }

    /// restic, as Debian has it, on the claim.
    fn restic(&self, arguments: &[&str]) -> Output {
        restic(&self.claim().join("restic"), self.key().as_deref().unwrap_or("drover"), arguments)
    }

    /// What restic lists.
    fn listed(&self) -> Vec<Value> {
        let output = self.restic(&["snapshots", "--json"]);
        serde_json::from_slice(&output.stdout).expect("a list")
    }

    /// The names of the backups with that tag, as restic lists them.
    fn tagged(&self, tag: &str) -> usize {
        let has = |snapshot: &&Value| snapshot["tags"].as_array().is_some_and(|tags| tags.contains(&json!(tag)));
        self.listed().iter().filter(has).count()
    }

    /// All files of the repository.
    fn files(&self) -> Vec<String> {
        let mut files = Vec::new();
        collect(&self.claim().join("restic"), &mut files);
        files.sort();
        files
    }

    fn pack(&self) -> PathBuf {
        let files = self.files();
        let size = |file: &String| fs::metadata(file).map_or(0, |found| found.len());
        files.into_iter().filter(|file| file.contains("/data/")).max_by_key(size).expect("a pack").into()
    }
}

fn command(errand: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_drover-errands"));
    command.arg(errand);
    command
}

/// Runs restic, which must succeed.
fn restic(repository: &Path, key: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new("restic");
    command.args(["--no-cache", "--repo"]).arg(repository).args(arguments).env("RESTIC_PASSWORD", key);
    let output = command.output().expect("restic, of Debian's package of that name");
    let (said, why) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "restic {arguments:?}: {said}{why}");
    output
}

fn collect(folder: &Path, into: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            collect(&entry.path(), into);
        } else {
            into.push(entry.path().display().to_string());
        }
    }
}

fn facts(rows: usize) -> String {
    format!(
        "{{\"kind\" : \"table\", \"name\" : \"public.t\", \"value\" : \"{rows}\"}}\n{{\"kind\" : \"index\", \"name\" : \"public.t_x\", \"of\" : \"public.t\"}}\n{{\"kind\" : \"end\"}}\n"
    )
}

/// Rows that no compression makes small, the same for the same seed.
fn rows(seed: u64, count: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut row = || {
        let numbers = (0..4).map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            format!("{state:016x}")
        });
        numbers.collect::<String>()
    };
    (0..count).map(|_| row()).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn assert_fails(result: Option<BackupResult>, reason: &str, sentence: &str) {
    let result = result.expect("a result");
    assert_eq!((result.ended, result.reason.as_str()), (Ended::Failed, reason), "{}", result.message);
    assert!(result.message.contains(sentence), "{} has not: {sentence}", result.message);
}
