//! Backups of a database on the real node: each is restored and compared, and what does not come back is named.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use drover_crds::condition::{BACKUP_VERIFIED, get};
use drover_crds::{Database, DatabaseStatus};
use drover_e2e::{BucketServer, Namespace, Testbed, eventually, finish, postgres_image};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Secret;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(180);
const KEY: &str = "a key that a person keeps";

fn database(backup: &str) -> String {
    format!(
        "apiVersion: drover.dev/v1alpha1
kind: Database
metadata: {{name: db}}
spec:
  engine: {{postgres: {{version: \"15\", extensions: [q3c]}}}}
  image: {}
  database: gleamx
  user: gleamer
  resources: {{requests: {{cpu: 20m, memory: 64Mi}}, limits: {{memory: 256Mi}}}}
  claim: {{resources: {{requests: {{storage: 500Mi}}}}, retentionPolicy: Delete}}
  backup:
    schedule: \"0 2 * * *\"
    timeZone: Europe/London
    {backup}
",
        postgres_image(Testbed::shared())
    )
}

async fn status(namespace: &Namespace) -> DatabaseStatus {
    namespace.get::<Database>("db").await.and_then(|db| db.status).unwrap_or_default()
}

/// Waits until `BackupVerified` says so, and returns the status.
async fn says(namespace: &Namespace, verdict: &str, word: &str) -> DatabaseStatus {
    eventually(&format!("BackupVerified is {verdict} and says {word}"), SOON, async || {
        let status = status(namespace).await;
        match get(&status.conditions, BACKUP_VERIFIED) {
            Some(found) if found.status == verdict && format!("{} {}", found.reason, found.message).contains(word) => {
                Ok(status)
            }
            other => Err(format!("{other:?} {:?}", status.backup)),
        }
    })
    .await
}

/// Runs a statement as the app's user, over the server's own socket.
fn sql(namespace: &Namespace, statement: &str) -> String {
    let mut kubectl: Command = namespace.bed().program("kubectl");
    kubectl.args(["--namespace", namespace.name(), "exec", "-i", "db-0", "--"]);
    kubectl.args(["/usr/lib/postgresql/15/bin/psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "--host=/run/drover"]);
    kubectl.args(["--username=gleamer", "--dbname=gleamx", "-f", "-"]);
    let finished = finish(&mut kubectl, statement);
    assert_eq!(finished.code, 0, "{statement}: {}", finished.said());
    finished.stdout.trim().to_owned()
}

fn back_up(namespace: &Namespace) {
    let asked = namespace.drover(&["backup", "db", "--namespace", namespace.name()]);
    assert_eq!(asked.code, 0, "{}", asked.said());
}

/// What restic says of the repository in that folder.
fn restic(repository: &Path, key: &str, arguments: &[&str]) -> String {
    let mut command = Command::new("restic");
    command.args(["--no-cache", "--repo"]).arg(repository).args(arguments).env("RESTIC_PASSWORD", key);
    let finished = finish(&mut command, "");
    assert_eq!(finished.code, 0, "restic {arguments:?}: {}", finished.said());
    finished.stdout
}

fn proven(repository: &Path, key: &str) -> usize {
    let listed: Vec<Value> = serde_json::from_str(&restic(repository, key, &["snapshots", "--json"])).expect("a list");
    let has =
        |snapshot: &&Value| snapshot["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| tag == "proven"));
    listed.iter().filter(has).count()
}

fn secret(namespace: &Namespace, name: &str, data: &[(&str, &str)]) {
    let data: BTreeMap<&str, &str> = data.iter().copied().collect();
    let secret = serde_json::json!({
        "apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data,
    });
    namespace.apply(&secret.to_string());
}

const STARS: &str = "create table star (id bigserial primary key, ra float8 not null, dec float8 not null);
insert into star (ra, dec) select random() * 360, random() * 180 - 90 from generate_series(1, 5000);
create index star_q3c on star (q3c_ang2ipix(ra, dec));";

#[tokio::test(flavor = "multi_thread")]
async fn each_backup_is_restored_and_what_does_not_come_back_is_named() {
    let namespace = Namespace::new("backup-claim").await;
    namespace.apply(&database(
        "to: {claim: {resources: {requests: {storage: 500Mi}}, retentionPolicy: Delete}}
    keep: {last: 2}
    checks: [{name: tables, query: \"select count(*) from pg_class where relname = 'star'\", min: 0}]",
    ));
    // The first one is made by itself, of a database that is empty.
    let first = says(&namespace, "True", "holds all that was backed up").await;
    assert_eq!(first.backups.len(), 1);
    assert_eq!(first.backups[0].verified.as_ref().map(|verified| verified.rows), Some(0));
    sql(&namespace, STARS);
    back_up(&namespace);
    let second = says(&namespace, "True", "5000 rows").await;
    assert_eq!(second.backups.len(), 2);
    assert!(second.backups[0].name > second.backups[1].name, "the newest comes first");

    // All rows would come back, and an index would not.
    sql(
        &namespace,
        "create function helper(float8) returns float8 language sql immutable as 'select $1 + 1';
         create function outer_one(float8) returns float8 language sql immutable as 'select helper($1)';
         create index star_helped on star (outer_one(ra));",
    );
    back_up(&namespace);
    let third = says(&namespace, "False", "because of index public.star_helped").await;
    let ready = get(&third.conditions, "Ready").map(|ready| ready.status.clone());
    assert_eq!(ready.as_deref(), Some("True"), "the app does not stop for that");
    assert!(third.backups[0].verified.is_none() && third.backups[1].verified.is_some());
    sql(&namespace, "alter function outer_one(float8) set search_path = public");
    back_up(&namespace);
    let fourth = says(&namespace, "True", "5000 rows").await;
    assert!(fourth.backup.and_then(|state| state.failure).is_none());

    // A user who may not read it all.
    let mut kubectl: Command = namespace.bed().program("kubectl");
    kubectl.args(["--namespace", namespace.name(), "exec", "-i", "db-0", "--"]);
    kubectl.args(["/usr/lib/postgresql/15/bin/psql", "-XAtq", "--host=/run/drover", "--username=postgres"]);
    kubectl.args(["--dbname=gleamx", "-f", "-"]);
    assert_eq!(finish(&mut kubectl, "create table hidden (id int)").code, 0);
    back_up(&namespace);
    let denied = says(&namespace, "False", "permission denied for table hidden").await;
    assert_eq!(
        denied.backup.and_then(|state| state.failure).map(|failure| failure.reason).as_deref(),
        Some("DumpFailed")
    );
    assert!(denied.backups.iter().any(|kept| kept.verified.is_some()), "what was proven stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn backups_in_a_bucket_are_encrypted_by_a_key_that_a_person_keeps() {
    let namespace = Namespace::new("backup-bucket").await;
    let server = namespace.bed().bucket_server("backups");
    server.make("safe");
    secret(&namespace, "bucket", &BucketServer::KEYS);
    let place = format!(
        "to: {{s3: {{endpoint: \"{}\", bucket: safe, secretRef: {{name: bucket}}}}}}
    encryption: {{secretRef: {{name: backup-key}}}}",
        server.endpoint()
    );
    secret(&namespace, "backup-key", &[("password", KEY)]);
    namespace.apply(&database(&place));
    says(&namespace, "True", "holds all that was backed up").await;
    sql(&namespace, STARS);
    back_up(&namespace);
    let status = says(&namespace, "True", "5000 rows").await;
    let repository = server.folder("safe").join("drover").join(namespace.name()).join("db");
    restic(&repository, KEY, &["check", "--read-data"]);
    assert_eq!(proven(&repository, KEY), status.backups.len());

    // Another key opens nothing, and makes nothing new.
    secret(&namespace, "backup-key", &[("password", "another")]);
    back_up(&namespace);
    let wrong = says(&namespace, "False", "WrongKey").await;
    assert_eq!(wrong.backups, status.backups);
    secret(&namespace, "backup-key", &[("password", KEY)]);
    // The bucket that was there once is not made anew by itself.
    let moved = server.folder("safe").join("moved");
    std::fs::rename(server.folder("safe").join("drover"), &moved).expect("the store is ours");
    back_up(&namespace);
    says(&namespace, "False", "RepositoryGone").await;
    std::fs::rename(&moved, server.folder("safe").join("drover")).expect("the store is ours");
    back_up(&namespace);
    says(&namespace, "True", "5000 rows").await;
    restic(&repository, KEY, &["check", "--read-data"]);
}

/// Whichever container of a backup is killed: the next backup ends well, and nothing is called proven that was not restored.
#[tokio::test(flavor = "multi_thread")]
async fn a_backup_whose_pod_is_killed_leaves_nothing_that_is_called_proven() {
    let namespace = Namespace::new("backup-killed").await;
    namespace.apply(&database("to: {claim: {resources: {requests: {storage: 500Mi}}, retentionPolicy: Delete}}"));
    let before = says(&namespace, "True", "holds all that was backed up").await.backups.len();
    sql(&namespace, STARS);
    back_up(&namespace);
    let job = eventually("a backup is being made", SOON, async || {
        let running = status(&namespace).await.backup.and_then(|state| state.running);
        running.map(|running| running.job).ok_or_else(|| "none is".to_owned())
    })
    .await;
    let jobs = namespace.get::<Job>(&job).await.expect("its Job");
    let mut kubectl: Command = namespace.bed().program("kubectl");
    kubectl.args(["--namespace", namespace.name(), "delete", "pod", "--grace-period=0", "--force"]);
    kubectl.args(["--selector", &format!("batch.kubernetes.io/job-name={}", jobs.metadata.name.unwrap_or_default())]);
    finish(&mut kubectl, "");
    // A pod that somebody deleted is made anew, or the Job fails: either way it is told, and what follows ends well.
    eventually("it has ended", SOON, async || match status(&namespace).await.backup {
        Some(state) if state.running.is_none() => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    back_up(&namespace);
    let after = says(&namespace, "True", "5000 rows").await;
    assert!(after.backups.len() > before);
    assert!(namespace.get::<Secret>("db-database").await.is_some());
}
