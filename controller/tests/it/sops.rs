//! Files that the real SOPS encrypted, decrypted by it as the controller has it done: without files and without a network.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use drover::tools::{Sops, Unopened};
use drover_core::branch::AgeKeys;
use drover_core::render::{Limits, Object, SourceFile, Variables, render_with};
use serde_json::json;

/// Where the testbed puts the program; a person may have it anywhere.
fn program() -> PathBuf {
    let built = std::env::var_os("TESTBED_BIN").map_or_else(
        || PathBuf::from(std::env::var_os("HOME").expect("a home")).join(".cache/drover/testbed/bin"),
        PathBuf::from,
    );
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(built).chain(std::env::split_paths(&paths));
    let found = folders.map(|folder| folder.join("sops")).find(|path| path.is_file());
    found.expect("there is no program sops: `e2e/testbed/cluster build sops` builds it")
}

fn sops() -> Sops {
    Sops::new(program(), env!("CARGO_BIN_EXE_drover").into())
}

/// An age key and whom it is for.
struct Key {
    keys: AgeKeys,
    text: String,
    recipient: String,
}

impl Key {
    fn new() -> Self {
        let made = Command::new("age-keygen").output().expect("age-keygen, which `packaging/setup --tests` installs");
        let text = String::from_utf8(made.stdout).expect("text");
        let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).expect("a recipient");
        Self { keys: AgeKeys::read(&text).expect("a key"), recipient: recipient.to_owned(), text }
    }
}

/// What a person has who encrypts: a folder with files, and the key.
struct Work {
    folder: tempfile::TempDir,
}

impl Work {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn run(&self, key: &Key, arguments: &[&str]) {
        let keys = self.folder.path().join("key.txt");
        fs::write(&keys, &key.text).expect("written");
        let done = Command::new(program())
            .args(arguments)
            .current_dir(self.folder.path())
            .env("SOPS_AGE_KEY_FILE", keys)
            .output()
            .expect("sops runs");
        assert!(done.status.success(), "sops {arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    }

    /// Encrypts a file for that key, with these options besides.
    fn encrypt(&self, key: &Key, path: &str, text: &str, options: &[&str]) -> SourceFile {
        fs::write(self.folder.path().join(path), text).expect("written");
        self.run(key, &[&["encrypt", "--in-place", "--age", &key.recipient], options, &[path]].concat());
        self.file(path)
    }

    fn file(&self, path: &str) -> SourceFile {
        SourceFile { path: path.to_owned(), bytes: fs::read(self.folder.path().join(path)).expect("read") }
    }
}

fn changed(file: &SourceFile, from: &str, to: &str) -> SourceFile {
    let text = String::from_utf8(file.bytes.clone()).expect("text");
    assert!(text.contains(from), "{text}");
    SourceFile { path: file.path.clone(), bytes: text.replace(from, to).into_bytes() }
}

const SECRET: &str = "apiVersion: v1
kind: Secret
metadata:
  name: db
  annotations: {since: \"2026-01-02\", mode: \"0644\", host: \"${HOST}\"}
stringData:
  PASSWORD: ${HOST} is no variable here
  PORT: \"5432\"
  SWITCH: \"yes\"
  PEM: |
    -----BEGIN-----
    hunter2
    -----END-----
";
const FIELDS: [&str; 2] = ["--encrypted-regex", "^(data|stringData)$"];

async fn rendered(files: &[SourceFile], key: &Key) -> Vec<Object> {
    let limits = Limits::default();
    let opened = sops().open(files, &key.keys, &limits).await.unwrap_or_else(|error| panic!("{error}"));
    let variables = Variables::new([("HOST".to_owned(), "a.example.org".to_owned())]);
    render_with(files, &limits, Some(&variables), Some(&opened)).unwrap_or_else(|errors| panic!("{}", errors[0]))
}

async fn refused(file: SourceFile, key: &Key) -> String {
    match sops().open(&[file], &key.keys, &Limits::default()).await {
        Err(Unopened::Wrong(errors)) => errors[0].to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was decrypted"),
    }
}

fn data(values: &serde_json::Value) -> serde_json::Value {
    use base64::Engine as _;
    let encoded = values.as_object().expect("a mapping").iter().map(|(key, value)| {
        let text = value.as_str().expect("text");
        (key.clone(), base64::engine::general_purpose::STANDARD.encode(text).into())
    });
    serde_json::Value::Object(encoded.collect())
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_and_whole_files_of_yaml_and_json_are_decrypted_each_time_the_same() {
    let (key, work) = (Key::new(), Work::new());
    let fields = work.encrypt(&key, "fields.yaml", SECRET, &FIELDS);
    let expected = data(&json!({"PASSWORD": "${HOST} is no variable here", "PORT": "5432", "SWITCH": "yes",
        "PEM": "-----BEGIN-----\nhunter2\n-----END-----\n"}));
    let objects = rendered(std::slice::from_ref(&fields), &key).await;
    assert_eq!(objects[0].json()["data"], expected);
    let annotations = json!({"since": "2026-01-02", "mode": "0644", "host": "a.example.org"});
    assert_eq!(objects[0].json()["metadata"]["annotations"], annotations);
    assert_eq!(rendered(&[fields], &key).await, objects);

    // All of it, kind and name too, with a number, several documents, an anchor and a comment.
    let text = format!(
        "# what the app reads\n{SECRET}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: web}}\nspec:\n  replicas: 3\n  template: &a {{x: 1.5, on: true, none: null, empty: \"\"}}\n  again: *a\n"
    );
    let whole = work.encrypt(&key, "whole.yaml", &text, &[]);
    assert!(!String::from_utf8_lossy(&whole.bytes).contains("Deployment"));
    let objects = rendered(&[whole], &key).await;
    assert_eq!((objects[0].json()["data"].clone(), objects[1].kind()), (expected, "Deployment"));
    let template = json!({"x": 1.5, "on": true, "none": null, "empty": ""});
    assert_eq!(objects[1].json()["spec"], json!({"replicas": 3, "template": template, "again": template}));

    let text = r#"{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "j"}, "stringData": {"A": "hunter2", "B": "1"}}"#;
    let json_file = work.encrypt(&key, "secret.json", text, &FIELDS);
    assert_eq!(rendered(&[json_file], &key).await[0].json()["data"], data(&json!({"A": "hunter2", "B": "1"})));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_changed_by_hand_or_is_for_another_is_refused_with_a_sentence() {
    let (key, other, work) = (Key::new(), Key::new(), Work::new());
    let file = work.encrypt(&key, "a.yaml", SECRET, &FIELDS);
    let wrong_key = refused(file.clone(), &other).await;
    let expected = format!(
        "a.yaml:1: this file cannot be decrypted: none of the age keys that drover has fits it, and it is encrypted for {}: ",
        key.recipient
    );
    assert!(wrong_key.starts_with(&expected), "{wrong_key}");

    let tampered = refused(changed(&file, "name: db", "name: other"), &key).await;
    assert!(tampered.contains("somebody changed it after it was encrypted"), "{tampered}");
    let text = String::from_utf8(file.bytes.clone()).expect("text");
    let port = text.lines().find(|line| line.contains("PORT: ")).expect("an encrypted value").to_owned();
    let by_hand = refused(changed(&file, &port, "    PORT: hunter2"), &key).await;
    assert!(by_hand.contains("put in by hand") && !by_hand.contains("hunter2"), "{by_hand}");
    let broken = refused(changed(&file, "ENC[AES256_GCM,data:", "ENC[AES256_GCM,data:AAAA"), &key).await;
    assert!(broken.contains("this file cannot be decrypted"), "{broken}");
    let block = text.find("    mac: ENC[").expect("a MAC");
    let without_mac = format!("{}{}", &text[..block], text[block..].split_once('\n').expect("a line").1);
    let said = refused(SourceFile { path: "a.yaml".into(), bytes: without_mac.into_bytes() }, &key).await;
    assert!(said.contains("this file cannot be decrypted"), "{said}");

    // What only the clear part says may be changed where the file says so.
    fs::write(
        work.folder.path().join(".sops.yaml"),
        format!(
            "creation_rules:\n- encrypted_regex: ^stringData$\n  mac_only_encrypted: true\n  age: {}\n",
            key.recipient
        ),
    )
    .expect("written");
    fs::write(work.folder.path().join("b.yaml"), SECRET).expect("written");
    work.run(&key, &["encrypt", "--in-place", "b.yaml"]);
    let renamed = changed(&work.file("b.yaml"), "name: db", "name: other");
    assert_eq!(rendered(&[renamed], &key).await[0].name(), "other");

    // Another key: the same file, encrypted for it as well.
    let rules = format!("creation_rules:\n- age: {},{}\n", key.recipient, other.recipient);
    fs::write(work.folder.path().join(".sops.yaml"), rules).expect("written");
    work.run(&key, &["updatekeys", "--yes", "a.yaml"]);
    assert_eq!(rendered(&[work.file("a.yaml")], &other).await, rendered(&[file], &key).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_program_only_what_is_encrypted_is_not_read() {
    let (key, work) = (Key::new(), Work::new());
    let nothing = Sops::new("no-such-program".into(), env!("CARGO_BIN_EXE_drover").into());
    let plain = SourceFile { path: "a.yaml".into(), bytes: b"a: 1\n".to_vec() };
    assert!(nothing.open(&[plain], &key.keys, &Limits::default()).await.is_ok());
    let encrypted = work.encrypt(&key, "b.yaml", SECRET, &FIELDS);
    let Err(missing) = nothing.open(std::slice::from_ref(&encrypted), &key.keys, &Limits::default()).await else {
        panic!("nobody decrypted it")
    };
    assert!(missing.to_string().contains("no program `no-such-program` where drover runs"), "{missing}");
    assert_eq!(missing.trouble("1a2b3c4").reason, "SopsMissing");
    // What cannot be run is no fault of the file.
    let script = work.folder.path().join("no-program");
    fs::write(&script, "x").expect("written");
    let unfit = Sops::new(script, env!("CARGO_BIN_EXE_drover").into());
    let Err(error) = unfit.open(&[encrypted], &key.keys, &Limits::default()).await else {
        panic!("nobody decrypted it")
    };
    assert_eq!(error.trouble("1a2b3c4").reason, "DecryptionInterrupted", "{error}");
}

/// Runs a program as a tool, and says how it ended.
fn as_tool(program: &Path, arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_drover"))
        .args(["child", "tool", "--"])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    let done = child.wait_with_output().expect("it ends");
    let said = [done.stdout, done.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (done.status.code(), said)
}

#[test]
fn a_tool_has_no_network_writes_nothing_and_uses_no_more_than_it_may() {
    let python = fs::canonicalize("/usr/bin/python3").expect("Python");
    let run = |script: &str| as_tool(&python, &["-c", script], "x");
    assert_eq!(run("import sys; print(sys.stdin.read() * 2)"), (Some(0), "xx\n".to_owned()));
    for call in ["socket.socket()", "socket.socketpair()", "socket.socket(socket.AF_UNIX)"] {
        let (code, said) = run(&format!("import socket; {call}"));
        assert!(code == Some(1) && said.contains("Operation not permitted"), "{call}: {said}");
    }
    let (code, said) = run("f = open('/dev/shm/drover-tool', 'w'); f.write('x'); f.close()");
    assert!(code != Some(0), "it wrote a file: {said}");
    // Where the kernel can keep files from a process: Landlock's own number says so.
    let has_landlock = "import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1) > 0)";
    let kernel = Command::new(&python).args(["-c", has_landlock]).output().expect("Python runs");
    if kernel.stdout == b"True\n" {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml").display().to_string();
        for script in
            [format!("open('{file}')"), "open('/proc/1/environ')".to_owned(), "import os; os.listdir('/')".to_owned()]
        {
            let (code, said) = run(&script);
            assert!(code == Some(1) && said.contains("PermissionError"), "{script}: {said}");
        }
    }
    let (code, said) = run("x = bytearray(400 << 20)");
    assert!(code == Some(1) && said.contains("MemoryError"), "{said}");
    let (code, said) = run("import os; os.kill(os.getppid(), 0)");
    assert!(code == Some(1) && said.contains("Operation not permitted"), "{said}");
}
