//! What makes backups, and what is made of what their Jobs say.

use std::collections::BTreeMap;

use drover_crds::condition::{BACKUP_VERIFIED, get};
use drover_crds::{ANNOTATION_ASKED, DatabaseBackup, DatabaseStatus, OwnerKind};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::super::*;
use super::result;
use crate::engine::Engine;
use crate::sync::ErrandImage;
use crate::workload::App;

fn app() -> App {
    App { kind: OwnerKind::Database, namespace: "sky".into(), name: "db".into(), uid: Some("u".into()) }
}

fn server(app: &App) -> Server<'_> {
    Server {
        app,
        engine: Engine::Postgres,
        image: "example.org/postgres:15",
        pull_policy: None,
        pull_secrets: &[],
        run_as: (999, 999),
        version: "15",
        connection: "db-database",
        memory: 1 << 30,
    }
}

fn backup(change: impl FnOnce(&mut Value)) -> Result<ValidatedBackup, InvalidBackup> {
    backup_of(Engine::Postgres, change)
}

fn backup_of(engine: Engine, change: impl FnOnce(&mut Value)) -> Result<ValidatedBackup, InvalidBackup> {
    let mut spec = json!({"schedule": "0 2 * * *", "to": {"claim": {"resources": {"requests": {"storage": "10Gi"}}}}});
    change(&mut spec);
    let spec: DatabaseBackup = serde_json::from_value(spec).expect("a spec");
    ValidatedBackup::new(&app(), engine, &spec, &BTreeMap::new())
}

fn to_bucket(spec: &mut Value) {
    spec["to"] =
        json!({"s3": {"endpoint": "https://minio.example.org", "bucket": "safe", "secretRef": {"name": "bucket"}}});
    spec["encryption"] = json!({"secretRef": {"name": "key"}});
    spec["checks"] = json!([{"name": "stars", "query": "select count(*) from star"}]);
}

#[test]
fn what_backups_are_made_of() {
    let (app, image) = (app(), ErrandImage::of_this_version());
    let mut made = Vec::new();
    let mariadb =
        Server { engine: Engine::Mariadb, image: "example.org/mariadb:10.11", version: "10.11", ..server(&app) };
    let all = [
        (server(&app), backup(|_| ())),
        (server(&app), backup(to_bucket)),
        (mariadb, backup_of(Engine::Mariadb, to_bucket)),
    ];
    for (of, backup) in all {
        let backup = backup.expect("valid");
        let mut settings = Value::Object(settings(&of, &backup).json().clone());
        // The scripts are read where they are.
        let scripts = of.engine.own().backs_up;
        let data = settings["data"].as_object_mut().expect("settings");
        data.retain(|name, _| scripts.iter().all(|(script, _)| name != script));
        made.push(settings);
        made.extend(claim(&of, &backup).map(|claim| Value::Object(claim.json().clone())));
        made.push(Value::Object(cron_job(&of, &backup, &image).json().clone()));
    }
    let made = format!("{}\n", serde_json::to_string_pretty(&made).expect("JSON"));
    assert!(made == include_str!("../golden.json"), "golden.json is not what is built, which is:\n{made}");
}

/// What is mounted where nobody should see it: the key in the database's image, or the database's password in drover's.
#[test]
fn no_container_sees_more_than_it_needs() {
    let app = app();
    let backup = backup(to_bucket).expect("valid");
    let request = Request::of(&backup, "u", None);
    let job =
        serde_json::to_value(job(&server(&app), &backup, &ErrandImage::of_this_version(), &request)).expect("JSON");
    let pod = &job["spec"]["template"]["spec"];
    let containers = pod["initContainers"].as_array().into_iter().chain(pod["containers"].as_array()).flatten();
    let sees: Vec<(String, String)> = containers
        .map(|container| {
            let text = container.to_string();
            let seen = ["/key", "/secret", "db-database"].into_iter().filter(|what| text.contains(*what));
            (container["name"].as_str().unwrap_or_default().to_owned(), seen.collect::<Vec<_>>().join(" "))
        })
        .collect();
    let expected = [("dump", "db-database"), ("store", "/key /secret"), ("prove", ""), ("conclude", "/key /secret")];
    assert_eq!(sees, expected.map(|(name, seen)| (name.to_owned(), seen.to_owned())));
    assert_eq!(pod["automountServiceAccountToken"], json!(false));
}

#[test]
fn a_place_is_told_from_another_and_what_was_there_is_expected_there_alone() {
    let bucket = backup(to_bucket).expect("valid");
    let elsewhere = backup(|spec| {
        to_bucket(spec);
        spec["to"]["s3"]["bucket"] = json!("other");
    })
    .expect("valid");
    assert_ne!(bucket.place, elsewhere.place);
    let again = bucket.clone().expecting(Some(&bucket.place), Some("id"));
    assert_eq!(again.order.expected.as_deref(), Some("id"));
    assert_eq!(elsewhere.clone().expecting(Some(&bucket.place), Some("id")).order.expected, None);
    let ids =
        [Request::of(&bucket, "u", None), Request::of(&bucket, "u", Some("now")), Request::of(&elsewhere, "u", None)];
    assert!(ids[0].id != ids[1].id && ids[0].id != ids[2].id);
    assert_eq!(ids[0], Request::of(&again, "u", None), "an edit of what is kept is no reason for a backup");
}

#[test]
fn what_makes_no_sense_is_refused_with_what_to_write() {
    let refused = |change: &dyn Fn(&mut Value)| backup(|spec| change(spec)).expect_err("refused").to_string();
    assert!(refused(&|spec| spec["to"] = json!({})).contains("exactly one of claim or s3"));
    assert!(refused(&|spec| spec["schedule"] = json!("0 2 * *")).starts_with("spec.backup.schedule: "));
    assert!(refused(&|spec| spec["timeZone"] = json!("Mars")).contains("is no time zone"));
    assert!(refused(&|spec| spec["keep"] = json!({})).contains("keep names nothing to keep"));
    let unencrypted = |spec: &mut Value| {
        to_bucket(spec);
        spec["encryption"] = Value::Null;
    };
    assert!(refused(&unencrypted).contains("backups in S3 are encrypted"));
}

/// A Job and its pod, whose containers ended so: name, exit code, last words.
fn ended(name: &str, condition: (&str, &str), containers: &[(&str, i32, &str)]) -> Run {
    let at = "2026-11-27T02:01:00Z";
    let job: Job = serde_json::from_value(json!({
        "metadata": {"name": name, "creationTimestamp": at, "annotations": {ANNOTATION_ASKED: "r"}},
        "status": {"conditions": [{"type": condition.0, "status": "True", "reason": condition.1, "lastTransitionTime": at}]},
    }))
    .expect("a Job");
    let state = |(name, code, message): &(&str, i32, &str)| {
        json!({"name": name, "ready": false, "restartCount": 0, "image": "i", "imageID": "i",
               "state": {"terminated": {"exitCode": code, "message": message, "reason": if *code == 137 { "OOMKilled" } else { "Error" }}}})
    };
    let (last, init): (Vec<_>, Vec<_>) = containers.iter().partition(|(name, ..)| *name == "conclude");
    let pod: Pod = serde_json::from_value(json!({
        "metadata": {"name": "p", "creationTimestamp": at, "labels": {"batch.kubernetes.io/job-name": name}},
        "status": {"initContainerStatuses": init.into_iter().map(state).collect::<Vec<_>>(),
                   "containerStatuses": last.into_iter().map(state).collect::<Vec<_>>()},
    }))
    .expect("a pod");
    run(&job, &[pod], 1_800_000_000)
}

fn why(run: &Run) -> (String, String) {
    let end = run.end.as_ref().expect("it has ended");
    match &end.result {
        Ok(result) => (result.reason.clone(), result.message.clone()),
        Err(said) => said.clone(),
    }
}

#[test]
fn the_container_that_ended_a_backup_says_why() {
    let failed = ("Failed", "BackoffLimitExceeded");
    let good = result(2).to_text();
    let run =
        ended("a", ("Complete", ""), &[("dump", 0, ""), ("store", 0, ""), ("prove", 0, ""), ("conclude", 0, &good)]);
    assert_eq!(why(&run).0, "Proven");
    assert_eq!(run.asked.as_deref(), Some("r"));
    let run = ended("a", failed, &[("dump", 1, "the database cannot be dumped: permission denied for table x")]);
    assert_eq!(why(&run), ("DumpFailed".into(), "the database cannot be dumped: permission denied for table x".into()));
    let refusal = crate::errand::Refusal::new(crate::errand::Reason::WrongKey, "the key does not open it");
    let wrong = BackupResult::failed(&refusal).to_text();
    let run = ended("a", failed, &[("dump", 0, ""), ("store", 1, &wrong)]);
    assert_eq!(why(&run), ("WrongKey".into(), "the key does not open it".into()));
    let run = ended("a", failed, &[("dump", 0, ""), ("store", 0, ""), ("prove", 137, "")]);
    assert!(why(&run).1.contains("(OOMKilled), so the backup is stored and not proven"), "{:?}", why(&run));
    let run = ended("a", ("Failed", "DeadlineExceeded"), &[("dump", 143, "")]);
    assert_eq!(why(&run).0, "TimedOut");
    let run = ended("a", failed, &[("dump", 0, ""), ("store", 137, "")]);
    assert!(!why(&run).0.is_empty() && !why(&run).1.is_empty());
    // What it says is believed no further than an errand could have written it.
    let forged = good.replace("\"verifiedAt\"", "\"verified\"");
    let run = ended("a", ("Complete", ""), &[("conclude", 0, &forged)]);
    assert!(run.end.is_some_and(|end| end.result.is_err()));
}

fn said(status: &DatabaseStatus) -> (&str, &str, &str) {
    let found = get(&status.conditions, BACKUP_VERIFIED).expect("the condition");
    (&found.status, &found.reason, &found.message)
}

#[test]
fn the_status_tells_what_is_there_and_what_went_wrong_once() {
    let backup = backup(|_| ()).expect("valid");
    let now = Time("2026-11-27T03:00:00Z".parse().expect("a time"));
    let mut status = DatabaseStatus::default();
    note(&mut status, &backup, &[]);
    assert!(conclude(&mut status, None, Some(1), &now).is_none());
    assert_eq!(said(&status).0, "Unknown");
    let state = status.backup.clone().expect("a state");
    let request = Request::of(&backup, "u", None);
    assert_eq!(due(request.clone(), &state, false, 0), Due::Now(request));

    let good = BackupResult { message: "m".into(), ..result(2) };
    let before = status.clone();
    let proven = ended("db-backup-r", ("Complete", ""), &[("conclude", 0, &good.to_text())]);
    assert_eq!(note(&mut status, &backup, std::slice::from_ref(&proven)), [Ended::Proven]);
    conclude(&mut status, None, Some(1), &now);
    assert_eq!((said(&status).0, said(&status).1), ("True", "Verified"));
    assert_eq!(status.backups.len(), 2);
    assert_eq!(news(&before, &status).len(), 1);
    let once = status.clone();
    assert!(note(&mut status, &backup, std::slice::from_ref(&proven)).is_empty());
    conclude(&mut status, None, Some(1), &now);
    assert_eq!(status, once, "what was noted is not noted again");
    assert!(news(&once, &status).is_empty());

    // A failure is told, and what was proven stays.
    let failed =
        ended("db-backup-2", ("Failed", "BackoffLimitExceeded"), &[("dump", 1, "the database cannot be asked: gone")]);
    note(&mut status, &backup, &[proven.clone(), failed]);
    conclude(&mut status, None, Some(1), &now);
    let (verdict, reason, message) = said(&status);
    assert_eq!((verdict, reason), ("False", "DumpFailed"));
    assert!(message.starts_with("The last backup did not succeed: the database cannot be asked: gone; the newest that is verified is 20261127T020000Z"), "{message}");
    assert_eq!(status.backups.len(), 2);
    assert_eq!(news(&once, &status).len(), 1);

    // Another place has nothing yet, and nothing is expected there.
    let elsewhere = self::backup(to_bucket).expect("valid");
    note(&mut status, &elsewhere, &[]);
    conclude(&mut status, None, Some(2), &now);
    assert_eq!(said(&status).0, "Unknown");
    assert!(status.backups.is_empty() && status.backup.as_ref().is_some_and(|state| state.repository.is_none()));
    none(&mut status);
    assert_eq!(status, DatabaseStatus::default());
}

#[test]
fn a_backup_that_cannot_be_made_is_tried_again_ever_later_and_one_that_only_a_person_mends_is_not() {
    let backup = backup(|_| ()).expect("valid");
    let request = Request::of(&backup, "u", None);
    let at = "2026-11-27T02:00:00Z".parse::<jiff::Timestamp>().expect("a time");
    let failed = |reason: &str| drover_crds::JobFailure {
        reason: reason.into(),
        times: 3,
        at: Some(Time(at)),
        ..Default::default()
    };
    let mut state = drover_crds::BackupStatus {
        asked: Some(request.id.clone()),
        failure: Some(failed("DumpFailed")),
        ..Default::default()
    };
    let second = at.as_second();
    assert_eq!(due(request.clone(), &state, false, second), Due::In(std::time::Duration::from_secs(240)));
    let Due::Now(third) = due(request.clone(), &state, false, second + 240) else { panic!("it is due") };
    let (first, again) = (request.job_name("db"), third.job_name("db"));
    assert!(first != again && again.len() == first.len() && third.id == request.id, "{again}");
    assert_eq!(due(request.clone(), &state, true, second + 240), Due::Now(third), "also where there are older ones");
    for lasting in ["NotProven", "WrongKey", "RepositoryGone", "RepositoryDamaged"] {
        state.failure = Some(failed(lasting));
        assert_eq!(due(request.clone(), &state, true, second + 9999), Due::No, "{lasting}: the schedule does it");
        assert!(matches!(due(request.clone(), &state, false, second + 9999), Due::Now(_)));
    }
    state.running = Some(drover_crds::RunningJob::default());
    assert_eq!(due(request, &state, false, second + 9999), Due::No);
}

#[test]
fn a_time_that_was_missed_is_made_up_for_once() {
    let backup = backup(|_| ()).expect("valid");
    let time = |text: &str| text.parse::<jiff::Timestamp>().expect("a time");
    let mut status = DatabaseStatus::default();
    assert_eq!(catch_up(&backup, &status, time("2026-11-27T12:00:00Z")), Catch::Nothing, "there is none yet");
    status.backups.push(drover_crds::KeptBackup { at: Some(Time(time("2026-11-26T02:00:10Z"))), ..Default::default() });
    // Kubernetes may still begin it.
    assert_eq!(catch_up(&backup, &status, time("2026-11-27T02:10:59Z")), Catch::Look(time("2026-11-27T02:11:00Z")));
    let Catch::Up(missed) = catch_up(&backup, &status, time("2026-11-27T02:11:00Z")) else { panic!("it was missed") };
    let app = app();
    let made = |missed| made_up_job(&server(&app), &backup, &ErrandImage::of_this_version(), missed).metadata.name;
    let Catch::Up(later) = catch_up(&backup, &status, time("2026-11-29T12:00:00Z")) else { panic!("it was missed") };
    assert_eq!(made(later), made(missed), "the first stands for all");
    status.backup =
        Some(drover_crds::BackupStatus { running: Some(drover_crds::RunningJob::default()), ..Default::default() });
    assert_eq!(catch_up(&backup, &status, time("2026-11-29T12:00:00Z")), Catch::Nothing);
    let failure = drover_crds::JobFailure { at: Some(Time(time("2026-11-29T12:01:00Z"))), ..Default::default() };
    status.backup = Some(drover_crds::BackupStatus { failure: Some(failure), ..Default::default() });
    let next = catch_up(&backup, &status, time("2026-11-29T12:02:00Z"));
    assert_eq!(next, Catch::Look(time("2026-11-30T02:11:00Z")), "what failed is not made up for");
}
