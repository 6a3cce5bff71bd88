//! `drover run`: a job of an app, or a command, in a pod of its own, which is none of the app's.

mod attend;
mod seen;

use std::collections::BTreeMap;

use clap::Args;
use drover_core::release::{Release, record_name};
use drover_core::sync::data_set;
use drover_core::workload::pods::{AssetSets, Copies, Facts, Pods, Shrinking, ValidatedJob};
use drover_core::workload::{self, build};
use drover_crds::{AppSpec as _, CLI_MANAGER, DataSync, Duration, QueueProcessor, WebApp};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::attend::Attended;
use super::app::{App, AppKind, AppName};
use super::global::Global;
use super::near::near;
use super::session::Session;
use super::{Error, Verdict, annotate, output};

/// How a program ends that somebody interrupted.
const INTERRUPTED: u8 = 130;

/// Runs a job of a WebApp or QueueProcessor, or a command, in a pod of its own.
///
/// The pod has the image, environment, volumes and resources of the release that is live, and takes no requests. What it writes is shown,
/// its exit code is that of this command, and Ctrl-C ends it: `drover run web -- python manage.py createsuperuser --noinput`.
#[derive(Debug, Args)]
pub struct Run {
    /// The app: NAME, webapp/NAME or queueprocessor/NAME.
    #[arg(value_parser = AppName::read)]
    name: AppName,
    /// The name of one of its jobs.
    #[arg(required_unless_present = "command", conflicts_with = "command")]
    job: Option<String>,
    /// How long it may take. Default: the job's deadline, or 1h.
    #[arg(long, value_name = "DURATION")]
    deadline: Option<Duration>,
    /// A program of the image and its arguments, in place of a job.
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// Runs the command.
pub async fn run(command: Run, global: &Global) -> Result<Verdict, Error> {
    let session = Session::open(&global.target).await?;
    // From now on Ctrl-C is ours: what it would leave behind goes on without anybody.
    let mut signals = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    let kind = command.name.kind(&session).await?;
    let (kind, (pods, selector)) = match kind {
        AppKind::WebApp => (WebApp::KIND, live::<WebApp>(&session, &command.name.name).await?),
        AppKind::QueueProcessor => (QueueProcessor::KIND, live::<QueueProcessor>(&session, &command.name.name).await?),
    };
    let job = build::job(&pods, &chosen(&pods, &command)?, &selector);
    let jobs: Api<Job> = Api::namespaced(session.client(), session.namespace());
    let params = PostParams { field_manager: Some(CLI_MANAGER.to_owned()), ..PostParams::default() };
    let action = format!("make a Job for {kind} {}/{}", session.namespace(), command.name.name);
    let made = session.ask(&action, jobs.create(&params, &job)).await?.name_any();
    let attended = Attended { session: &session, job: &made };
    let ended = tokio::select! {
        ended = attended.to_its_end() => ended.map(Verdict::Ended),
        () = any(&mut signals) => Ok(Verdict::Ended(INTERRUPTED)),
    };
    let (action, with_its_pod) = (format!("delete Job {}/{made}", session.namespace()), DeleteParams::background());
    if let Err(error) = session.ask(&action, jobs.delete(&made, &with_its_pod)).await {
        output::warn(&format!("{error}; Kubernetes removes it ten minutes after its end"));
    }
    ended
}

/// Until one of the signals comes; those that cannot be received never do.
async fn any(signals: &mut [std::io::Result<Signal>; 2]) {
    let received = signals.iter_mut().flatten().map(|signal| Box::pin(signal.recv()));
    let received: Vec<_> = received.collect();
    if received.is_empty() {
        std::future::pending::<()>().await;
    }
    futures::future::select_all(received).await;
}

/// The pods as the live release has them, or the newest where none was live yet, and what selects them.
async fn live<A: App>(session: &Session, name: &str) -> Result<(Pods, LabelSelector), Error> {
    let kind = A::KIND;
    let apps: Api<A> = Api::namespaced(session.client(), session.namespace());
    let id = format!("{}/{name}", session.namespace());
    let Some(found) = session.ask(&format!("read {kind} {id}"), apps.get_opt(name)).await? else {
        return Err(annotate::not_found(session, &apps, kind, name).await);
    };
    let namespace = session.namespace().to_owned();
    let app = workload::App { kind, namespace, name: name.to_owned(), uid: found.uid() };
    let rollout = found.rollout().cloned().unwrap_or_default();
    let number = rollout.serving.or(rollout.release.map(|release| release.number)).unwrap_or_default();
    let records: Api<ControllerRevision> = Api::namespaced(session.client(), session.namespace());
    let action = format!("read release {number} of {kind} {id}");
    let record = session.ask(&action, records.get_opt(&record_name(&app, number))).await?;
    let release = record.as_ref().and_then(|record| Release::<A::Spec>::from_record(&app, record));
    let Some(Release { data, .. }) = release else {
        return Err(Error::Usage {
            sentence: format!("{kind} {id} has no release whose image could be run"),
            hint: format!("`drover status -n {} {name}` says how far it is", session.namespace()),
        });
    };
    let mut data_sets = BTreeMap::new();
    for name in data.spec.pod().data_syncs() {
        let syncs: Api<DataSync> = Api::namespaced(session.client(), session.namespace());
        let action = format!("read DataSync {}/{}", session.namespace(), name);
        let found = session.ask(&action, syncs.get_opt(name)).await?;
        data_sets.extend(found.as_ref().and_then(data_set).map(|set| (name.clone(), set)));
    }
    let facts = Facts {
        data_sets: &data_sets,
        asset_sets: &AssetSets::new(),
        own_sets: &data.own_sets(),
        settings: &data.settings.clone().unwrap_or_default(),
        copies: &Copies::default(),
        image: &data.image(),
        pods: &data.pods,
        restarted_at: None,
        claims: &BTreeMap::new(),
        shrinking: Shrinking::KeepSize,
    };
    A::pods(&app, &data.spec, &facts).map_err(|invalid| Error::Usage {
        sentence: format!("release {number} of {kind} {id} cannot be run: {invalid}"),
        hint: "use the command line of the controller's version".to_owned(),
    })
}

/// What is to be run: one of the app's jobs, or what the person wrote.
fn chosen(pods: &Pods, asked: &Run) -> Result<ValidatedJob, Error> {
    let mut job = match &asked.job {
        None => ValidatedJob::by_hand(asked.command.clone()),
        Some(name) => {
            let jobs = &pods.jobs;
            jobs.iter().find(|job| job.name == *name).cloned().ok_or_else(|| Error::Usage {
                sentence: format!("the live release of {} {} has no job `{name}`", pods.app.kind, asked.name.name),
                hint: missing(name, jobs),
            })?
        }
    };
    if let Some(deadline) = asked.deadline {
        job.deadline_seconds = i64::try_from(deadline.as_secs()).unwrap_or(i64::MAX).max(1);
    }
    Ok(job)
}

/// What to write instead of the name of a job that there is not.
fn missing(name: &str, jobs: &[ValidatedJob]) -> String {
    let names = || jobs.iter().map(|job| job.name.as_str());
    let close = near(name, names());
    match (close.first(), jobs) {
        (Some(close), _) => format!("there is `{close}`"),
        (None, []) => "it has none: a command is written after `--`".to_owned(),
        (None, _) => {
            format!("its jobs are {}; a command is written after `--`", names().collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use http::StatusCode;
    use serde_json::{Value, json};

    use super::*;
    use crate::cli::testing::server;
    use crate::cli::{Cli, Command};

    fn asked(line: &str) -> Result<Run, clap::Error> {
        match Cli::try_parse_from(line.split(' '))?.command {
            Command::Run(run) => Ok(run),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_job_or_a_command_is_run_and_one_of_the_two() {
        assert_eq!(asked("drover run web migrate").expect("a job").job.as_deref(), Some("migrate"));
        let command = asked("drover run web --deadline 5m -- manage.py check --deploy").expect("a command");
        assert_eq!((command.job, command.command.join(" ").as_str()), (None, "manage.py check --deploy"));
        for wrong in ["drover run web", "drover run", "drover run web migrate -- manage.py", "drover run web --"] {
            assert!(asked(wrong).is_err(), "{wrong}");
        }
    }

    /// An API server that has the WebApp with its second release on the way and the records of both.
    fn cluster() -> (Session, impl Fn() -> Vec<String>) {
        let (client, asked) = server(|asked| {
            let (path, found) = (asked.path.as_str(), StatusCode::OK.as_u16());
            let spec = |job: &str, image: &str| {
                json!({
                    "image": image, "ports": [{"name": "http", "port": 8080}],
                    "jobs": [{"name": job, "command": ["migrate"], "deadline": "5m"}],
                })
            };
            let uid = "3f0ac5d2-0000-4000-8000-000000000000";
            if path.ends_with("/webapps/web") {
                let release = json!({"number": 2, "image": "web:2", "step": "Rollout"});
                return (
                    found,
                    json!({
                        "apiVersion": "drover.dev/v1alpha1", "kind": "WebApp",
                        "metadata": {"name": "web", "namespace": "shop", "uid": uid}, "spec": spec("new", "web:2"),
                        "status": {"serving": 1, "release": release},
                    }),
                );
            }
            if path.ends_with("/controllerrevisions/web-r1") {
                let data = json!({"spec": spec("migrate", "web:1"), "image": "web:1@sha256:ab", "user": {"Known": "33"}, "pods": {"number": 1}});
                let owner = json!([{"apiVersion": "drover.dev/v1alpha1", "kind": "WebApp", "name": "web", "uid": uid, "controller": true}]);
                let metadata = json!({"name": "web-r1", "namespace": "shop", "ownerReferences": owner});
                return (
                    found,
                    json!({"apiVersion": "apps/v1", "kind": "ControllerRevision", "metadata": metadata, "revision": 1, "data": data}),
                );
            }
            crate::cli::testing::refusal(404, "not found", "x", "x")
        });
        let paths =
            move || -> Vec<String> { asked.lock().expect("no panic").iter().map(|one| one.path.clone()).collect() };
        (Session::over(client, "shop"), paths)
    }

    #[tokio::test]
    async fn what_is_run_is_of_the_release_that_serves() {
        let (session, paths) = cluster();
        let (pods, selected) = live::<WebApp>(&session, "web").await.expect("a release");
        assert!(paths().iter().any(|path| path.ends_with("/controllerrevisions/web-r1")), "{:?}", paths());
        let job = chosen(&pods, &asked("drover run web migrate").expect("a job")).expect("one of its jobs");
        let built: Value = serde_json::to_value(build::job(&pods, &job, &selected)).expect("JSON");
        let template = &built["spec"]["template"];
        assert_eq!(template["spec"]["containers"][0]["image"], "web:1@sha256:ab");
        assert_eq!(template["spec"]["containers"][0]["command"], json!(["migrate"]));
        assert_eq!((&built["spec"]["backoffLimit"], &built["spec"]["activeDeadlineSeconds"]), (&json!(0), &json!(300)));
        assert!(built["metadata"]["name"].is_null() && built["metadata"]["generateName"] == "web-migrate-");
        let selector = build::own_selector(&pods.app);
        let labels = template["metadata"]["labels"].as_object().expect("labels");
        assert!(selector.iter().all(|(name, value)| labels.get(name) != Some(&json!(value))), "{labels:?}");

        let longer = asked("drover run web --deadline 2h -- manage.py check").expect("a command");
        let job = chosen(&pods, &longer).expect("what was written");
        assert_eq!((job.command.join(" ").as_str(), job.deadline_seconds), ("manage.py check", 7200));
        let error = chosen(&pods, &asked("drover run web new").expect("a job")).expect_err("only in the newest");
        assert_eq!(error.hint().as_deref(), Some("its jobs are migrate; a command is written after `--`"));
    }
}
