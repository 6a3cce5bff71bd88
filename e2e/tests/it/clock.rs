//! What goes by the clock on the wall, at another time.

use std::time::Duration;

use drover_crds::condition::{CLOCK_CHANGE, get};
use drover_crds::{ANNOTATION_RECONCILE_AT, DataSync, DataSyncStatus, WebApp};
use drover_e2e::fault::clock::CLOCK;
use drover_e2e::{Controller, Namespace, Stage, eventually, steadily, within};
use jiff::tz::{Dst, TimeZone};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use crate::moved_clock::MovedClock;

/// The testbed of this test; that of the tests with a hurt API server, which take turns with it.
const NUMBER: u32 = 51;
/// Less than half of the minute for which drift is left after the first rounds of a war.
const SOON: Duration = Duration::from_secs(25);
const AN_HOUR: Duration = Duration::from_secs(3600);

/// Somebody sets what git sets.
async fn meddle(namespace: &Namespace) {
    let params = PatchParams { field_manager: Some("rival".into()), ..PatchParams::default() };
    let theirs = Patch::Merge(json!({"data": {"text": "theirs"}}));
    namespace.api::<ConfigMap>().patch("a", &params, &theirs).await.expect("anybody may set it");
}

/// drover is asked for a look, as by `drover reconcile`.
fn look_again(namespace: &Namespace, stamp: &str) {
    namespace.kubectl(&[
        "annotate",
        "environment",
        "prod",
        &format!("{ANNOTATION_RECONCILE_AT}={stamp}"),
        "--overwrite",
    ]);
}

async fn text(namespace: &Namespace) -> Result<String, String> {
    let map = namespace.get::<ConfigMap>("a").await.ok_or("it is gone")?;
    map.data.and_then(|mut data| data.remove("text")).ok_or_else(|| "it says nothing".to_owned())
}

async fn is_put_back(namespace: &Namespace) {
    within("what git says is put back", SOON, async || match text(namespace).await? {
        text if text == "ours" => Ok(()),
        text => Err(text),
    })
    .await;
}

/// How far that time is from now.
fn ahead(time: Timestamp) -> Duration {
    time.duration_since(Timestamp::now()).try_into().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_war_of_an_hour_ago_is_over_and_drover_itself_has_no_such_clock() {
    let stage = Stage::enter(NUMBER).await;
    let clock = MovedClock::new();
    let namespace = Namespace::on(stage.bed(), "clock").await;
    let repo = namespace.repository("maps");
    let map = |text: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{text: {text}}}\n");
    let first = repo.push(&[("map.yaml", &map("first"))], "First");

    clock.set_ahead(AN_HOUR);
    let unmoved = Controller::on(&stage).variable(CLOCK, clock.file()).start();
    unmoved.leads_within(Duration::from_secs(40)).await;
    let environment = namespace.follow(&repo).await;
    let status = environment.is_ready_at(&first).await;
    let at = status.applied.and_then(|applied| applied.at).expect("it says when").0;
    assert!(ahead(at) < AN_HOUR / 2, "drover goes by the clock of a test: {at}");
    unmoved.stop();

    clock.set_ahead(Duration::ZERO);
    let drover = clock.drover(&stage).start();
    drover.leads_within(Duration::from_secs(40)).await;
    let second = repo.push(&[("map.yaml", &map("ours"))], "Ours");
    environment.is_ready_at(&second).await;
    for _ in 0..3 {
        meddle(&namespace).await;
        is_put_back(&namespace).await;
    }
    meddle(&namespace).await;
    look_again(&namespace, "1");
    steadily("it is left for a while", Duration::from_secs(5), async || match text(&namespace).await? {
        text if text == "theirs" => Ok(()),
        text => Err(text),
    })
    .await;

    clock.set_ahead(AN_HOUR);
    look_again(&namespace, "2");
    is_put_back(&namespace).await;
    let third = repo.push(&[("map.yaml", &map("later"))], "Later");
    let status = environment.is_ready_at(&third).await;
    let at = status.applied.and_then(|applied| applied.at).expect("it says when").0;
    assert!(ahead(at) > AN_HOUR / 2, "it was applied at {at} by drover's clock");
}

/// When London's clock is put forward next, and so does not show half past one.
fn spring() -> Timestamp {
    let london = TimeZone::get("Europe/London").expect("a time zone");
    let changes = london.following(Timestamp::now()).find(|change| change.dst() == Dst::Yes);
    changes.expect("clocks are changed there").timestamp()
}

async fn synced(namespace: &Namespace) -> DataSyncStatus {
    namespace.get::<DataSync>("csv").await.and_then(|sync| sync.status).unwrap_or_default()
}

async fn jobs(namespace: &Namespace) -> Vec<Job> {
    namespace.api::<Job>().list(&ListParams::default()).await.expect("Jobs can be listed").items
}

/// Plays the pod of the newest sync, which no node runs: it has published something.
async fn play_the_pod_of(namespace: &Namespace, job: &str) {
    let pods = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={job}"));
    let pod = eventually(&format!("the Job {job} has a pod"), SOON, async || {
        let pods = namespace.api::<Pod>().list(&pods).await.map_err(|error| error.to_string())?.items;
        pods.first().map(ResourceExt::name_any).ok_or_else(|| "none".to_owned())
    })
    .await;
    let words = json!({"outcome": "Published", "set": "0123456789abcdef0123", "files": 1, "bytes": 7, "fetchedFiles": 1, "fetchedBytes": 7,
        "tookSeconds": 1, "reason": "Published", "message": "it is there"});
    let ended = json!({"exitCode": 0, "reason": "Completed", "message": words.to_string()});
    let container = json!({"name": "sync", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": {"terminated": ended}});
    let status = Patch::Merge(json!({"status": {"phase": "Succeeded", "containerStatuses": [container]}}));
    namespace.api::<Pod>().patch_status(&pod, &PatchParams::default(), &status).await.expect("a pod can be played");
}

/// Waits until both say of the clock change what `is_so` takes.
async fn both_say(namespace: &Namespace, what: &str, is_so: impl Fn(Option<&Condition>) -> bool) {
    eventually(what, SOON * 2, async || {
        let app = namespace.get::<WebApp>("web").await.and_then(|app| app.status).unwrap_or_default().conditions;
        let told = [app, synced(namespace).await.conditions];
        let told = told.each_ref().map(|conditions| get(conditions, CLOCK_CHANGE));
        if told.iter().all(|told| is_so(*told)) { Ok(()) } else { Err(format!("{told:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_clock_change_skips_is_told_the_day_before_and_a_sync_is_made_up_for_once() {
    let stage = Stage::enter(NUMBER).await;
    let clock = MovedClock::new();
    let drover = clock.drover(&stage).start();
    drover.leads_within(Duration::from_secs(40)).await;
    let namespace = Namespace::on(stage.bed(), "spring").await;
    // Half past one of that day alone, so that nothing else is missed until then.
    let spring = spring();
    let schedule = format!("{{schedule: '30 1 {} *', timeZone: Europe/London", spring.strftime("%-d %-m"));
    namespace.apply(&format!(
        "apiVersion: drover.dev/v1alpha1\nkind: WebApp\nmetadata: {{name: web}}\nspec:\n  image: a.test/web:1\n  imagePullPolicy: Never\n  ports: [{{name: http, port: 8080}}]\n  replicas: 0\n  jobs: [{schedule}, name: report, command: [report]}}]\n"
    ));
    namespace.apply(&format!(
        "{{apiVersion: drover.dev/v1alpha1, kind: DataSync, metadata: {{name: csv}}, spec: {schedule}, publish: Live, source: {{http: {{url: 'https://data.example.org/a.csv', to: a.csv}}}}, claim: {{resources: {{requests: {{storage: 1Mi}}}}, retentionPolicy: Delete}}}}}}"
    ));
    let job = eventually("the first sync is made", SOON, async || match &*jobs(&namespace).await {
        [job] => Ok(job.name_any()),
        other => Err(format!("{} Jobs", other.len())),
    })
    .await;
    play_the_pod_of(&namespace, &job).await;
    eventually("it is noted, and the next one", SOON, async || match synced(&namespace).await {
        status if status.published.is_some() && status.next.as_ref().is_some_and(|next| next.0 == spring) => Ok(()),
        status => Err(format!("{status:?}")),
    })
    .await;
    both_say(&namespace, "nobody speaks of it yet", |told| told.is_none()).await;

    // The day before, while nothing else happens.
    let to = |time: Timestamp| clock.set_ahead(ahead(time));
    to(spring - SignedDuration::from_hours(13));
    both_say(&namespace, "both say what is skipped, in UTC", |told| {
        told.is_some_and(|told| told.reason == "TimeSkipped" && told.message.contains("by a clock change at 01:00 UTC"))
    })
    .await;
    assert_eq!(jobs(&namespace).await.len(), 1, "nothing is due");

    // It comes: the sync that Kubernetes leaves out is made, and no second one.
    to(spring + SignedDuration::from_secs(5));
    let second = eventually("it is made up for", SOON * 2, async || {
        let names: Vec<String> = jobs(&namespace).await.iter().map(ResourceExt::name_any).collect();
        names.iter().find(|name| **name != job).cloned().ok_or_else(|| format!("{names:?}"))
    })
    .await;
    both_say(&namespace, "nobody speaks of it any more", |told| told.is_none()).await;
    play_the_pod_of(&namespace, &second).await;
    eventually("it is noted", SOON, async || match synced(&namespace).await.last_sync {
        Some(last) if last.job == second => Ok(()),
        last => Err(format!("{last:?}")),
    })
    .await;
    drover.stop();
    let again = clock.drover(&stage).start();
    again.leads_within(Duration::from_secs(40)).await;
    steadily("no other is made", Duration::from_secs(5), async || match jobs(&namespace).await.len() {
        2 => Ok(()),
        count => Err(format!("{count} Jobs")),
    })
    .await;
}
