//! A MariaDB of one's own: what is otherwise than with PostgreSQL, and what must not be.

use std::process::Command;
use std::time::Duration;

use drover_crds::condition::{BACKUP_VERIFIED, READY, RESTORED, get};
use drover_crds::{Database, DatabaseStatus, ReleaseStep};
use drover_e2e::{DataServer, Finished, Hello, Namespace, Testbed, eventually, finish, mariadb_image};
use k8s_openapi::api::core::v1::Secret;

use crate::database::Small;

const SOON: Duration = Duration::from_secs(180);

fn database(claim: &str, more: &str) -> String {
    format!(
        "apiVersion: drover.dev/v1alpha1
kind: Database
metadata: {{name: db}}
spec:
  engine: {{mariadb: {{version: \"10.11\"}}}}
  image: {}
  database: reduction_runs
  user: reducer
  resources: {{requests: {{cpu: 20m, memory: 64Mi}}, limits: {{memory: 256Mi}}}}
  claim: {{resources: {{requests: {{storage: 500Mi}}}}, {claim}}}
{more}",
        mariadb_image(Testbed::shared())
    )
}

async fn status(namespace: &Namespace) -> DatabaseStatus {
    namespace.get::<Database>("db").await.and_then(|db| db.status).unwrap_or_default()
}

/// Waits until that condition says so, and returns what it says.
async fn says(namespace: &Namespace, condition: &str, verdict: &str, word: &str) -> String {
    eventually(&format!("{condition} is {verdict} and says {word}"), SOON, async || {
        let status = status(namespace).await;
        match get(&status.conditions, condition) {
            Some(found) if found.status == verdict && format!("{} {}", found.reason, found.message).contains(word) => {
                Ok(found.message.clone())
            }
            other => Err(format!("{other:?} {:?} {:?}", status.backup, status.restore)),
        }
    })
    .await
}

async fn of_secret(namespace: &Namespace, key: &str) -> String {
    let data = namespace.get::<Secret>("db-database").await.and_then(|secret| secret.data).unwrap_or_default();
    String::from_utf8(data[key].0.clone()).expect("text")
}

/// Runs statements as the app's user with that password, over the network.
fn ask(namespace: &Namespace, password: &str, statements: &str) -> Finished {
    let mut kubectl: Command = namespace.bed().program("kubectl");
    kubectl.args(["--namespace", namespace.name(), "exec", "-i", "db-0", "--"]);
    kubectl.args([
        "env",
        &format!("MYSQL_PWD={password}"),
        "mariadb",
        "--no-defaults",
        "--batch",
        "--skip-column-names",
    ]);
    kubectl.args(["--host=db", "--user=reducer", "--database=reduction_runs"]);
    finish(&mut kubectl, statements)
}

/// What the statements come to. A server that is ready may for a moment not be led to by the address of its Service: the client names the
/// number of ECONNREFUSED.
async fn answer(namespace: &Namespace, statements: &str) -> String {
    let finished = eventually("the Service leads to the server", SOON, async || {
        let finished = ask(namespace, &of_secret(namespace, "password").await, statements);
        if finished.said().contains("(111)") { Err(finished.said()) } else { Ok(finished) }
    })
    .await;
    assert_eq!(finished.code, 0, "{statements}: {}", finished.said());
    finished.stdout.trim().to_owned()
}

/// Waits until the server answers so, with the password that the Secret has.
async fn comes_to_answer(namespace: &Namespace, statement: &str, expected: &str) {
    eventually(&format!("{statement} is {expected}"), SOON, async || {
        let finished = ask(namespace, &of_secret(namespace, "password").await, statement);
        if finished.code == 0 && finished.stdout.trim() == expected { Ok(()) } else { Err(finished.said()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_is_there_before_its_app_and_its_rows_outlive_it() {
    let namespace = Namespace::new("mariadb").await;
    let app = Hello::new("web", "1", &namespace.host())
        .spec("databaseRefs: [{name: db, env: {host: DATABASE_HOST, password: DATABASE_PASSWORD, url: DATABASE_URL}}]");
    namespace.apply(&app.yaml());
    let small = Small::of(&namespace, "300m");
    let claim = format!("retentionPolicy: Retain, storageClassName: {}", small.volume);
    namespace.apply(&database(&claim, ""));
    let web = namespace.app("web");
    says(&namespace, READY, "True", "MariaDB 10.11 answers in database reduction_runs as reducer").await;
    web.answers("/", "hello").await;
    let listed = namespace.kubectl(&["get", "database", "db"]);
    assert!(listed.contains("10.11"), "{listed}");
    let (name, first) = (namespace.name(), of_secret(&namespace, "password").await);
    let url = format!("mysql://reducer:{first}@db.{name}.svc:3306/reduction_runs");
    assert_eq!(of_secret(&namespace, "url").await, url);
    answer(
        &namespace,
        "create table run (id int auto_increment primary key, name text); insert into run (name) values ('π'), ('b')",
    )
    .await;

    // Another kind of server has no use for these files.
    let other = database(&claim, "").replace("mariadb: {version: \"10.11\"}", "postgres: {version: \"15\"}");
    let mut kubectl: Command = namespace.bed().program("kubectl");
    let refused = finish(kubectl.args(["--namespace", name, "apply", "--server-side", "-f", "-"]), &other);
    assert!(refused.code != 0 && refused.stderr.contains("kind of server cannot change"), "{}", refused.said());

    // Killed in the middle of its work it recovers; and a full volume is told.
    let ballast = small.fill();
    namespace.kubectl(&["delete", "pod", "db-0", "--grace-period=0", "--force"]);
    let said = says(&namespace, READY, "False", "VolumeFull").await;
    assert!(said.contains("raise spec.claim.resources.requests.storage"), "{said}");
    std::fs::remove_file(&ballast).expect("it can be removed");
    comes_to_answer(&namespace, "select count(*) from run", "2").await;
    says(&namespace, READY, "True", "answers").await;

    // Another password is the server's, and the app's.
    let rotated = namespace.drover(&["rotate", "db", "--namespace", name]);
    assert_eq!(rotated.code, 0, "{}", rotated.said());
    assert_ne!(of_secret(&namespace, "password").await, first);
    comes_to_answer(&namespace, "select count(*) from run", "2").await;
    assert_ne!(ask(&namespace, &first, "select 1").code, 0, "the old password is refused");
    web.comes_to("has a release with the new password", |status| match &status.rollout.release {
        Some(release) if release.number >= 2 && release.step == ReleaseStep::Live => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    // Deleted and made anew, it finds password and rows again.
    let before = of_secret(&namespace, "password").await;
    namespace.kubectl(&["delete", "database", "db", "--wait"]);
    namespace.apply(&database(&claim, ""));
    comes_to_answer(&namespace, "select count(*) from run", "2").await;
    says(&namespace, READY, "True", "answers").await;
    assert_eq!(of_secret(&namespace, "password").await, before);
}

/// What `mysqldump` makes of a MySQL 8.
const DUMP: &str = "-- MySQL dump 10.13  Distrib 8.0.36, for Linux (x86_64)
--
-- Host: localhost    Database: autoreduction
-- ------------------------------------------------------
/*!50503 SET NAMES utf8mb4 */;

CREATE DATABASE /*!32312 IF NOT EXISTS*/ `autoreduction` /*!40100 DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_ai_ci */;

USE `autoreduction`;

CREATE TABLE `run` (
  `id` int NOT NULL AUTO_INCREMENT,
  `name` varchar(200) NOT NULL,
  PRIMARY KEY (`id`)
) ENGINE=InnoDB AUTO_INCREMENT=3 DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_0900_ai_ci;
INSERT INTO `run` VALUES (1,'MUSR 1'),(2,'GEM 2');
-- Dump completed on 2022-08-12 13:57:00
";

#[tokio::test(flavor = "multi_thread")]
async fn a_mariadb_begins_with_a_dump_and_its_backups_are_proven_and_restored() {
    let namespace = Namespace::new("mariadb-backup").await;
    let web = DataServer::beside(namespace.bed(), &format!("{}-dumps", namespace.name()));
    web.put("old.sql", DUMP);
    let more = format!(
        "  init: {{fromDump: {{http: {{url: \"{}\"}}}}}}
  backup:
    schedule: \"0 2 * * *\"
    to: {{claim: {{resources: {{requests: {{storage: 500Mi}}}}, retentionPolicy: Delete}}}}
    checks: [{{name: runs, query: \"select count(*) from run\", min: 1}}]
",
        web.url("old.sql")
    );
    namespace.apply(&database("retentionPolicy: Delete", &more));
    says(&namespace, READY, "True", "answers").await;
    says(&namespace, BACKUP_VERIFIED, "True", "2 rows").await;
    assert_eq!(answer(&namespace, "select group_concat(name order by id) from run").await, "MUSR 1,GEM 2");

    // What does not come back is named: this table takes no part in any snapshot, and a view's table is gone.
    answer(&namespace, "insert into run (name) values ('WISH 3'); create view v as select * from run; create table gone (id int); create view w as select * from gone; drop table gone").await;
    let back_up = || {
        let asked = namespace.drover(&["backup", "db", "--namespace", namespace.name()]);
        assert_eq!(asked.code, 0, "{}", asked.said());
    };
    back_up();
    let said = says(&namespace, BACKUP_VERIFIED, "False", "'reduction_runs.w'").await;
    assert!(said.contains("the database cannot be dumped"), "{said}");
    answer(&namespace, "drop view w").await;
    back_up();
    says(&namespace, BACKUP_VERIFIED, "True", "3 rows").await;
    // Of one day the last is kept.
    let newest = status(&namespace).await.backups[0].name.clone();
    answer(&namespace, "insert into run (name) values ('after it')").await;

    // In place of what is there, with the password of now.
    let rotated = namespace.drover(&["rotate", "db", "--namespace", namespace.name()]);
    assert_eq!(rotated.code, 0, "{}", rotated.said());
    let arguments = ["restore", "db", "--namespace", namespace.name(), "--backup", &newest];
    let restore =
        |more: &[&str]| namespace.drover(&arguments.into_iter().chain(more.iter().copied()).collect::<Vec<_>>());
    let asked = restore(&["--in-place", "--confirm", "db"]);
    assert_eq!(asked.code, 0, "{}", asked.said());
    says(&namespace, RESTORED, "True", &newest).await;
    comes_to_answer(&namespace, "select count(*) from run", "3").await;
    says(&namespace, READY, "True", "answers").await;
    assert_eq!(answer(&namespace, "insert into run (name) values ('x'); select last_insert_id()").await, "4");

    // Into a new one.
    assert_eq!(restore(&["--into", "copy"]).code, 0);
    eventually("the copy is ready", SOON, async || {
        let copy = namespace.get::<Database>("copy").await.and_then(|db| db.status).unwrap_or_default();
        match get(&copy.conditions, READY) {
            Some(ready) if ready.status == "True" => Ok(()),
            other => Err(format!("{other:?} {:?}", copy.restore)),
        }
    })
    .await;
}
