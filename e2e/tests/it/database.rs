//! A database of one's own: there before its app, with a password that nobody wrote, and with rows that outlive it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use drover_crds::condition::{READY, get};
use drover_crds::{Database, ReleaseStep};
use drover_e2e::{Finished, Hello, Namespace, Testbed, eventually, finish, postgres_image, run, steadily};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, Secret};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(120);

fn database(retention: &str, extensions: &str) -> String {
    format!(
        "apiVersion: drover.dev/v1alpha1
kind: Database
metadata: {{name: db}}
spec:
  engine: {{postgres: {{version: \"15\", extensions: [{extensions}]}}}}
  image: {}
  database: gleamx
  user: gleamer
  resources: {{requests: {{cpu: 20m, memory: 64Mi}}, limits: {{memory: 256Mi}}}}
  claim: {{resources: {{requests: {{storage: 500Mi}}}}, retentionPolicy: {retention}}}
",
        postgres_image(Testbed::shared())
    )
}

/// Waits until `Ready` says so.
async fn says(namespace: &Namespace, status: &str, word: &str) -> String {
    eventually(&format!("the Database is {status} and says {word}"), SOON, async || {
        let found = namespace.get::<Database>("db").await.and_then(|db| db.status).unwrap_or_default();
        match get(&found.conditions, READY) {
            Some(ready) if ready.status == status && format!("{} {}", ready.reason, ready.message).contains(word) => {
                Ok(ready.message.clone())
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await
}

async fn connection(namespace: &Namespace) -> BTreeMap<String, String> {
    let secret = namespace.get::<Secret>("db-database").await.expect("the Secret is there");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    secret.data.unwrap_or_default().into_iter().map(|(key, value)| (key, text(value.0))).collect()
}

/// Runs a statement as the app's user with that password, over the network.
fn ask(namespace: &Namespace, password: &str, statement: &str) -> Finished {
    let mut kubectl: Command = namespace.bed().program("kubectl");
    kubectl.args(["--namespace", namespace.name(), "exec", "-i", "db-0", "--"]);
    let psql = "/usr/lib/postgresql/15/bin/psql";
    kubectl.args(["env", &format!("PGPASSWORD={password}"), psql, "-XAtq", "-v", "ON_ERROR_STOP=1"]);
    kubectl.args(["--host=db", "--username=gleamer", "--dbname=gleamx", "-f", "-"]);
    finish(&mut kubectl, statement)
}

/// What the statement comes to. A server that is ready may for a moment not be led to by the address of its Service.
async fn answer(namespace: &Namespace, password: &str, statement: &str) -> String {
    let finished = eventually("the Service leads to the server", SOON, async || {
        let finished = ask(namespace, password, statement);
        if finished.said().contains("Connection refused") { Err(finished.said()) } else { Ok(finished) }
    })
    .await;
    assert_eq!(finished.code, 0, "{statement}: {}", finished.said());
    finished.stdout.trim().to_owned()
}

/// Waits until the stars are there, both.
async fn has_rows(namespace: &Namespace, password: &str) {
    eventually("the rows are there", SOON, async || {
        let finished = ask(namespace, password, "select count(*) from stars");
        if finished.code == 0 && finished.stdout.trim() == "2" { Ok(()) } else { Err(finished.said()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_is_there_before_its_app_and_its_rows_outlive_it() {
    let namespace = Namespace::new("database").await;
    // The app first: it waits, and says for what.
    let refs = "databaseRefs: [{name: db, env: {host: SQL_HOST, password: SQL_PASSWORD, url: DATABASE_URL}}]";
    let app = Hello::new("web", "1", &namespace.host()).spec(refs);
    namespace.apply(&app.yaml());
    let web = namespace.app("web");
    web.comes_to("waits for its database", |status| match get(&status.conditions, READY) {
        Some(ready) if ready.reason == "DatabaseMissing" && ready.message.contains("Database") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    namespace.apply(&database("Retain", "q3c"));
    says(&namespace, "True", "answers in database gleamx as gleamer").await;
    web.answers("/", "hello").await;

    let first = connection(&namespace).await;
    let (name, password) = (namespace.name(), first["password"].clone());
    assert_eq!(password.len(), 32);
    assert_eq!(first["host"], format!("db.{name}.svc"));
    assert_eq!(first["url"], format!("postgresql://gleamer:{password}@db.{name}.svc:5432/gleamx"));
    let found = answer(
        &namespace,
        &password,
        "create table stars(name text primary key, ra double precision, dec double precision);
         create index on stars (q3c_ang2ipix(ra, dec));
         insert into stars values ('vela', 128.8, -45.2), ('crab', 83.6, 22.0);
         select name from stars where q3c_radial_query(ra, dec, 83.5, 22.1, 1);",
    )
    .await;
    assert_eq!(found, "crab");
    let status = namespace.drover(&["status", "--namespace", name]);
    assert!(status.stdout.contains("Database") && status.stdout.contains("Secret db-database"), "{}", status.said());

    // Killed in the middle of its work it recovers, with what was committed.
    let server = namespace.get::<Pod>("db-0").await.expect("a pod").metadata.uid;
    namespace.kubectl(&["delete", "pod", "db-0", "--grace-period=0", "--force"]);
    eventually("another pod serves", SOON, async || match namespace.get::<Pod>("db-0").await {
        Some(pod) if pod.metadata.uid != server => Ok(()),
        other => Err(format!("{:?}", other.and_then(|pod| pod.metadata.uid))),
    })
    .await;
    has_rows(&namespace, &password).await;
    says(&namespace, "True", "answers").await;

    // Nothing is written while nothing changes.
    let version = async || {
        let database = namespace.get::<Database>("db").await.expect("it is there");
        let secret = namespace.get::<Secret>("db-database").await.expect("it is there");
        (database.metadata.resource_version, secret.metadata.resource_version)
    };
    let before = version().await;
    steadily("it rests", Duration::from_secs(12), async || match version().await {
        same if same == before => Ok(()),
        other => Err(format!("{before:?} became {other:?}")),
    })
    .await;

    // Another major version in place is refused, and a second server on its claim ends with a word that drover knows.
    let other = r#"{"spec": {"engine": {"postgres": {"version": "16"}}}}"#;
    let patch = ["--namespace", name, "patch", "database", "db", "--type=merge", "--patch", other];
    let refused = finish(namespace.bed().program("kubectl").args(patch), "");
    assert!(refused.code != 0 && refused.said().contains("the major version cannot change"), "{}", refused.said());
    let set: Value =
        serde_json::from_str(&namespace.kubectl(&["get", "statefulset", "db", "--output=json"])).expect("JSON");
    let mut spec = set["spec"]["template"]["spec"].clone();
    spec["restartPolicy"] = json!("Never");
    namespace
        .apply(&json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "second"}, "spec": spec}).to_string());
    eventually("the second server is refused", SOON, async || {
        let pod = namespace.get::<Pod>("second").await.and_then(|pod| pod.status).unwrap_or_default();
        let ended =
            pod.container_statuses.iter().flatten().filter_map(|status| status.state.as_ref()?.terminated.clone());
        match ended.filter_map(|one| one.message).find(|message| message.contains("drover:in-use")) {
            Some(_) => Ok(()),
            None => Err(format!("{pod:?}")),
        }
    })
    .await;
    namespace.kubectl(&["delete", "pod", "second"]);
    has_rows(&namespace, &password).await;

    // Another password in the Secret is the server's, and the app's; a Secret that is gone is made anew.
    namespace.kubectl(&[
        "patch",
        "secret",
        "db-database",
        "--patch",
        "{\"stringData\": {\"password\": \"p@ss %41/#\"}}",
    ]);
    let changed = eventually("the server has the Secret's password", SOON, async || {
        let now = connection(&namespace).await;
        let finished = ask(&namespace, &now["password"], "select 1");
        let is_other = now["password"] == "p@ss %41/#" && now["url"].contains("p%40ss%20%2541%2F%23");
        if is_other && finished.code == 0 { Ok(now) } else { Err(format!("{now:?} {}", finished.said())) }
    })
    .await;
    assert_ne!(ask(&namespace, &password, "select 1").code, 0, "the old password is refused");
    let rotated = namespace.drover(&["rotate", "db", "--namespace", namespace.name()]);
    assert!(rotated.code == 0 && rotated.stdout.contains("another password"), "{}", rotated.said());
    let rotated = connection(&namespace).await;
    assert!(rotated["password"] != changed["password"] && rotated["url"].contains(&rotated["password"]));
    namespace.kubectl(&["delete", "secret", "db-database"]);
    eventually("the server has a new password", SOON, async || {
        let Some(_) = namespace.get::<Secret>("db-database").await else { return Err("no Secret".to_owned()) };
        let now = connection(&namespace).await;
        let finished = ask(&namespace, &now["password"], "select 1");
        if now["password"] != rotated["password"] && finished.code == 0 { Ok(()) } else { Err(finished.said()) }
    })
    .await;
    says(&namespace, "True", "answers").await;
    web.comes_to("has a release with the new password", |status| match &status.rollout.release {
        Some(release) if release.number >= 2 && release.step == ReleaseStep::Live => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    // Deleted and made anew, it finds password and rows again.
    let before = connection(&namespace).await;
    namespace.kubectl(&["delete", "database", "db"]);
    eventually("the server is gone", SOON, async || match namespace.get::<Pod>("db-0").await {
        None => Ok(()),
        Some(pod) => Err(format!("{:?}", pod.metadata.deletion_timestamp)),
    })
    .await;
    assert!(namespace.get::<PersistentVolumeClaim>("db-database").await.is_some());
    namespace.apply(&database("Retain", "q3c"));
    says(&namespace, "True", "answers").await;
    assert_eq!(connection(&namespace).await, before);
    has_rows(&namespace, &before["password"]).await;

    // An extension that the image does not have is one sentence; the way back is one apply.
    namespace.apply(&database("Delete", "q3c, q3d"));
    let said = says(&namespace, "False", "ExtensionMissing").await;
    assert!(said.contains("no extension q3d"), "{said}");
    namespace.apply(&database("Delete", "q3c"));
    says(&namespace, "True", "answers").await;
    has_rows(&namespace, &before["password"]).await;

    // With Delete the data goes, on purpose, and the password with it.
    namespace.kubectl(&["delete", "database", "db"]);
    eventually("claim and Secret are gone", SOON, async || {
        let claim = namespace.get::<PersistentVolumeClaim>("db-database").await.map(|claim| claim.metadata.name);
        let secret = namespace.get::<Secret>("db-database").await.map(|secret| secret.metadata.name);
        if claim.is_none() && secret.is_none() { Ok(()) } else { Err(format!("{claim:?} {secret:?}")) }
    })
    .await;
}

/// A volume of the node that has so much room, until this is dropped.
pub struct Small {
    pub folder: PathBuf,
    pub volume: String,
    bed: &'static Testbed,
}

impl Small {
    pub fn of(namespace: &Namespace, size: &str) -> Self {
        let volume = format!("{}-small", namespace.name());
        let folder = std::env::temp_dir().join(&volume);
        std::fs::create_dir_all(&folder).expect("the temporary folder is ours to write");
        let mount = ["-t", "tmpfs", "-o", &format!("size={size},mode=0777"), "tmpfs"];
        run(Command::new("mount").args(mount).arg(&folder));
        let made = format!(
            "apiVersion: v1
kind: PersistentVolume
metadata: {{name: {volume}}}
spec:
  storageClassName: {volume}
  capacity: {{storage: 500Mi}}
  accessModes: [ReadWriteOnce]
  hostPath: {{path: {}}}
",
            folder.display()
        );
        namespace.apply(&made);
        Self { folder, volume, bed: namespace.bed() }
    }

    /// Leaves no room. Returns the file to remove for it.
    pub fn fill(&self) -> PathBuf {
        let ballast = self.folder.join("ballast");
        let mut dd = Command::new("dd");
        let filled = finish(dd.args(["if=/dev/zero", "bs=1M"]).arg(format!("of={}", ballast.display())), "");
        assert_ne!(filled.code, 0, "the volume was to be full: {}", filled.said());
        ballast
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = finish(self.bed.program("kubectl").args(["delete", "pv", &self.volume, "--wait=false"]), "");
        let _ = finish(Command::new("umount").arg("--lazy").arg(&self.folder), "");
        let _ = std::fs::remove_dir(&self.folder);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_volume_is_told_and_the_server_comes_back_when_there_is_room() {
    let namespace = Namespace::new("database-full").await;
    let small = Small::of(&namespace, "200m");
    let class = format!("retentionPolicy: Retain, storageClassName: {}", small.volume);
    namespace.apply(&database("Retain", "").replace("retentionPolicy: Retain", &class));
    says(&namespace, "True", "answers").await;
    let password = connection(&namespace).await["password"].clone();
    answer(&namespace, &password, "create table stars(name text); insert into stars values ('vela')").await;

    let ballast = small.fill();
    namespace.kubectl(&["delete", "pod", "db-0", "--grace-period=0", "--force"]);
    let said = says(&namespace, "False", "VolumeFull").await;
    assert!(said.contains("raise spec.claim.resources.requests.storage"), "{said}");

    std::fs::remove_file(&ballast).expect("it can be removed");
    says(&namespace, "True", "answers").await;
    assert_eq!(answer(&namespace, &password, "select name from stars").await, "vela");
}
