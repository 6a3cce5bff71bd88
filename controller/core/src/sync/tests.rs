use std::collections::BTreeMap;
use std::time::Duration;

use drover_crds::condition::{self, Outcome};
use drover_crds::{
    ANNOTATION_ASKED, ANNOTATION_RECONCILE_AT, ANNOTATION_REJECT_SET, DataSync, DataSyncStatus, OwnerKind,
};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use super::*;
use crate::render::Object;
use crate::workload::App;

const SET: &str = "0123456789abcdef0123";
const OTHER: &str = "ffffffffffffffff0000";

fn spec(change: &Value) -> DataSync {
    let mut object = json!({"apiVersion": "drover.dev/v1alpha1", "kind": "DataSync",
        "metadata": {"name": "csv", "namespace": "shop", "uid": "u1"},
        "spec": {
            "source": {"http": {"url": "https://data.example.org/references.csv", "to": "references.csv"}},
            "schedule": "0 * * * *", "publish": "Live",
            "guard": {"minBytes": 1000, "contentTypes": ["text/csv"]},
            "claim": {"resources": {"requests": {"storage": "100Mi"}}}}});
    for (name, value) in change.as_object().expect("fields") {
        object["spec"][name] = value.clone();
    }
    object["spec"].as_object_mut().expect("fields").retain(|_, value| !value.is_null());
    serde_json::from_value(object).expect("a DataSync")
}

fn valid(change: &Value) -> Result<ValidatedSync, Invalid> {
    let sync = spec(change);
    let app = App { kind: OwnerKind::DataSync, namespace: "shop".into(), name: "csv".into(), uid: sync.metadata.uid };
    validate(&app, &sync.spec, &BTreeMap::new())
}

fn at(second: i64) -> Time {
    Time(jiff::Timestamp::from_second(second).expect("a time"))
}

/// A Job, and its pod with these last words.
fn ended(name: &str, second: i64, asked: Option<&str>, words: &str) -> (Job, Pod) {
    let succeeded = words.contains("\"Published\"") || words.contains("\"Unchanged\"");
    let condition = if succeeded { "Complete" } else { "Failed" };
    let annotations = asked.map(|asked| json!({ANNOTATION_ASKED: asked}));
    let job = json!({
        "metadata": {"name": name, "creationTimestamp": at(second - 5), "annotations": annotations},
        "spec": {"template": {}},
        "status": {"conditions": [{"type": condition, "status": "True", "lastTransitionTime": at(second)}]}});
    let pod = json!({
        "metadata": {"name": format!("{name}-x"), "labels": {"batch.kubernetes.io/job-name": name}},
        "status": {"phase": "Succeeded", "containerStatuses": [{"name": "sync", "image": "", "imageID": "", "ready": false,
            "restartCount": 0, "state": {"terminated": {"exitCode": i32::from(!succeeded), "message": words}}}]}});
    (serde_json::from_value(job).expect("a Job"), serde_json::from_value(pod).expect("a pod"))
}

fn good(outcome: &str, set: &str) -> String {
    json!({"outcome": outcome, "set": set, "files": 2, "bytes": 70, "fetchedFiles": 1, "fetchedBytes": 30, "tookSeconds": 4,
        "reason": outcome, "message": "it is there"})
    .to_string()
}

fn bad(reason: &str) -> String {
    json!({"outcome": "Failed", "reason": reason, "message": format!("it failed with {reason}")}).to_string()
}

fn noted(status: &DataSyncStatus, ran: &[(Job, Pod)]) -> DataSyncStatus {
    noted_with(status, ran, None)
}

fn noted_with(status: &DataSyncStatus, ran: &[(Job, Pod)], rejection: Option<&Rejection>) -> DataSyncStatus {
    let pods: Vec<Pod> = ran.iter().map(|(_, pod)| pod.clone()).collect();
    let runs: Vec<Run> = ran.iter().map(|(job, _)| run(job, &pods, 1000)).collect();
    let mut status = status.clone();
    note(&mut status, &runs, None, rejection);
    status
}

#[test]
fn a_set_that_an_app_does_not_run_with_makes_room_for_the_one_before() {
    let set = |status: &DataSyncStatus| status.published.as_ref().map(|published| published.set.clone());
    let first = noted(&DataSyncStatus::default(), &[ended("csv-sync-1", 100, None, &good("Published", SET))]);
    let second = noted(&first, &[ended("csv-sync-2", 200, None, &good("Published", OTHER))]);
    let rejection = Rejection::new(OTHER, "WebApp shop/web", "it crashes");
    let back = noted_with(&second, &[], Some(&rejection));
    assert_eq!(set(&back).as_deref(), Some(SET));
    let failure = back.failure.clone().expect("it is told");
    assert!(
        failure.reason == "SetRejected" && failure.message.contains("WebApp shop/web does not run with it: it crashes")
    );
    assert_eq!(noted_with(&back, &[], Some(&rejection)), back, "once");

    // The same data again is not published, other data is; and the annotation, read again, says the same.
    let mut sync = spec(&json!({}));
    sync.metadata.annotations = Some([(ANNOTATION_REJECT_SET.to_owned(), rejection.to_string())].into());
    assert_eq!(Rejection::of(&sync), Some(rejection.clone()));
    let again = noted_with(&back, &[ended("csv-sync-3", 300, None, &good("Unchanged", OTHER))], Some(&rejection));
    assert_eq!((set(&again).as_deref(), again.failure.map(|failure| failure.times)), (Some(SET), Some(2)));
    let third = "aaaaaaaaaaaaaaaaaaaa";
    let mended = noted_with(&back, &[ended("csv-sync-4", 400, None, &good("Published", third))], Some(&rejection));
    assert_eq!((set(&mended).as_deref(), mended.failure), (Some(third), None));
    // Without the annotation it is published all the same; and the first of all has none to make room for.
    let all_the_same = noted(&back, &[ended("csv-sync-5", 500, None, &good("Unchanged", OTHER))]);
    assert_eq!(set(&all_the_same).as_deref(), Some(OTHER));
    let only = noted_with(&first, &[], Some(&Rejection::new(SET, "WebApp shop/web", "it crashes")));
    assert_eq!(set(&only).as_deref(), Some(SET));
}

#[test]
fn what_an_errand_says_at_its_end_is_the_status() {
    let first = noted(&DataSyncStatus::default(), &[ended("csv-sync-1", 100, Some("a"), &good("Published", SET))]);
    let published = first.published.as_ref().expect("a set");
    assert_eq!((published.set.as_str(), published.files, published.at.clone()), (SET, 2, Some(at(100))));
    assert_eq!(first.asked.as_deref(), Some("a"));
    // Nothing new: it was looked, and the set is as old as it was.
    let second = noted(&first, &[ended("csv-sync-2", 200, None, &good("Unchanged", SET))]);
    assert_eq!(second.published, first.published);
    assert_eq!(second.last_sync.as_ref().and_then(|last| last.at.clone()), Some(at(200)));
    assert_eq!(noted(&second, &[ended("csv-sync-2", 200, None, &good("Unchanged", SET))]), second, "noted once");
    assert_eq!(second.asked.as_deref(), Some("a"), "the schedule answers no request");
}

#[test]
fn failures_are_counted_until_a_sync_succeeds_and_the_set_stays() {
    let good_one = ended("csv-sync-1", 100, None, &good("Published", SET));
    let bad_one = ended("csv-sync-2", 200, None, &bad("Unreachable"));
    let bad_two = ended("csv-sync-3", 300, None, &bad("WrongType"));
    // In whatever order they are listed, and also when they are seen only together.
    let all = noted(&DataSyncStatus::default(), &[bad_two.clone(), good_one.clone(), bad_one.clone()]);
    let failure = all.failure.as_ref().expect("a failure");
    assert_eq!((failure.reason.as_str(), failure.times, failure.since.clone()), ("WrongType", 2, Some(at(200))));
    assert_eq!(all.published.as_ref().map(|published| published.set.as_str()), Some(SET));
    let one_by_one = noted(&noted(&noted(&DataSyncStatus::default(), &[good_one]), &[bad_one]), &[bad_two]);
    // Which Jobs are there was another matter each time.
    assert_eq!(DataSyncStatus { noted: all.noted.clone(), ..one_by_one }, all);
    let mended = noted(&all, &[ended("csv-sync-4", 400, None, &good("Published", OTHER))]);
    assert_eq!(mended.failure, None);
    assert_eq!(mended.published.map(|published| published.set), Some(OTHER.to_owned()));
}

#[test]
fn of_two_that_end_in_the_same_second_both_count_and_the_one_that_is_asked_for_is_the_last() {
    let first = ended("csv-sync-50a31a12", 200, Some("50a31a12"), &good("Published", SET));
    let second = ended("csv-sync-4a5a5711", 200, Some("4a5a5711"), &bad("NotFound"));
    let pods = [first.1.clone(), second.1.clone()];
    let runs = [run(&first.0, &pods, 1000), run(&second.0, &pods, 1000)];
    let mut together = DataSyncStatus::default();
    note(&mut together, &runs, Some("4a5a5711"), None);
    let mut one_by_one = DataSyncStatus::default();
    note(&mut one_by_one, &runs[..1], Some("50a31a12"), None);
    note(&mut one_by_one, &runs, Some("4a5a5711"), None);
    for status in [&together, &one_by_one] {
        assert_eq!(status.failure.as_ref().map(|failure| failure.reason.as_str()), Some("NotFound"));
        assert_eq!(status.published.as_ref().map(|published| published.set.as_str()), Some(SET));
        assert_eq!(status.asked.as_deref(), Some("4a5a5711"));
    }
    assert_eq!(together, one_by_one);
    // One that is seen late counts too, and none twice.
    let late = ended("csv-sync-29", 199, None, &bad("Unreachable"));
    let mut status = together.clone();
    note(&mut status, &[run(&late.0, &[late.1], 1000), runs[1].clone()], Some("4a5a5711"), None);
    assert_eq!(status.failure.as_ref().map(|failure| failure.times), Some(2));
    assert_eq!(status.noted, ["csv-sync-29", "csv-sync-4a5a5711"]);
}

#[test]
fn an_errand_that_says_nothing_is_told_by_what_ended_it() {
    let reason = |job: &Job, pod: &Pod| match run(job, std::slice::from_ref(pod), 1000).end.expect("it ended").result {
        Ok(result) => panic!("{result:?}"),
        Err((reason, message)) => (reason, message),
    };
    let (job, mut pod) = ended("csv-sync-1", 100, None, "");
    let (label, message) = reason(&job, &pod);
    assert_eq!(label, "NoResult");
    assert!(message.contains("exit code 1") && message.contains("kubectl logs job/csv-sync-1"), "{message}");
    let state = pod.status.as_mut().and_then(|status| status.container_statuses.as_mut()).expect("a container");
    let terminated = state[0].state.as_mut().and_then(|state| state.terminated.as_mut()).expect("its end");
    (terminated.reason, terminated.exit_code) = (Some("OOMKilled".into()), 137);
    let (label, message) = reason(&job, &pod);
    assert!(label == "OOMKilled" || message.contains("memory"), "{label}: {message}");
    let (mut job, pod) = ended("csv-sync-1", 100, None, "");
    let conditions = job.status.as_mut().and_then(|status| status.conditions.as_mut()).expect("conditions");
    conditions[0].reason = Some("DeadlineExceeded".into());
    let (label, message) = reason(&job, &pod);
    assert!(label == "TimedOut" && message.contains("spec.timeout"), "{label}: {message}");
}

fn concluded(
    change: &Value,
    status: &mut DataSyncStatus,
    trouble: Option<&str>,
    now: i64,
) -> (String, Option<Duration>) {
    let (outcome, look) =
        conclude(&valid(change).expect("valid"), status, trouble, &Followed::Nothing, Some(1), &at(now));
    let said = match outcome {
        Outcome::Ready { reason, message } => format!("ready {reason}: {message}"),
        Outcome::InProgress { reason, message } => format!("in progress {reason}: {message}"),
        Outcome::Failed { reason, message } => format!("failed {reason}: {message}"),
        Outcome::Stalled { reason, message } => format!("stalled {reason}: {message}"),
    };
    (said, look)
}

#[test]
fn a_failed_sync_keeps_it_ready_until_the_data_is_too_old() {
    let mut status = DataSyncStatus::default();
    assert_eq!(concluded(&json!({}), &mut status, None, 0).0, "in progress Syncing: The first sync is on its way");
    let mut failed = noted(&status, &[ended("csv-sync-1", 50, Some("a"), &bad("Unreachable"))]);
    let (said, _) = concluded(&json!({}), &mut failed, None, 60);
    assert_eq!(
        said,
        "failed Unreachable: Nothing is published yet, because the sync failed: it failed with Unreachable"
    );
    let mut status = noted(&failed, &[ended("csv-sync-2", 100, None, &good("Published", SET))]);
    let synced = |status: &DataSyncStatus| condition::get(&status.conditions, "Synced").map(|c| c.status.clone());
    let ready = format!("ready Published: Published: 2 files (70 bytes) of set {SET}");
    assert_eq!(concluded(&json!({}), &mut status, None, 110), (ready.clone(), None));
    assert_eq!(synced(&status).as_deref(), Some("True"));
    let stale = json!({"maxStale": "5m"});
    assert_eq!(
        concluded(&stale, &mut status, None, 110),
        (ready, Some(Duration::from_secs(290))),
        "it is looked when it is too old"
    );
    let mut status = noted(&status, &[ended("csv-sync-3", 200, None, &bad("Unreachable"))]);
    let (said, _) = concluded(&stale, &mut status, None, 210);
    assert!(
        said.starts_with("ready LastSyncFailed: ")
            && said.ends_with("the last sync failed: it failed with Unreachable"),
        "{said}"
    );
    assert_eq!(synced(&status).as_deref(), Some("False"));
    let (said, _) = concluded(&stale, &mut status, None, 400);
    assert!(said.starts_with("failed Stale: ") && said.contains("1970-01-01T00:01:40Z"), "{said}");
    assert!(concluded(&json!({"suspend": true}), &mut status, None, 400).0.starts_with("ready Suspended"));
}

#[test]
fn a_first_sync_that_does_not_get_on_says_why() {
    let job: Job = serde_json::from_value(
        json!({"metadata": {"name": "csv-sync-1", "creationTimestamp": at(1)}, "spec": {"template": {}}}),
    )
    .expect("a Job");
    let mut status = DataSyncStatus::default();
    note(&mut status, &[run(&job, &[], 2)], None, None);
    let (said, look) = concluded(&json!({}), &mut status, Some("the image cannot be pulled"), 2);
    assert_eq!(
        said,
        "in progress Syncing: The first sync does not get on (Job csv-sync-1): the image cannot be pulled"
    );
    assert_eq!(look, Some(Duration::from_secs(15)));
}

#[test]
fn who_asked_is_answered_by_the_time_of_the_wish_whatever_came_of_it() {
    let asks = |second: i64, words: &str| {
        let (mut job, pod) = ended(&format!("csv-sync-{second}"), second, Some("a"), words);
        let annotations = job.metadata.annotations.get_or_insert_default();
        annotations.insert(ANNOTATION_RECONCILE_AT.to_owned(), stamp(&at(second - 10)));
        (job, pod)
    };
    let failed = noted(&DataSyncStatus::default(), &[asks(200, &bad("Unreachable"))]);
    assert_eq!(failed.asked_at, Some(at(190)));
    // One that ends later and was asked for before tells nothing new.
    let (late, pod) = asks(150, &good("Published", SET));
    assert_eq!(noted(&failed, &[(late, pod)]).asked_at, Some(at(190)));
    let of_the_schedule = noted(&failed, &[ended("csv-sync-9", 300, None, &good("Published", SET))]);
    assert_eq!(of_the_schedule.asked_at, Some(at(190)));
}

#[test]
fn a_sync_is_made_once_for_each_spec_claim_and_wish() {
    let sync = valid(&json!({})).expect("valid");
    let id = |generation, claim, asked| Request::of(&sync, generation, claim, asked, None).id;
    let first = id(1, "c1", None);
    assert_eq!(first, id(1, "c1", None));
    let others = [id(2, "c1", None), id(1, "c2", None), id(1, "c1", Some("now")), id(1, "c1", Some("later"))];
    assert!(!others.contains(&first) && others[2] != others[3]);

    let request = || Request::of(&sync, 1, "c1", None, None);
    let mut status = DataSyncStatus::default();
    assert_eq!(due(&sync, request(), &status, false, 0), Due::Now(request()));
    status = noted(&status, &[ended(&request().job_name("csv"), 100, Some(&first), &bad("Unreachable"))]);
    // Nothing is published, so it is tried again although there is a schedule.
    assert_eq!(due(&sync, request(), &status, false, 110), Due::In(Duration::from_secs(50)));
    assert_eq!(due(&sync, request(), &status, true, 170), Due::No, "one is under way");
    let Due::Now(again) = due(&sync, request(), &status, false, 170) else { panic!("it is due") };
    assert_eq!(again.job_name("csv"), format!("csv-sync-{first}-1"));
    status = noted(&status, &[ended(&again.job_name("csv"), 200, Some(&first), &bad("Unreachable"))]);
    assert_eq!(due(&sync, request(), &status, false, 200), Due::In(Duration::from_secs(120)), "ever later");
    status = noted(&status, &[ended("csv-sync-29", 300, None, &good("Published", SET))]);
    assert_eq!(due(&sync, request(), &status, false, 300), Due::No);
    status = noted(&status, &[ended("csv-sync-30", 400, None, &bad("Unreachable"))]);
    assert_eq!(due(&sync, request(), &status, false, 9000), Due::No, "the schedule tries again");
    let by_hand = valid(&json!({"schedule": null})).expect("valid");
    assert!(matches!(due(&by_hand, request(), &status, false, 9000), Due::Now(_)));
    assert_eq!(due(&valid(&json!({"suspend": true})).expect("valid"), id_of_nothing(), &status, false, 0), Due::No);
}

#[test]
fn a_commit_is_synced_once_and_what_cannot_be_followed_is_told_and_asks_for_nothing_new() {
    let git = json!({"schedule": null, "guard": null,
        "source": {"git": {"url": "https://git.example.org/app.git", "ref": {"branch": "dev"}, "path": "web"}}});
    let sync = valid(&git).expect("valid");
    let request = |commit: &Followed| Some(Request::of(&sync, 1, "c1", None, commit.asks_for()?));
    let (one, two) = (Followed::At("1".repeat(40)), Followed::At("2".repeat(40)));
    let failing =
        |last: Option<String>| Followed::Failing { reason: "Unreachable".into(), message: "no answer".into(), last };
    assert_eq!(request(&Followed::Pending), None);
    assert_eq!(request(&failing(None)), None);
    let first = request(&one).expect("it is asked for");
    assert_ne!(request(&two), Some(first.clone()));
    assert_eq!(request(&failing(Some("1".repeat(40)))), Some(first.clone()), "nothing that was not asked for before");

    let words = good("Published", SET).replace("{\"", &format!("{{\"commit\":\"{}\",\"", "1".repeat(40)));
    let ran = ended(&first.job_name("csv"), 100, Some(&first.id), &words);
    let status = noted(&DataSyncStatus::default(), &[ran]);
    assert_eq!(status.last_sync.as_ref().and_then(|last| last.commit.clone()), Some("1".repeat(40)));
    assert_eq!(due(&sync, first, &status, false, 110), Due::No);
    let mut told = status.clone();
    let (outcome, _) = conclude(&sync, &mut told, None, &failing(Some("1".repeat(40))), Some(1), &at(120));
    let Outcome::Ready { reason, message } = outcome else { panic!("what is published stays") };
    assert_eq!(reason, LAST_SYNC_FAILED);
    assert!(message.contains("commit 111111111111") && message.ends_with("cannot be followed: no answer"), "{message}");
    assert_eq!(news(&status, &told).len(), 1, "a person hears of it");
    let (outcome, _) = conclude(&sync, &mut DataSyncStatus::default(), None, &failing(None), Some(1), &at(120));
    assert!(matches!(outcome, Outcome::Failed { reason, .. } if reason == "Unreachable"));

    for (change, said) in [
        (json!({"url": "https://git.example.org/app.git", "ref": {}}), "exactly one of branch"),
        (json!({"url": "https://git.example.org/app.git", "ref": {"branch": "dev"}, "path": "../up"}), "`..`"),
    ] {
        let wrong = valid(&json!({"guard": null, "source": {"git": change}})).expect_err("refused").to_string();
        assert!(wrong.contains(said), "{wrong}");
    }
    let both = json!({"source": {"git": {"url": "https://h/a", "ref": {"branch": "b"}}, "http": {"url": "https://h/a", "to": "a"}}});
    assert!(valid(&both).expect_err("refused").to_string().contains("2 sources"));
}

/// At that time of 28 March 2027, when London's clock skips from 01:00 UTC to two.
fn on_the_day(time: &str) -> jiff::Timestamp {
    format!("2027-03-28T{time}Z").parse().expect("a time")
}

#[test]
fn what_the_schedule_missed_is_made_up_for_once() {
    let nightly = json!({"schedule": "30 1 * * *", "timeZone": "Europe/London"});
    let sync = valid(&nightly).expect("valid");
    let ran = |time: &str| ended("csv-data-1", on_the_day(time).as_second(), None, &good("Published", SET));
    let mut status = noted(&DataSyncStatus::default(), &[]);
    assert_eq!(catch_up(&sync, &status, on_the_day("12:00:00")), Catch::Nothing, "the first sync has not ended");
    status = noted(&status, &[ran("00:10:00")]);
    let skipped = on_the_day("01:00:00");
    assert_eq!(catch_up(&sync, &status, on_the_day("00:59:59")), Catch::Look(skipped));
    assert_eq!(catch_up(&sync, &status, skipped), Catch::Up(Missed { at: skipped }), "01:30 does not come");
    // Whoever looks later means the same one, and one that runs is enough.
    assert_eq!(catch_up(&sync, &status, on_the_day("23:00:00")), Catch::Up(Missed { at: skipped }));
    let (mut running, pod) = ran("02:00:00");
    running.status = None;
    let busy = noted(&status, &[(running, pod)]);
    assert_eq!(catch_up(&sync, &busy, on_the_day("02:00:00")), Catch::Nothing);
    status = noted(&status, &[ended("csv-data-2", on_the_day("01:02:00").as_second(), None, &bad("Unreachable"))]);
    let tomorrow: jiff::Timestamp = "2027-03-29T00:30:00Z".parse().expect("a time");
    let later = |minutes| tomorrow + jiff::SignedDuration::from_mins(minutes);
    assert_eq!(catch_up(&sync, &status, on_the_day("12:00:00")), Catch::Look(later(11)), "also where it failed");
    // Kubernetes has ten minutes to begin.
    assert_eq!(catch_up(&sync, &status, later(10)), Catch::Look(later(11)));
    assert_eq!(catch_up(&sync, &status, later(11)), Catch::Up(Missed { at: tomorrow }));

    for change in [json!({"schedule": null}), json!({"suspend": true, "schedule": "30 1 * * *"})] {
        assert_eq!(catch_up(&valid(&change).expect("valid"), &status, later(60)), Catch::Nothing, "{change}");
    }
    let image = ErrandImage::of_this_version();
    let job = |at, claim| made_up_job(&sync, &image, Missed { at }, claim).metadata;
    let name = job(skipped, "c1").name;
    assert!(name == job(skipped, "c1").name && name.as_ref().is_some_and(|name| name.starts_with("csv-sync-")));
    assert!(name != job(tomorrow, "c1").name && name != job(skipped, "c2").name);
    assert_eq!(job(skipped, "c1").annotations, None, "nobody asked for it");
}

#[test]
fn when_the_schedule_comes_next_is_noted_when_something_happens_and_not_when_time_passes() {
    let sync = valid(&json!({"schedule": "30 1 * * *", "timeZone": "Europe/London"})).expect("valid");
    let after = |before: &DataSyncStatus, mut status: DataSyncStatus, sync: &ValidatedSync, generation, now: &str| {
        note_next(sync, &mut status, before, Some(generation), on_the_day(now));
        status
    };
    let new = DataSyncStatus::default();
    let first = after(&new, new.clone(), &sync, 1, "00:10:00");
    assert_eq!(first.next, Some(Time(on_the_day("01:00:00"))), "drover makes up for what is skipped");
    let first = DataSyncStatus { observed_generation: Some(1), ..first };
    assert_eq!(after(&first, first.clone(), &sync, 1, "12:00:00"), first, "time passes");
    let ran = noted(&first, &[ended("csv-data-1", on_the_day("01:01:00").as_second(), None, &good("Published", SET))]);
    let ran = after(&first, ran, &sync, 1, "01:01:05");
    assert_eq!(ran.next.as_ref().map(|next| next.0.to_string()).as_deref(), Some("2027-03-29T00:30:00Z"));
    let other = valid(&json!({"schedule": "0 12 * * *"})).expect("valid");
    assert_eq!(after(&ran, ran.clone(), &other, 2, "02:00:00").next, Some(Time(on_the_day("12:00:00"))));
    let suspended = valid(&json!({"schedule": "0 12 * * *", "suspend": true})).expect("valid");
    assert_eq!(after(&ran, ran.clone(), &suspended, 2, "02:00:00").next, None);
}

#[test]
fn only_a_schedule_of_some_hours_tells_its_syncs_which_time_they_are_for() {
    let arguments = |schedule: &str, zone: &str| {
        let sync = valid(&json!({"schedule": schedule, "timeZone": zone})).expect("valid");
        let built = children(&sync, &ErrandImage::of_this_version()).cron_job.remove(0);
        let built = serde_json::to_value(built.json()).expect("an object is JSON");
        let pod = &built["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0];
        let command: Vec<&str> =
            pod["command"].as_array().expect("a command").iter().filter_map(Value::as_str).collect();
        (command[8..].join(" "), pod["env"][0]["valueFrom"]["fieldRef"]["fieldPath"].clone())
    };
    assert_eq!(arguments("*/10 * * * *", "Europe/London"), (String::new(), Value::Null));
    let told = (
        "--scheduled $(DROVER_JOB) --time-zone Europe/London".to_owned(),
        json!("metadata.labels['batch.kubernetes.io/job-name']"),
    );
    assert_eq!(arguments("30 1 * * *", "Europe/London"), told);
}

fn id_of_nothing() -> Request {
    Request { id: "none".into(), attempt: 0, asked: None }
}

#[test]
fn sets_that_pods_mount_are_in_use() {
    let pod = |phase: &str, claim: &str, folder: &str| -> Pod {
        serde_json::from_value(json!({"status": {"phase": phase}, "spec": {
            "volumes": [{"name": "data", "persistentVolumeClaim": {"claimName": claim}}, {"name": "tmp", "emptyDir": {}}],
            "containers": [{"name": "app", "volumeMounts": [{"name": "data", "mountPath": "/data", "subPath": format!("{folder}/below")},
                {"name": "tmp", "mountPath": "/tmp", "subPath": format!("{SETS}/{OTHER}")}]}]}}))
        .expect("a pod")
    };
    let (one, other) = (format!("{SETS}/{SET}"), format!("{SETS}/{OTHER}"));
    let pods = [
        pod("Running", "csv-sync", &one),
        pod("Pending", "csv-sync", &one),
        pod("Succeeded", "csv-sync", &other),
        pod("Running", "another", &other),
        pod("Running", "csv-sync", "a/folder"),
    ];
    assert_eq!(sets_in_use(&pods, "csv-sync"), [SET]);
}

#[test]
fn a_spec_that_makes_no_sense_is_refused_with_a_sentence() {
    let refused = |change: Value| valid(&change).expect_err("refused").to_string();
    assert!(refused(json!({"source": {}})).contains("exactly one of s3, http or git"));
    let url = |url: &str| json!({"source": {"http": {"url": url, "to": "a.csv"}}});
    assert!(refused(url("https://ada:secret@h/a")).contains("Secret"));
    assert!(!refused(url("https://ada:secret@h/a")).contains("secret@"));
    assert!(refused(json!({"source": {"http": {"url": "https://h/a", "to": "../a.csv"}}})).contains("to"));
    assert!(refused(json!({"schedule": "0 0 * * * *"})).contains("spec.schedule"));
    assert!(refused(json!({"guard": {"maxShrink": "101%"}})).contains("maxShrink"));
}

#[test]
fn the_objects_are_as_recorded() {
    let image = ErrandImage { reference: "registry/drover:1".into(), pull_secrets: vec!["registry".into()] };
    let change = json!({"timeZone": "Europe/London", "source": {"s3": {"endpoint": "https://s3.example.org", "bucket": "plots",
        "secretRef": {"name": "keys"}, "paths": [{"from": "layers/", "to": "layers/"}]}}, "guard": null, "publish": "Rollout"});
    let sync = valid(&change).expect("valid");
    let mut objects: Vec<Object> = children(&sync, &image).in_order().into_iter().flatten().collect();
    objects.push(Object::built(&job(
        &sync,
        &image,
        &Request { id: "0a1b2c3d".into(), attempt: 2, asked: Some("2026-11-27T08:00:00Z".into()) },
    )));
    let objects: Vec<_> = objects.iter().map(Object::json).collect();
    let text = format!("{}\n", serde_json::to_string_pretty(&objects).expect("objects are JSON"));
    assert!(text == include_str!("golden.json"), "golden.json is not what is built, which is:\n{text}");
}
