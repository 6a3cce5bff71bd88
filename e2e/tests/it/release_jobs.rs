//! Programs that run at moments of a release: before its first pod, and once its pods serve.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use drover_crds::{
    COMPONENT_JOB, JobOutcome, LABEL_COMPONENT, LABEL_JOB, ReleaseOutcome, ReleaseStatus, ReleaseStep, WebAppStatus,
};
use drover_e2e::{App, Hello, Namespace, eventually, ready};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};

/// A migration, and something that needs what serves.
const JOBS: &str = "jobs: [{name: migrate, at: BeforeDeploy, command: [/hello, migrate]}, {name: warm, at: AfterDeploy, command: [/hello, once, '0']}]";

/// The names of the Jobs of that job.
async fn jobs(namespace: &Namespace, name: &str) -> BTreeSet<String> {
    let selector = format!("{LABEL_COMPONENT}={COMPONENT_JOB},{LABEL_JOB}={name}");
    let found =
        namespace.api::<Job>().list(&ListParams::default().labels(&selector)).await.expect("Jobs can be listed");
    found.items.iter().map(kube::ResourceExt::name_any).collect()
}

async fn job(namespace: &Namespace, name: &str) -> Job {
    namespace.get(name).await.unwrap_or_else(|| panic!("Job {name} is not there"))
}

fn has_succeeded(job: &Job) -> bool {
    job.status.as_ref().and_then(|status| status.succeeded) == Some(1)
}

fn release(status: &WebAppStatus) -> Result<&ReleaseStatus, String> {
    status.rollout.release.as_ref().ok_or_else(|| "no release".to_owned())
}

fn outcomes(status: &WebAppStatus) -> Vec<(String, Option<JobOutcome>)> {
    let release = status.rollout.release.iter();
    release.flat_map(|release| &release.jobs).map(|job| (job.name.clone(), job.outcome)).collect()
}

fn message(status: &WebAppStatus) -> String {
    ready(&status.conditions).map(|ready| ready.message).unwrap_or_default()
}

/// Waits until the release of that number has failed in that step, and what is put back of another serves.
async fn has_failed_in(app: &App<'_>, number: i64, step: ReleaseStep) -> WebAppStatus {
    app.comes_to(&format!("has a release {number} that failed in {step:?}"), |status| {
        let release = release(status)?;
        let failed = status.rollout.history.iter().any(|r| r.number == number && r.outcome == ReleaseOutcome::Failed);
        if (release.number, release.step) == (number, step) && failed {
            Ok(status.clone())
        } else {
            Err(format!("{release:?} {}", message(status)))
        }
    })
    .await
}

/// Its pods write to its claim, so that the old one stops before the new one starts.
#[tokio::test(flavor = "multi_thread")]
async fn a_migration_runs_before_the_pods_and_never_on_the_way_back() {
    let namespace = Namespace::new("migrate").await;
    let image = |version: &str, more: &[&str]| {
        let image = format!("{}/{}:{version}", namespace.bed().registry(), namespace.name());
        namespace.bed().push_hello(&image, &[&["--env", &format!("VERSION={version}")], more].concat());
        image
    };
    let hello = |image: &str, more: &str| {
        let hello = Hello::new("web", "1", &namespace.host()).of(image).with_volume("Retain");
        hello.health(more).spec(JOBS).yaml()
    };
    let both =
        vec![("migrate".to_owned(), Some(JobOutcome::Succeeded)), ("warm".to_owned(), Some(JobOutcome::Succeeded))];
    let repo = namespace.repository("web");
    let one = image("1", &[]);
    // The first install of all: the claim is bound by the pod of the migration.
    let first = repo.push(&[("web.yaml", &hello(&one, "startupTimeout: 60s"))], "Serve");
    namespace.follow(&repo).await;
    let app = namespace.app("web");
    let status = app.is_live_at(&first).await;
    assert_eq!(outcomes(&status), both, "{status:?}");
    let told = release(&status).expect("a release").jobs.clone();
    assert!(told.iter().all(|job| job.started_at.is_some() && job.finished_at.is_some()), "{told:?}");
    assert!(has_succeeded(&job(&namespace, &told[0].job).await));

    // Nothing that they do or read is another: they are not run again, also where their Jobs were cleaned up.
    namespace.kubectl(&["delete", "jobs", "--all"]);
    let second = repo.push(&[("web.yaml", &hello(&one, "startupTimeout: 61s"))], "Be patient");
    let status = app.is_live_at(&second).await;
    assert_eq!(outcomes(&status), both, "{status:?}");
    assert!(jobs(&namespace, "migrate").await.is_empty() && jobs(&namespace, "warm").await.is_empty());

    // A release that migrates and then breaks: the one before serves again, although it does not know the schema.
    let pushed =
        repo.push(&[("web.yaml", &hello(&image("2", &["--env", "EXIT_CODE=1"]), "startupTimeout: 61s"))], "Break");
    has_failed_in(&app, 3, ReleaseStep::Restore).await;
    let began = Instant::now();
    let status = has_failed_in(&app, 3, ReleaseStep::Rollout).await;
    app.answers("/", "from version 1").await;
    assert!(began.elapsed() < Duration::from_secs(60), "it took {:?}", began.elapsed());
    assert!(message(&status).contains("the last BeforeDeploy jobs were those of release 3"), "{}", message(&status));
    let migrations = jobs(&namespace, "migrate").await;
    assert_eq!(migrations.len(), 1, "of the broken release alone: {migrations:?}");
    assert!(jobs(&namespace, "warm").await.is_empty());

    // git goes back as well.
    let back = repo.revert(1);
    assert_ne!(back, pushed);
    let status = app.is_live_at(&back).await;
    assert!(outcomes(&status).is_empty(), "{status:?}");
    assert!(message(&status).contains("the last BeforeDeploy jobs were those of release 3"), "{}", message(&status));
    assert_eq!(jobs(&namespace, "migrate").await, migrations);
    app.answers("/", "from version 1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_keeps_the_old_pods_or_puts_them_back() {
    let namespace = Namespace::new("gate").await;
    let repo = namespace.repository("web");
    let push_job = |tag: &str, greeting: &str, at: &str, job: &str| {
        let jobs = format!("jobs: [{{name: check, at: {at}, {job}}}]");
        let reads = "env: [{name: GREETING, valueFrom: {configMapKeyRef: {name: site, key: greeting}}}]";
        let app = Hello::new("web", tag, &namespace.host()).spec(&format!("{jobs}\n{reads}")).yaml();
        let site =
            format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: site}}\ndata: {{greeting: {greeting}}}\n");
        repo.push(&[("web.yaml", &app), ("site.yaml", &site)], greeting)
    };
    let push = |tag: &str, greeting: &str, at: &str, code: u32| {
        push_job(tag, greeting, at, &format!("command: [/hello, once, '{code}']"))
    };
    let first = push("1", "hello", "BeforeDeploy", 0);
    namespace.follow(&repo).await;
    let app = namespace.app("web");
    app.is_live_at(&first).await;
    let before = app.standing().await;
    let prober = app.probe();

    // Another image and another setting in one push: the job has both, and its end is told with its log.
    push("2", "moin", "BeforeDeploy", 4);
    let status = has_failed_in(&app, 2, ReleaseStep::BeforeDeploy).await;
    let problem = release(&status).expect("a release").problem.clone().expect("a problem");
    assert_eq!(problem.reason, "JobFailed");
    assert!(
        problem.message.contains("the job check failed") && problem.message.contains("exited with code 4"),
        "{problem:?}"
    );
    let log = problem.log.join("\n");
    assert!(log.contains("once from version 2") && log.contains("greeting moin"), "{log}");
    assert!(message(&status).contains("release 1 goes on serving"), "{}", message(&status));
    assert_eq!(app.standing().await, before, "the pods were touched");
    let said = namespace.drover(&["status", "-n", namespace.name()]);
    assert!(said.stdout.contains("check failed") && said.stdout.contains("│ once from version 2"), "{}", said.said());

    // A pod that restarts meanwhile has what it was started with.
    for pod in app.pods().await {
        namespace
            .api::<Pod>()
            .delete(&pod.name_any(), &DeleteParams::default().grace_period(0))
            .await
            .expect("deleted");
    }
    app.answers("/", "hello from version 1").await;
    drop(prober);

    // Nothing tries again by itself; a person does, and another Job runs.
    let tried = jobs(&namespace, "check").await;
    assert_eq!(tried.len(), 2, "{tried:?}");
    app.look_now("again").await;
    has_failed_in(&app, 3, ReleaseStep::BeforeDeploy).await;
    assert_eq!(jobs(&namespace, "check").await.len(), 3);

    // One that does not end is ended when its time is over: the sentence says what to do, and the old pods serve.
    push_job("2", "moin", "BeforeDeploy", "command: [/hello, once, '0', 10m], deadline: 5s");
    let status = has_failed_in(&app, 4, ReleaseStep::BeforeDeploy).await;
    let problem = release(&status).expect("a release").problem.clone().expect("a problem");
    assert_eq!(problem.reason, "JobTimedOut");
    let told = "the job check was ended because its deadline of 5 s was over: raise deadline, or have it do less";
    assert!(problem.message.contains(told), "{problem:?}");
    assert!(message(&status).contains("release 1 goes on serving"), "{}", message(&status));
    app.answers("/", "hello from version 1").await;

    // One that fails after the pods have served: the pods of before come back.
    push("2", "servus", "AfterDeploy", 5);
    let status = has_failed_in(&app, 5, ReleaseStep::AfterDeploy).await;
    assert!(message(&status).contains("release 1 was put back and serves"), "{}", message(&status));
    app.answers("/", "hello from version 1").await;

    let last = push("2", "servus", "AfterDeploy", 0);
    let status = app.is_live_at(&last).await;
    assert_eq!(outcomes(&status), [("check".to_owned(), Some(JobOutcome::Succeeded))]);
    app.answers("/", "servus from version 2").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_commit_waits_for_a_migration_that_runs_and_takes_the_place_of_one_that_does_not() {
    let namespace = Namespace::new("overtaken").await;
    let repo = namespace.repository("web");
    let push = |tag: &str, takes: &str, more: &str| {
        let jobs = format!("jobs: [{{name: migrate, at: BeforeDeploy, command: [/hello, once, '0', {takes}]}}]");
        let app = Hello::new("web", tag, &namespace.host()).spec(&jobs).spec(more).yaml();
        repo.push(&[("web.yaml", &app)], &format!("{tag} {takes}"))
    };
    let runs = async |number: i64| {
        let app = namespace.app("web");
        app.comes_to(&format!("runs the migration of release {number}"), |status| {
            let release = release(status)?;
            let began = release.jobs.first().and_then(|job| job.started_at.as_ref().map(|_| job.job.clone()));
            began.filter(|_| release.number == number).ok_or_else(|| format!("{release:?}"))
        })
        .await
    };
    let first = push("1", "0s", "");
    namespace.follow(&repo).await;
    let app = namespace.app("web");
    app.is_live_at(&first).await;

    push("2", "15s", "");
    let slow = runs(2).await;
    let third = push("root", "1s", "runAs: {user: 65532}");
    app.comes_to("says that a newer release waits", |status| {
        let said = message(status);
        if said.contains("a newer release waits for its end") { Ok(()) } else { Err(said) }
    })
    .await;
    let status = app.is_live_at(&third).await;
    assert_eq!(release(&status).expect("a release").number, 3);
    assert!(has_succeeded(&job(&namespace, &slow).await), "it was cut off");
    assert_eq!(jobs(&namespace, "migrate").await.len(), 3, "one for each image");
    let overtaken = status.rollout.history.iter().find(|record| record.number == 2).map(|record| record.outcome);
    assert_eq!(overtaken, Some(ReleaseOutcome::Superseded));
    let template = app.deployment().await.metadata.generation;
    assert_eq!(template, Some(2), "release 2 was sent, although it was overtaken");

    // One whose pod no node takes has not begun, and never does.
    push("2", "2s", "resources: {requests: {memory: 900Gi}, limits: {memory: 900Gi}}");
    app.comes_to("says what keeps the migration from beginning", |status| {
        let said = message(status);
        if said.contains("the job migrate cannot begin: no node takes pod") { Ok(()) } else { Err(said) }
    })
    .await;
    let stuck: BTreeSet<String> = jobs(&namespace, "migrate").await;
    assert_eq!(stuck.len(), 4);
    let last = push("2", "3s", "");
    app.is_live_at(&last).await;
    eventually("the Job that never began is gone", Duration::from_secs(30), async || {
        let left = jobs(&namespace, "migrate").await;
        // That of the last release is there besides.
        if left.len() == 4 && left != stuck { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_begins_while_no_pods_are_wanted_and_one_outlives_the_record_of_its_first_release() {
    let namespace = Namespace::new("patient").await;
    let repo = namespace.repository("web");
    let push = |replicas: u32, patience: &str| {
        let jobs = "jobs: [{name: migrate, at: BeforeDeploy, command: [/hello, once, '0']}, {name: warm, at: AfterDeploy, command: [/hello, once, '0', 45s]}]";
        let app = Hello::new("web", "1", &namespace.host()).health(&format!("startupTimeout: {patience}"));
        repo.push(&[("web.yaml", &app.spec(jobs).spec(&format!("replicas: {replicas}")).yaml())], patience)
    };
    push(0, "60s");
    namespace.follow(&repo).await;
    let app = namespace.app("web");
    app.comes_to("is switched off", |status| {
        let ready = ready(&status.conditions)?;
        if (&*ready.status, &*ready.reason) == ("True", "SwitchedOff") { Ok(()) } else { Err(ready.message) }
    })
    .await;
    assert!(jobs(&namespace, "migrate").await.is_empty() && app.pods().await.is_empty());

    push(1, "60s");
    let first = app
        .comes_to("warms up", |status| {
            let warm = release(status)?.jobs.iter().find(|job| job.name == "warm");
            let began = warm.filter(|job| job.started_at.is_some());
            began.map(|job| job.job.clone()).ok_or_else(|| format!("{status:?}"))
        })
        .await;
    assert_eq!(jobs(&namespace, "migrate").await.len(), 1);
    let uid = job(&namespace, &first).await.uid();

    // The next release counts on the same run, which stays when the record of the first goes.
    let second = push(1, "61s");
    let warm = namespace.api::<Job>();
    eventually("the Job goes with both records", Duration::from_secs(45), async || {
        let found = warm.get(&first).await.map_err(|error| error.to_string())?;
        match found.owner_references().len() {
            2 => Ok(()),
            _ => Err(format!("{:?} {:?}", found.owner_references(), app.status().await.rollout.release)),
        }
    })
    .await;
    namespace.kubectl(&["delete", "controllerrevision", "web-r1"]);
    let status = app.is_live_at(&second).await;
    let told = release(&status).expect("a release").jobs.clone();
    assert_eq!((told[1].job.as_str(), told[1].outcome), (first.as_str(), Some(JobOutcome::Succeeded)));
    assert_eq!(job(&namespace, &first).await.uid(), uid);
    // What had ended goes with its record, and is not made again.
    assert_eq!((jobs(&namespace, "migrate").await.len(), jobs(&namespace, "warm").await.len()), (0, 1));
    assert_eq!(told[0].outcome, Some(JobOutcome::Succeeded));

    // An image that no node gets: the job never begins, and the release does not wait for its deadline.
    let jobs_yaml = "imagePullPolicy: Never\njobs: [{name: migrate, at: BeforeDeploy, command: [/hello, once, '0']}]";
    let nowhere = Hello::new("web", "1", &namespace.host()).of("nothing.test/web:1").spec(jobs_yaml);
    repo.push(&[("web.yaml", &nowhere.yaml())], "Nowhere");
    let status = has_failed_in(&app, 3, ReleaseStep::BeforeDeploy).await;
    let problem = release(&status).expect("a release").problem.clone().expect("a problem");
    assert_eq!(problem.reason, "ErrImageNeverPull");
    assert!(problem.message.contains("the job migrate cannot begin"), "{problem:?}");
    assert!(jobs(&namespace, "migrate").await.is_empty(), "what cannot begin is removed");
    app.answers("/", "hello from version 1").await;
}
