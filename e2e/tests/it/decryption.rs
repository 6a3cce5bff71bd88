//! Secrets that stand encrypted in git.

use std::fs;
use std::process::Command;
use std::time::Duration;

use drover_crds::{Decryption, LocalObjectReference};
use drover_e2e::{Controller, Environment, Hello, Namespace, commands_of, eventually, repository, run, steadily};
use k8s_openapi::api::core::v1::Secret;
use kube::api::PostParams;
use serde_json::json;

/// Who encrypts: a folder with the rules and the files of the how-to, and a key.
pub struct Person {
    folder: tempfile::TempDir,
    sops: std::path::PathBuf,
}

/// An age key: what `age-keygen` wrote, and the recipient.
pub fn age_key() -> (String, String) {
    let text = run(&mut Command::new("age-keygen"));
    let recipient = text.lines().find_map(|line| line.strip_prefix("# public key: ")).expect("a recipient").to_owned();
    (text, recipient)
}

impl Person {
    /// With the how-to's rules for these recipients, and its Secret, which is not encrypted yet.
    pub fn new(namespace: &Namespace, recipients: &str) -> Self {
        namespace.bed().encrypts();
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("deploy")).expect("made");
        let person = Self { folder, sops: namespace.bed().sops() };
        person.rules(recipients);
        person.write("deploy/broker.yaml", &example(1));
        person
    }

    fn rules(&self, recipients: &str) {
        let rules = example(0);
        let (before, _) = rules.rsplit_once("age: ").expect("the example names a recipient");
        self.write(".sops.yaml", &format!("{before}age: {recipients}\n"));
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.folder.path().join(path), text).expect("written");
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.folder.path().join(path)).expect("a file")
    }

    /// Runs SOPS with that key.
    pub fn sops(&self, key: &str, arguments: &[&str]) {
        run(Command::new(&self.sops).args(arguments).current_dir(self.folder.path()).env("SOPS_AGE_KEY", key));
    }
}

/// A block of YAML of the how-to.
fn example(index: usize) -> String {
    let page = fs::read_to_string(repository().join("docs/src/howto/encrypted.md")).expect("the how-to");
    commands_of(&page, "yaml")[index].clone() + "\n"
}

/// Makes the Secret, or puts these keys in the place of what is in it: it is there all the time.
pub async fn give(namespace: &Namespace, entries: &[(&str, &str)]) {
    let data: serde_json::Map<_, _> = entries.iter().map(|(name, key)| ((*name).to_owned(), json!(key))).collect();
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "age-key"}, "stringData": data});
    let secret: Secret = serde_json::from_value(secret).expect("a Secret");
    let (api, params) = (namespace.api::<Secret>(), PostParams::default());
    let given = match namespace.get::<Secret>("age-key").await {
        Some(_) => api.replace("age-key", &params, &secret).await,
        None => api.create(&params, &secret).await,
    };
    given.expect("the Secret is taken");
}

pub async fn broker(namespace: &Namespace) -> Option<(String, String)> {
    let secret = namespace.get::<Secret>("broker").await?;
    let value = secret.data?.remove("CONSUMER_PASSWORD")?.0;
    Some((String::from_utf8(value).expect("text"), secret.metadata.resource_version?))
}

pub const PASSWORD: &str = "correct horse ${battery} staple";

#[tokio::test(flavor = "multi_thread")]
async fn an_encrypted_secret_reaches_the_app_when_its_key_is_there() {
    let namespace = Namespace::new("decryption").await;
    let ((key, recipient), (other, other_recipient)) = (age_key(), age_key());
    let person = Person::new(&namespace, &recipient);
    person.sops(&key, &["encrypt", "--in-place", "deploy/broker.yaml"]);
    let encrypted = person.read("deploy/broker.yaml");
    assert!(encrypted.contains("CONSUMER_PASSWORD: ENC[") && !encrypted.contains("staple"), "{encrypted}");

    let app_yaml = Hello::new("web", "1", "${HOST}")
        .spec("env:\n- {name: GREETING, valueFrom: {secretKeyRef: {name: broker, key: CONSUMER_PASSWORD}}}")
        .yaml()
        .replace("host: ${HOST}", "host: \"${HOST}\"");
    let repo = namespace.repository("shop");
    let push = |broker: &str, message: &str| {
        repo.push(&[("deploy/broker.yaml", broker), ("deploy/web.yaml", &app_yaml)], message)
    };
    let first = push(&encrypted, "The broker's passwords");
    let environment = Environment::create(&namespace, "prod", &repo, |spec| {
        spec.source.path = Some("deploy".into());
        // With variables `${battery}` would be one.
        spec.substitute = Some([("HOST".to_owned(), namespace.host())].into());
        spec.decryption = Some(Decryption { secret_ref: LocalObjectReference { name: "age-key".into() } });
    })
    .await;

    // No key, then a wrong one, then the right one: nothing is pushed in between.
    environment.complains_of(&["age-key, which spec.decryption.secretRef names, is not there", "kubectl create"]).await;
    give(&namespace, &[("prod.agekey", &other)]).await;
    environment.complains_of(&["deploy/broker.yaml:", "none of the age keys", &recipient, "sops updatekeys"]).await;
    assert!(environment.status().await.applied.is_none() && broker(&namespace).await.is_none(), "it was applied");
    give(&namespace, &[("prod.agekey", &key), ("note", "no key")]).await;
    environment.is_ready_at(&first).await;
    let app = namespace.app("web");
    app.answers("/", PASSWORD).await;

    // Another key beside it changes nothing, and writes nothing.
    let before = (broker(&namespace).await, environment.resource().await.metadata.resource_version);
    assert_eq!(before.0.as_ref().map(|(value, _)| value.as_str()), Some(PASSWORD));
    give(&namespace, &[("prod.agekey", &key), ("next.agekey", &other)]).await;
    steadily("nothing is written", Duration::from_secs(8), async || {
        let now = (broker(&namespace).await, environment.resource().await.metadata.resource_version);
        if now == before { Ok(()) } else { Err(format!("{:?}", now.1)) }
    })
    .await;

    // The old key goes: the file is encrypted for the other, and a new value comes with it.
    person.rules(&format!("{recipient},{other_recipient}"));
    person.sops(&key, &["updatekeys", "--yes", "deploy/broker.yaml"]);
    person.rules(&other_recipient);
    person.sops(&key, &["updatekeys", "--yes", "deploy/broker.yaml"]);
    person
        .sops(&other, &["set", "deploy/broker.yaml", r#"["stringData"]["CONSUMER_PASSWORD"]"#, r#""another staple""#]);
    give(&namespace, &[("next.agekey", &other)]).await;
    let second = push(&person.read("deploy/broker.yaml"), "A new key");
    environment.is_ready_at(&second).await;
    app.answers("/", "another staple").await;

    let events = namespace.kubectl(&["get", "events.events.k8s.io", "--output=json"]);
    let status = serde_json::to_string(&environment.resource().await).expect("JSON");
    let log = Controller::shared().await.log();
    for said in [&events, &status, &log] {
        assert!(!said.contains("staple") && !said.contains("AGE-SECRET-KEY-1"), "a secret was told");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_as_it_was_encrypted_is_refused_and_what_runs_stays() {
    let namespace = Namespace::new("decryption-refused").await;
    let (key, recipient) = age_key();
    let person = Person::new(&namespace, &recipient);
    person.sops(&key, &["encrypt", "--in-place", "deploy/broker.yaml"]);
    let encrypted = person.read("deploy/broker.yaml");
    give(&namespace, &[("age.agekey", &key)]).await;
    let repo = namespace.repository("shop");
    let map = |name: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: {name}}}\n");
    let push = |broker: &str, other: &str, message: &str| {
        repo.push(&[("broker.yaml", broker), ("map.yaml", &map(other))], message)
    };
    let first = push(&encrypted, "one", "The broker's passwords");
    let environment = Environment::create(&namespace, "prod", &repo, |spec| {
        spec.decryption = Some(Decryption { secret_ref: LocalObjectReference { name: "age-key".into() } });
    })
    .await;
    environment.is_ready_at(&first).await;
    let before = broker(&namespace).await.expect("it is applied");
    let stays = async |what: &str| {
        assert_eq!(broker(&namespace).await.as_ref(), Some(&before), "{what}");
        let maps = namespace.kubectl(&["get", "configmaps", "--output=name"]);
        assert!(maps.contains("configmap/one") && !maps.contains("configmap/two"), "{what}: {maps}");
    };

    // An encrypted value that somebody wrote by hand.
    let line = encrypted.lines().find(|line| line.contains("ADMIN_PASSWORD: ")).expect("a value");
    push(&encrypted.replace(line, "    ADMIN_PASSWORD: by-hand-0042"), "two", "By hand");
    environment.complains_of(&["broker.yaml:", "this file cannot be decrypted"]).await;
    stays("by hand").await;
    // One that was taken from elsewhere, one that lost its block, and a file for which another service is asked.
    push(&encrypted.replace("CONSUMER_PASSWORD: ", "MOVED_PASSWORD: "), "two", "Moved");
    environment.complains_of(&["broker.yaml:", "this file cannot be decrypted"]).await;
    let (without, _) = encrypted.split_once("\nsops:\n").expect("a block");
    push(&format!("{without}\n"), "two", "Without its block");
    environment.complains_of(&["stringData.", "of Secret broker is what SOPS encrypted"]).await;
    let vault = "sops:\n    hc_vault:\n        - vault_address: http://127.0.0.1:8200\n          engine_path: sops\n          key_name: k\n          created_at: \"2026-01-01T00:00:00Z\"\n          enc: x\n";
    push(&encrypted.replace("sops:\n", vault), "two", "By Vault");
    environment.complains_of(&["encrypted for HashiCorp Vault", "age"]).await;
    stays("others").await;

    // Nobody decrypts any more: what is encrypted is not applied either.
    push(&encrypted, "two", "As it was");
    environment.patch(json!({"spec": {"decryption": null}})).await;
    environment.complains_of(&["broker.yaml:", "encrypted with SOPS", "spec.decryption.secretRef"]).await;
    stays("without decryption").await;
    environment.patch(json!({"spec": {"decryption": {"secretRef": {"name": "age-key"}}}})).await;
    eventually("the commit is applied", Duration::from_secs(60), async || {
        let maps = namespace.kubectl(&["get", "configmaps", "--output=name"]);
        if maps.contains("configmap/two") { Ok(()) } else { Err(maps) }
    })
    .await;
    assert_eq!(broker(&namespace).await.as_ref(), Some(&before), "the same value is not written again");

    let log = Controller::shared().await.log();
    assert!(!log.contains("by-hand-0042") && !log.contains("correct horse"), "a secret was told");
}

#[tokio::test(flavor = "multi_thread")]
async fn render_decrypts_with_a_key_and_says_what_it_left_out_without() {
    let namespace = Namespace::new("decryption-render").await;
    let (key, recipient) = age_key();
    let person = Person::new(&namespace, &recipient);
    person.sops(&key, &["encrypt", "--in-place", "deploy/broker.yaml"]);
    person.write("key.txt", &key);
    let path = std::env::join_paths([person.sops.parent().expect("a folder")]).expect("a path");
    let render = |arguments: &[&str]| {
        let mut command = Command::new(drover_e2e::binary());
        command.arg("render").arg("deploy").args(arguments).current_dir(person.folder.path()).env("PATH", &path);
        drover_e2e::finish(&mut command, "")
    };
    let with = render(&["--age-key", "key.txt"]);
    assert!(with.code == 0 && with.stdout.contains("ADMIN_PASSWORD: MDA0Mg=="), "{}", with.said());
    let without = render(&[]);
    assert!(without.code == 0 && !without.stdout.contains("broker"), "{}", without.said());
    assert!(without.stderr.contains("deploy/broker.yaml is encrypted with SOPS: it is left out"), "{}", without.said());
    person.write("key.txt", "hunter2");
    let bad = render(&["--age-key", "key.txt"]);
    assert!(bad.code == 1 && bad.stderr.contains("key.txt has no age key in line 1"), "{}", bad.said());
    assert!(!bad.said().contains("hunter2"));
}
