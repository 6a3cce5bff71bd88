//! What is loaded, when, by what, and what is said of it.

use std::collections::BTreeMap;

use drover_crds::condition::{Outcome, RESTORED, get};
use drover_crds::{DatabaseBackup, DatabaseInit, DatabaseStatus, OwnerKind, RestoreFailure, RestoreStatus};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::backup::{Server, ValidatedBackup};
use crate::engine::Engine;
use crate::sync::ErrandImage;
use crate::workload::App;
use crate::workload::build::metadata::Labels;

const BACKUP: &str = "20261127T020012Z";

fn app() -> App {
    App { kind: OwnerKind::Database, namespace: "sky".into(), name: "db".into(), uid: Some("u".into()) }
}

fn target<'a>(app: &'a App, pod: &'a Labels) -> Target<'a> {
    let server = Server {
        app,
        engine: Engine::Postgres,
        image: "example.org/postgres:15",
        pull_policy: None,
        pull_secrets: &[],
        run_as: (999, 999),
        version: "15",
        connection: "db-database",
        memory: 1 << 30,
    };
    Target { server, database: "gleamx", user: "gleamer", claim: "db-database", pod }
}

fn init(spec: Value) -> Result<ValidatedInit, InvalidInit> {
    let spec: DatabaseInit = serde_json::from_value(spec).expect("a spec");
    ValidatedInit::new(&spec, true)
}

fn in_bucket() -> ValidatedBackup {
    let spec = json!({
        "schedule": "0 2 * * *", "encryption": {"secretRef": {"name": "key"}},
        "to": {"s3": {"endpoint": "https://minio.example.org", "bucket": "safe", "secretRef": {"name": "bucket"}}},
    });
    let spec: DatabaseBackup = serde_json::from_value(spec).expect("a spec");
    ValidatedBackup::new(&app(), Engine::Postgres, &spec, &BTreeMap::new()).expect("valid")
}

fn request() -> RestoreRequest {
    RestoreRequest::of_person("u", &Wish::read(&format!("{BACKUP} 2026-11-27T09:00:00Z")).expect("a wish"))
}

fn restores() -> Vec<Restore> {
    let dump = |spec: Value| match init(json!({ "fromDump": spec })).expect("valid").source {
        InitSource::Dump(dump) => {
            Restore { request: RestoreRequest::of_init("u"), source: RestoreSource::Dump(dump), timeout_seconds: 60 }
        }
        other @ InitSource::Backup { .. } => panic!("{other:?}"),
    };
    vec![
        Restore::of_backup(request(), in_bucket(), BACKUP.parse().expect("a name")),
        dump(json!({"claim": {"name": "old", "path": "dumps/all.sql.gz"}})),
        dump(json!({"http": {"url": "https://files.example.org/all.sql?token=t0p", "secretRef": {"name": "web"}}})),
        dump(json!({"s3": {"bucket": "dumps", "key": "all.sql"}})),
    ]
}

/// Whoever loads the data gets neither a key nor the way to the database, and whoever has a key sees no data that is served.
#[test]
fn no_container_sees_more_than_it_needs() {
    let (app, pod) = (app(), Labels::new());
    for restore in restores() {
        let job =
            serde_json::to_value(job(&target(&app, &pod), &restore, &ErrandImage::of_this_version())).expect("JSON");
        let spec = &job["spec"]["template"]["spec"];
        let containers = spec["initContainers"].as_array().into_iter().chain(spec["containers"].as_array()).flatten();
        for container in containers {
            let text = container.to_string();
            let of_drover = text.contains("drover-errands");
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
            assert!(!text.contains("secretKeyRef"), "nobody logs in: {text}");
            let sees = |what: &str| text.contains(&format!("\"mountPath\":\"{what}\""));
            assert!(of_drover || !(sees("/key") || sees("/secret")), "{text}");
            let is_take = container["name"] == "take";
            assert_eq!(sees("/var/lib/drover"), !is_take, "{text}");
        }
        assert_eq!(spec["automountServiceAccountToken"], false);
        assert_eq!(job["spec"]["backoffLimit"], 0);
    }
    // A sentence does not tell what follows the question mark.
    let RestoreSource::Dump(dump) = &restores()[2].source else { panic!("a dump") };
    assert_eq!(dump.shown(), "the dump https://files.example.org/all.sql");
}

#[test]
fn what_is_no_source_is_told() {
    for (spec, sentence) in [
        (json!({}), "spec.init names 0 things to load"),
        (json!({"fromBackup": {}, "fromDump": {"claim": {"name": "a", "path": "b"}}}), "names 2 things"),
        (json!({"fromDump": {}}), "names 0 things"),
        (json!({"fromBackup": {"backup": "monday"}}), "is no name of a backup"),
        (json!({"fromDump": {"http": {"url": "ftp://files.example.org/x"}}}), "spec.init.fromDump: "),
    ] {
        let said = init(spec).expect_err(sentence).to_string();
        assert!(said.contains(sentence), "{said} has not: {sentence}");
    }
    let none = ValidatedInit::new(&serde_json::from_value(json!({"fromBackup": {}})).expect("a spec"), false);
    assert_eq!(none.expect_err("nowhere"), InvalidInit::NoBackups);
    assert!(Wish::read("monday").expect_err("no name").to_string().contains(drover_crds::ANNOTATION_RESTORE));
}

#[test]
fn a_persons_wish_is_done_once_and_what_it_begins_with_until_it_is_done() {
    let wish = Wish::read(&format!("{BACKUP} 2026-11-27T09:00:00Z")).expect("a wish");
    let again = Wish::read(&format!("{BACKUP} 2026-11-27T10:00:00Z")).expect("a wish");
    let mut status = RestoreStatus::default();
    assert_eq!(wanted("u", false, None, &status), None);
    let first = wanted("u", false, Some(&wish), &status).expect("asked");
    assert_eq!(due(&first, &status, 0), RestoreDue::Now);
    status.asked = Some(first.id.clone());
    assert_eq!(wanted("u", false, Some(&wish), &status), None);
    assert_ne!(wanted("u", false, Some(&again), &status).expect("asked once more").id, first.id);

    // `init` comes first, is tried again ever later, and under another name.
    let mut status = RestoreStatus::default();
    let begins = wanted("u", true, Some(&wish), &status).expect("asked");
    assert!(begins.is_init && begins.job_name("db") == format!("db-restore-{}", begins.id));
    let at: Time = serde_json::from_value(json!("2026-11-27T09:00:00Z")).expect("a time");
    let seconds = at.0.as_second();
    for (times, wait) in [(1, 30), (2, 60), (3, 120), (20, 3600)] {
        status.failure = Some(RestoreFailure { times, at: Some(at.clone()), ..RestoreFailure::default() });
        let next = wanted("u", true, None, &status).expect("asked");
        assert_eq!(next.job_name("db"), format!("db-restore-{}-{times}", begins.id));
        assert_eq!(due(&next, &status, seconds + wait), RestoreDue::Now);
        assert_eq!(due(&next, &status, seconds + wait - 1), RestoreDue::In(std::time::Duration::from_secs(1)));
    }
    status.initialized = true;
    assert!(!wanted("u", true, Some(&wish), &status).expect("asked").is_init);
}

/// A Job and its pod, whose containers ended so: name, exit code, last words.
fn ended(request: &RestoreRequest, reason: &str, containers: &[(&str, i32, &str)]) -> RestoreRun {
    let at = "2026-11-27T09:05:00Z";
    let good = containers.iter().all(|(_, code, _)| *code == 0);
    let (kind, name) = (if good { "Complete" } else { "Failed" }, request.job_name("db"));
    let job: Job = serde_json::from_value(json!({
        "metadata": {"name": name, "creationTimestamp": at, "annotations": {drover_crds::ANNOTATION_ASKED: request.id}},
        "status": {"conditions": [{"type": kind, "status": "True", "reason": reason, "lastTransitionTime": at}]},
    }))
    .expect("a Job");
    let state = |(name, code, message): &(&str, i32, &str)| {
        json!({"name": name, "ready": false, "restartCount": 0, "image": "i", "imageID": "i",
            "state": {"terminated": {"exitCode": code, "message": message, "reason": if *code == 137 { "OOMKilled" } else { "Error" }}}})
    };
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "creationTimestamp": at, "labels": {"batch.kubernetes.io/job-name": name}},
        "status": {"initContainerStatuses": containers.iter().map(state).collect::<Vec<_>>()},
    }))
    .expect("a pod");
    run(&job, &[pod], 0)
}

fn said(status: &DatabaseStatus) -> (String, String, String) {
    let found = get(&status.conditions, RESTORED).expect("it says so");
    (found.status.clone(), found.reason.clone(), found.message.clone())
}

#[test]
fn what_came_of_it_is_told_and_counts_once() {
    let now: Time = serde_json::from_value(json!("2026-11-27T09:06:00Z")).expect("a time");
    let (wish, begins) = (request(), RestoreRequest::of_init("u"));
    let restored = RestoreResult {
        ended: Loaded::Restored,
        reason: "Restored".into(),
        message: "done".into(),
        from: format!("backup {BACKUP}"),
        rows: 5000,
        took_seconds: 9,
    };
    let run_of = |request: &RestoreRequest| {
        ended(request, "Completed", &[("take", 0, ""), ("load", 0, ""), ("conclude", 0, &restored.to_text())])
    };
    let mut status = DatabaseStatus::default();
    for _ in 0..2 {
        note(&mut status, &begins.id, &[run_of(&wish)]);
        conclude(&mut status, None, None, Some(1), &now);
        let state = status.restore.clone().expect("noted");
        assert_eq!((state.asked, state.restored), (Some(wish.id.clone()), Some(wish.id.clone())));
        assert_eq!(
            said(&status),
            ("True".into(), "Restored".into(), format!("Backup {BACKUP} was loaded in 9s and checked, with 5000 rows"))
        );
    }
    assert_eq!(pending(&status, false), None);

    // What the spec begins with: the server waits, and starts for no other reason than that it is there.
    let mut status = DatabaseStatus::default();
    let failed = [
        (
            ended(&begins, "BackoffLimitExceeded", &[("take", 0, ""), ("load", 137, "")]),
            "NotRestored",
            "was ended (OOMKilled): give the Database more memory",
        ),
        (
            ended(&begins, "DeadlineExceeded", &[("take", 0, ""), ("load", 143, "")]),
            "TimedOut",
            "took longer than spec.init.timeout",
        ),
        (
            ended(&begins, "BackoffLimitExceeded", &[("take", 1, "")]),
            "NoResult",
            "ended without a result in Job db-restore-",
        ),
        (
            ended(
                &begins,
                "BackoffLimitExceeded",
                &[
                    ("load", 0, ""),
                    (
                        "conclude",
                        1,
                        &RestoreResult {
                            ended: Loaded::Failed,
                            reason: "NotRestored".into(),
                            message: "the dump ends before its last line".into(),
                            ..restored.clone()
                        }
                        .to_text(),
                    ),
                ],
            ),
            "NotRestored",
            "ends before its last line",
        ),
    ];
    for (run, reason, sentence) in failed {
        status.restore = None;
        note(&mut status, &begins.id, &[run]);
        conclude(&mut status, None, None, Some(1), &now);
        let (verdict, why, message) = said(&status);
        assert!(verdict == "False" && why == reason && message.contains(sentence), "{why}: {message}");
        match pending(&status, true) {
            Some(Outcome::Failed { reason: why, message }) => {
                assert!(
                    why == reason
                        && message.starts_with("The server waits for what spec.init loads: Nothing was loaded: "),
                    "{message}"
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(!status.restore.clone().expect("noted").initialized);
    }
    note(&mut status, &begins.id, &[run_of(&RestoreRequest { attempt: 1, ..begins.clone() })]);
    let state = status.restore.clone().expect("noted");
    assert!(state.initialized && state.restored.is_none() && state.failure.is_none());
    assert_eq!(pending(&status, true), None);
}

#[test]
fn no_more_is_believed_than_an_errand_could_have_written() {
    for text in [
        "",
        "{}",
        "null",
        r#"{"ended":"Restored","reason":"Restored","message":"","from":""}"#,
        r#"{"ended":"Failed","reason":"no word","message":""}"#,
    ] {
        assert!(RestoreResult::read(text).is_err(), "{text}");
    }
    let long =
        RestoreResult::failed(&crate::errand::Refusal::new(crate::errand::Reason::ClaimFails, "\u{1}".repeat(9000)));
    assert!(RestoreResult::read(&long.to_text()).is_ok());
    for json in [r#"{"name":"0a1b2c3d"}"#, r#"{"name":"../../etc"}"#, "{}"] {
        assert_eq!(RestoreOrder::read(json.as_bytes()).is_ok(), json.contains("0a1b"), "{json}");
    }
}
