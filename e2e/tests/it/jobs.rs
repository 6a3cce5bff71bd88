//! Programs that run beside an app and end: by a schedule, and by hand.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use drover_crds::{COMPONENT_JOB, LABEL_COMPONENT, ReleaseStep, WebAppStatus};
use drover_e2e::{Hello, Namespace, binary, eventually, ready, run};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::ListParams;

/// How long a job that runs each minute may take to have run.
const A_RUN: Duration = Duration::from_secs(150);

const TICK: &str = "jobs: [{name: tick, schedule: '* * * * *', command: [/hello, once, '0'], deadline: 50s}]";

async fn cron_job(namespace: &Namespace) -> Option<CronJob> {
    namespace.get::<CronJob>("web-tick").await
}

fn image(cron_job: &CronJob) -> Option<String> {
    let template = &cron_job.spec.job_template.spec.as_ref()?.template;
    template.spec.as_ref()?.containers.first()?.image.clone()
}

fn said(status: &WebAppStatus) -> Result<String, String> {
    ready(&status.conditions).map(|ready| ready.message)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_by_its_schedule_as_the_live_release_has_it_and_takes_no_requests() {
    let namespace = Namespace::new("jobs").await;
    let repo = namespace.repository("web");
    let hello = |tag: &str, jobs: &str| Hello::new("web", tag, &namespace.host()).spec(jobs).yaml();
    let first = repo.push(&[("web.yaml", &hello("1", TICK))], "Tick");
    namespace.follow(&repo).await.has_applied(&first).await;
    let app = namespace.app("web");
    app.is_live_at(&first).await;
    let live = eventually("the CronJob has the image of the live release", A_RUN, async || {
        let found = cron_job(&namespace).await.as_ref().and_then(image).ok_or("no CronJob")?;
        if found.contains("@sha256:") { Ok(found) } else { Err(found) }
    })
    .await;

    let ran = eventually("a Job of it has succeeded", A_RUN, async || {
        let jobs = namespace.api::<Job>().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let done = |job: &Job| job.status.as_ref().and_then(|status| status.succeeded) == Some(1);
        jobs.items.into_iter().find(done).ok_or_else(|| "none yet".to_owned())
    })
    .await;
    let name = ran.metadata.name.expect("a name");
    let pods = ListParams::default().labels(&format!("batch.kubernetes.io/job-name={name}"));
    let pod = namespace.api::<Pod>().list(&pods).await.expect("pods can be listed").items.remove(0);
    let labels = pod.metadata.labels.expect("labels");
    let service = namespace.get::<Service>("web").await.and_then(|service| service.spec?.selector).expect("a selector");
    for (label, value) in &service {
        assert_ne!(labels.get(label), Some(value), "one label less, and the Service would lead to the job");
    }
    assert_eq!(app.pods().await.len(), 1, "the job's pods are none of the app's");

    // A release that does not come up leaves the job at the one that serves.
    repo.push(&[("web.yaml", &hello("broken", TICK))], "Break it");
    app.fails_with(&["CrashLoopBackOff", "Error"]).await;
    assert_eq!(cron_job(&namespace).await.as_ref().and_then(image), Some(live.clone()));

    // A schedule that nobody can mean leaves everything as it was.
    let wrong = TICK.replace("* * * * *", "*/90 * * * *");
    repo.push(&[("web.yaml", &hello("1", &wrong))], "Every ninety minutes");
    app.comes_to("refuses the schedule", |status| {
        let said = said(status)?;
        if said.contains("the step of \"*/90\"") { Ok(()) } else { Err(said) }
    })
    .await;
    assert_eq!(cron_job(&namespace).await.as_ref().and_then(image), Some(live));

    let last = repo.push(&[("web.yaml", &hello("1", ""))], "No more ticks");
    app.is_live_at(&last).await;
    eventually("the CronJob is gone", A_RUN, async || {
        if cron_job(&namespace).await.is_none() { Ok(()) } else { Err("it is there".to_owned()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_runs_a_job_or_a_command_of_the_live_release_and_gets_its_exit_code() {
    let namespace = Namespace::new("run").await;
    let repo = namespace.repository("web");
    let jobs = "jobs: [{name: check, command: [/hello, once, '4']}]";
    let hello = |tag: &str| Hello::new("web", tag, &namespace.host()).spec(jobs).yaml();
    let first = repo.push(&[("web.yaml", &hello("1"))], "Check");
    namespace.follow(&repo).await.has_applied(&first).await;
    let app = namespace.app("web");
    app.is_live_at(&first).await;
    repo.push(&[("web.yaml", &hello("broken"))], "Break it");
    app.comes_to("has a release beside the live one", |status| {
        let release = status.rollout.release.as_ref().ok_or("no release")?;
        if release.number == 2 && release.step >= ReleaseStep::Rollout { Ok(()) } else { Err(format!("{release:?}")) }
    })
    .await;

    let drover = |what: &[&str]| namespace.drover(&[&["run", "-n", namespace.name(), "web"], what].concat());
    let job = drover(&["check"]);
    assert_eq!(job.code, 4, "{}", job.said());
    assert!(job.stdout.ends_with("once from version 1\n"), "not the image of the live release: {}", job.said());
    let command = drover(&["--", "/hello", "once", "0"]);
    assert_eq!((command.code, command.stdout.contains("once from version 1")), (0, true), "{}", command.said());
    let unknown = drover(&["chekc"]);
    assert_eq!((unknown.code, unknown.stderr.contains("there is `check`")), (2, true), "{}", unknown.said());
    let missing = drover(&["--", "/nonesuch"]);
    assert!(missing.code > 0 && missing.stderr.contains("StartError"), "{}", missing.said());
    let slow = drover(&["--deadline", "5s", "--", "/hello"]);
    assert_eq!((slow.code, slow.stderr.contains("DeadlineExceeded")), (1, true), "{}", slow.said());
    assert!(namespace.get::<CronJob>("web-check").await.is_none(), "it has no schedule");
    nothing_is_left(&namespace).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_what_a_person_runs() {
    let namespace = Namespace::new("interrupted").await;
    let repo = namespace.repository("web");
    let first = repo.push(&[("web.yaml", &Hello::new("web", "1", &namespace.host()).yaml())], "Serve");
    namespace.follow(&repo).await.has_applied(&first).await;
    namespace.app("web").is_live_at(&first).await;
    let mut running = Command::new(binary())
        .args(["run", "-n", namespace.name(), "web", "--", "/hello"])
        .env("KUBECONFIG", namespace.bed().kubeconfig())
        .stdout(Stdio::piped())
        .spawn()
        .expect("drover starts");
    let mut lines = BufReader::new(running.stdout.take().expect("stdout is piped")).lines();
    assert!(lines.any(|line| line.expect("text").starts_with("listening on ")), "it ended before it listened");
    run(Command::new("kill").args(["-INT", &running.id().to_string()]));
    assert_eq!(running.wait().expect("it ends").code(), Some(130));
    nothing_is_left(&namespace).await;
}

/// Waits until no Job and no pod of one is there any more.
async fn nothing_is_left(namespace: &Namespace) {
    eventually("what was run by hand is gone", Duration::from_secs(60), async || {
        let jobs = namespace.api::<Job>().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let by_hand = ListParams::default().labels(&format!("{LABEL_COMPONENT}={COMPONENT_JOB}"));
        let pods = namespace.api::<Pod>().list(&by_hand).await.map_err(|error| error.to_string())?;
        let left = jobs.items.len() + pods.items.len();
        if left == 0 { Ok(()) } else { Err(format!("{left} Jobs and pods")) }
    })
    .await;
}
