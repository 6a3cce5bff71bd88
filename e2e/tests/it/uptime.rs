//! Apps that are awake in windows only.

use std::time::Duration;

use drover_crds::{ANNOTATION_AWAKE_UNTIL, JobOutcome, RolloutStatus, UptimeState, WebAppStatus};
use drover_e2e::{App, Hello, Namespace, Stage, eventually, ready, repository, steadily};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::ResourceExt as _;
use kube::api::ListParams;

use crate::moved_clock::MovedClock;

/// The testbed of the test with another clock, which takes turns with others of that number.
const NUMBER: u32 = 51;
/// How long pods may take to go or to come on a machine that is busy with other tests.
const PODS: Duration = Duration::from_secs(90);
/// How soon the clock on the wall is seen to have been set.
const A_LOOK: Duration = Duration::from_secs(40);
const AN_HOUR: Duration = Duration::from_secs(3600);

/// Asleep until somebody wakes it.
const BY_HAND: &str = "uptime: {windows: []}\nreplicas: 3";

fn state(rollout: &RolloutStatus) -> Option<UptimeState> {
    rollout.uptime.as_ref().map(|uptime| uptime.state)
}

/// Waits until `Ready` has that reason and status.
async fn says(app: &App<'_>, reason: &str, status: &str) -> WebAppStatus {
    app.comes_to(&format!("says {reason}"), |now| {
        let ready = ready(&now.conditions)?;
        let is_so = (ready.reason.as_str(), ready.status.as_str()) == (reason, status);
        if is_so { Ok(now.clone()) } else { Err(format!("{ready:?} {:?}", now.rollout.uptime)) }
    })
    .await
}

async fn pods_become(app: &App<'_>, wanted: usize) {
    eventually(&format!("there are {wanted} pods"), PODS, async || match app.pods().await.len() {
        count if count == wanted => Ok(()),
        count => Err(format!("{count}")),
    })
    .await;
}

fn drover(namespace: &Namespace, arguments: &[&str]) -> String {
    let finished = namespace.drover(&[&["-n", namespace.name()], arguments].concat());
    assert_eq!(finished.code, 0, "{arguments:?}: {}", finished.said());
    finished.stdout
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_sleeps_until_it_is_woken_and_comes_back_as_its_spec_says_each_time() {
    let namespace = Namespace::new("uptime").await;
    let repo = namespace.repository("web");
    let jobs = "jobs: [{name: tick, schedule: '0 4 * * 1', command: [/hello, once, '0']}]";
    let hello = |tag: &str| Hello::new("web", tag, &namespace.host()).spec(BY_HAND).spec(jobs).yaml();
    let first = repo.push(&[("web.yaml", &hello("1"))], "Sleep");
    let environment = namespace.follow(&repo).await;
    // Nobody who waits for the push waits for a night.
    environment.is_ready_at(&first).await;
    let app = namespace.app("web");
    let waits = says(&app, "WaitsForWindow", "Unknown").await;
    assert!(waits.rollout.history.is_empty() && app.pods().await.is_empty(), "{waits:?}");
    drover(&namespace, &["status"]);

    for _ in 0..2 {
        let woken = drover(&namespace, &["wake", "web", "--for", "1h"]);
        assert!(woken.contains("serves, and is awake until"), "{woken}");
        let live = app.is_live_at(&first).await;
        assert_eq!((live.rollout.release.map(|r| r.number), app.pods().await.len()), (Some(1), 3));
        let slept = drover(&namespace, &["sleep", "web"]);
        assert!(slept.contains("asleep until somebody wakes it"), "{slept}");
        says(&app, "ScheduledDown", "True").await;
        pods_become(&app, 0).await;
        let budget = namespace.get::<PodDisruptionBudget>("web").await;
        assert!(budget.is_some(), "what stands around the pods stays");
    }

    // A bad release that comes in its sleep is neither live nor failed, and changes no job; when the app wakes, the last good one is back.
    let image = |job: &CronJob| {
        let template = &job.spec.job_template.spec.as_ref()?.template;
        template.spec.as_ref()?.containers.first()?.image.clone()
    };
    let of_live = namespace.get::<CronJob>("web-tick").await.as_ref().and_then(image);
    let second = repo.push(&[("web.yaml", &hello("broken"))], "Break it");
    environment.is_ready_at(&second).await;
    let waits = says(&app, "WaitsForWindow", "Unknown").await;
    assert_eq!(waits.rollout.release.map(|release| release.number), Some(2));
    assert_eq!(namespace.get::<CronJob>("web-tick").await.as_ref().and_then(image), of_live);
    drover(&namespace, &["wake", "web", "--for", "1h", "--no-wait"]);
    app.comes_to("has the release back that served", |status| {
        let message = ready(&status.conditions)?.message;
        if message.starts_with("Release 2 failed") && message.contains("; release 1 was put back and serves") {
            Ok(())
        } else {
            Err(message)
        }
    })
    .await;
    app.answers("/", "hello from version 1").await;

    // Another uptime is no other release.
    let always = hello("broken").replace("windows: []", "windows: [{from: '00:00', to: '24:00'}]");
    let third = repo.push(&[("web.yaml", &always)], "Always");
    environment.has_applied(&third).await;
    app.comes_to("stands for the commit", |status| {
        let release = status.rollout.release.as_ref().ok_or("no release")?;
        let is_so = release.commit.as_deref() == Some(&*third) && release.number == 2;
        if is_so { Ok(()) } else { Err(format!("{release:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_documentation_writes_is_taken() {
    let namespace = Namespace::new("uptimedocs").await;
    let page = std::fs::read_to_string(repository().join("docs/src/howto/uptime.md")).expect("the page can be read");
    let examples: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("  uptime: ")).collect();
    assert!(examples.len() >= 3, "{examples:?}");
    for example in examples {
        namespace.kubectl(&["delete", "webapp", "web", "--ignore-not-found"]);
        let more = format!("replicas: 0\nuptime: {example}");
        namespace.apply(&Hello::new("web", "1", &namespace.host()).spec(&more).yaml());
        namespace
            .app("web")
            .comes_to(&format!("is told by {example}"), |status| match &status.rollout.uptime {
                Some(uptime) if ready(&status.conditions)?.reason != "InvalidSpec" && !uptime.message.is_empty() => {
                    Ok(())
                }
                other => Err(format!("{other:?}")),
            })
            .await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cannot_sleep_or_wake_is_told_what_to_do() {
    let namespace = Namespace::new("uptimeinput").await;
    let app = |uptime: &str| Hello::new("web", "1", &namespace.host()).spec(&format!("replicas: 0\n{uptime}")).yaml();
    let refused = |uptime: &str| {
        let folder = tempfile::tempdir().expect("the temporary folder is ours to write");
        std::fs::write(folder.path().join("web.yaml"), app(uptime)).expect("the file can be written");
        let rendered = namespace.drover(&["render", folder.path().to_str().expect("a name in UTF-8")]);
        assert_ne!(rendered.code, 0, "{uptime}");
        rendered.said()
    };
    for (uptime, told) in [
        ("uptime: {windows: [{from: '8', to: '22:00'}]}", "hours and minutes in quotes"),
        ("uptime: {windows: [{from: '08:00', to: '24:30'}]}", "hours and minutes in quotes"),
        ("uptime: {windows: [{from: '08:00', to: '08:00'}]}", "begins and ends at"),
        ("uptime: {timeZone: BST, windows: []}", "\"BST\" is no time zone"),
    ] {
        let said = refused(uptime);
        assert!(said.contains(told), "{uptime}: {said}");
    }
    for (uptime, told) in [
        ("uptime: {windows: [{from: '8', to: '22:00'}]}", "from is written as hours and minutes"),
        ("uptime: {windows: [{from: '08:00', to: '24:30'}]}", "to is written as hours and minutes"),
        ("uptime: {windows: [{from: '08:00', to: '08:00'}]}", "a window begins and ends at the same time"),
        ("uptime: {windows: [{days: [Mon], from: '08:00', to: '09:00'}]}", "Unsupported value: \"Mon\""),
    ] {
        let file = tempfile::NamedTempFile::new().expect("the temporary folder is ours to write");
        std::fs::write(file.path(), app(uptime)).expect("the file can be written");
        let path = file.path().to_str().expect("a name in UTF-8").to_owned();
        let mut kubectl = namespace.bed().program("kubectl");
        kubectl.args(["--namespace", namespace.name(), "apply", "-f", &path]);
        let output = kubectl.output().expect("kubectl runs");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(told), "{uptime}: {said}");
    }
    // What only drover knows is said in the status, and what was good goes on.
    namespace.apply(&app("uptime: {windows: []}"));
    says(&namespace.app("web"), "WaitsForWindow", "Unknown").await;
    namespace.apply(&app("uptime: {timeZone: europe/london, windows: []}"));
    let status = says(&namespace.app("web"), "InvalidSpec", "False").await;
    let message = ready(&status.conditions).expect("it is said").message;
    assert!(
        message.contains("such as Europe/London") && state(&status.rollout) == Some(UptimeState::Asleep),
        "{message}"
    );

    for (arguments, told) in
        [(&["sleep", "web"][..], "cannot be read"), (&["wake", "wbe", "--for", "1h"], "there is `web`")]
    {
        let finished = namespace.drover(&[&["-n", namespace.name()], arguments].concat());
        assert!(finished.code == 1 && finished.stderr.contains(told), "{arguments:?}: {}", finished.said());
    }
    namespace.apply(&app("uptime: {windows: []}"));
    let finished = namespace.drover(&["-n", namespace.name(), "wake", "web"]);
    assert!(finished.code == 1 && finished.stderr.contains("`drover wake web --for 2h`"), "{}", finished.said());
    namespace.kubectl(&["annotate", "webapp", "web", &format!("{ANNOTATION_AWAKE_UNTIL}=tomorrow")]);
    namespace
        .app("web")
        .comes_to("says that this is no time", |status| {
            let uptime = status.rollout.uptime.as_ref().ok_or("nothing is said")?;
            let is_said = uptime.message.contains("is \"tomorrow\", which is no time");
            if is_said { Ok(()) } else { Err(format!("{uptime:?}")) }
        })
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_leaves_an_app_asleep_and_goes_on_when_it_wakes() {
    let namespace = Namespace::new("uptimescaled").await;
    namespace.apply(&Hello::new("web", "1", &namespace.host()).spec("uptime: {windows: []}").yaml());
    let app = namespace.app("web");
    drover(&namespace, &["wake", "web", "--for", "1h"]);
    namespace.apply(
        "{apiVersion: autoscaling/v2, kind: HorizontalPodAutoscaler, metadata: {name: web}, spec: {minReplicas: 2, maxReplicas: 4,
          scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}}}",
    );
    for _ in 0..2 {
        pods_become(&app, 2).await;
        drover(&namespace, &["sleep", "web"]);
        says(&app, "ScheduledDown", "True").await;
        pods_become(&app, 0).await;
        eventually("the autoscaler has seen it", PODS, async || {
            let found = namespace.get::<HorizontalPodAutoscaler>("web").await.and_then(|hpa| hpa.status);
            let conditions = found.and_then(|status| status.conditions).unwrap_or_default();
            let off = conditions.iter().find(|c| c.type_ == "ScalingActive").and_then(|c| c.reason.clone());
            if off.as_deref() == Some("ScalingDisabled") { Ok(()) } else { Err(format!("{off:?}")) }
        })
        .await;
        let version = app.deployment().await.resource_version();
        steadily("nobody writes", Duration::from_secs(20), async || {
            let now = app.deployment().await.resource_version();
            if now == version { Ok(()) } else { Err(format!("{version:?} became {now:?}")) }
        })
        .await;
        // As KEDA does when there is work.
        namespace.kubectl(&["scale", "deployment", "web", "--replicas", "1"]);
        replicas_become(&namespace, 0, PODS).await;
        pods_become(&app, 0).await;
        drover(&namespace, &["wake", "web", "--for", "1h"]);
    }
    pods_become(&app, 2).await;
}

/// Waits until so many pods are asked for, which also a control plane without nodes shows.
async fn replicas_become(namespace: &Namespace, wanted: i32, limit: Duration) {
    eventually(&format!("{wanted} pods are asked for"), limit, async || {
        let found = namespace.get::<Deployment>("web").await.and_then(|deployment| deployment.spec?.replicas);
        if found == Some(wanted) { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_is_kept_by_the_clock_on_the_wall_whatever_was_missed() {
    let stage = Stage::enter(NUMBER).await;
    let clock = MovedClock::new();
    let start = || clock.drover(&stage).start();
    let namespace = Namespace::on(stage.bed(), "window").await;
    let drover = start();
    drover.leads_within(A_LOOK).await;
    // Open now, for at least an hour and at most two, and again tomorrow.
    let shown = |at: Timestamp| at.strftime("%H:%M").to_string();
    let now = Timestamp::now();
    let (from, to) = (shown(now - SignedDuration::from_mins(30)), shown(now + SignedDuration::from_mins(90)));
    namespace.apply(&format!(
        "apiVersion: drover.dev/v1alpha1\nkind: WebApp\nmetadata: {{name: web}}\nspec:\n  image: a.test/web:1\n  imagePullPolicy: Never\n  ports: [{{name: http, port: 8080}}]\n  replicas: 3\n  uptime: {{windows: [{{from: '{from}', to: '{to}'}}]}}\n"
    ));
    replicas_become(&namespace, 3, A_LOOK).await;
    let app = namespace.app("web");

    // The window ends, while nothing else happens.
    clock.set_ahead(AN_HOUR * 2);
    replicas_become(&namespace, 0, A_LOOK).await;
    let status = says(&app, "WaitsForWindow", "Unknown").await;
    let until = status.rollout.asleep_until.as_ref().expect("it says until when").0;
    assert_eq!((shown(until), state(&status.rollout)), (from, Some(UptimeState::Asleep)));
    // A clock that is set back, as forth.
    clock.set_ahead(Duration::ZERO);
    replicas_become(&namespace, 3, A_LOOK).await;
    clock.set_ahead(AN_HOUR * 2);
    replicas_become(&namespace, 0, A_LOOK).await;

    // It begins again while drover is away.
    drover.stop();
    clock.set_ahead(AN_HOUR * 24);
    let drover = start();
    drover.leads_within(A_LOOK).await;
    replicas_become(&namespace, 3, Duration::from_secs(10)).await;
    let status = app
        .comes_to("says that it is awake", |status| match status.rollout.uptime.as_ref() {
            Some(uptime) if uptime.state != UptimeState::Asleep => Ok(status.clone()),
            other => Err(format!("{other:?}")),
        })
        .await;
    assert_eq!(status.rollout.asleep_until, None);
    let version = app.deployment().await.resource_version();

    // Once more, over another restart: three pods are three pods.
    clock.set_ahead(AN_HOUR * 26);
    replicas_become(&namespace, 0, A_LOOK).await;
    drover.stop();
    let drover = start();
    drover.leads_within(A_LOOK).await;
    clock.set_ahead(AN_HOUR * 48);
    replicas_become(&namespace, 3, A_LOOK).await;
    assert_ne!(app.deployment().await.resource_version(), version);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_before_sleep_run_once_each_time_and_keep_nobody_awake() {
    let namespace = Namespace::new("beforesleep").await;
    let jobs = "jobs:
- {name: count, at: BeforeSleep, command: [/hello, once, '0'], deadline: 60s}
- {name: mail, at: BeforeSleep, command: [/hello, once, '3'], deadline: 60s}";
    namespace.apply(&Hello::new("web", "1", &namespace.host()).spec("uptime: {windows: []}").spec(jobs).yaml());
    let app = namespace.app("web");
    says(&app, "WaitsForWindow", "Unknown").await;
    let jobs = async || namespace.api::<Job>().list(&ListParams::default()).await.expect("Jobs can be listed").items;
    assert!(jobs().await.is_empty(), "who was not awake does not fall asleep");
    for times in 1..=2 {
        drover(&namespace, &["wake", "web", "--for", "1h"]);
        drover(&namespace, &["sleep", "web"]);
        pods_become(&app, 0).await;
        let slept = says(&app, "ScheduledDown", "True").await.rollout.uptime.expect("told");
        let ends: Vec<_> = slept.jobs.iter().map(|job| (job.name.as_str(), job.outcome)).collect();
        assert_eq!(ends, [("count", Some(JobOutcome::Succeeded)), ("mail", Some(JobOutcome::Failed))]);
        let problem = slept.problem.expect("one failed");
        assert!(
            problem.message.contains("mail") && problem.log.iter().any(|line| line.contains("once")),
            "{problem:?}"
        );
        let made = jobs().await;
        assert_eq!(made.len(), 2 * times, "{made:?}");
        let today = Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date().to_string();
        let day = |job: &Job| {
            let container = &job.spec.as_ref()?.template.spec.as_ref()?.containers[0];
            container.env.as_ref()?.iter().find(|variable| variable.name == "DROVER_DAY")?.value.clone()
        };
        assert!(made.iter().all(|job| day(job).as_ref() == Some(&today)), "{made:?}");
    }
    let said = drover(&namespace, &["status"]);
    assert!(said.contains("mail"), "{said}");
}
