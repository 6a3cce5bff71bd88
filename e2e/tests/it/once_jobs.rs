//! Jobs that run once for an app's data.

use std::time::Duration;

use drover_crds::{ANNOTATION_RAN_ONCE, JobOutcome, LABEL_JOB, ReleaseOutcome, ReleaseStep, WebApp, WebAppStatus};
use drover_e2e::{Environment, Hello, Namespace, eventually, ready};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams};

async fn jobs(namespace: &Namespace) -> usize {
    let params = ListParams::default().labels(&format!("{LABEL_JOB}=superuser"));
    namespace.api::<Job>().list(&params).await.expect("Jobs can be listed").items.len()
}

async fn remembered(namespace: &Namespace) -> Option<String> {
    let claim = namespace.get::<PersistentVolumeClaim>("web-data").await?;
    claim.annotations().get(ANNOTATION_RAN_ONCE).cloned()
}

fn outcome(status: &WebAppStatus) -> Option<JobOutcome> {
    status.rollout.release.as_ref()?.jobs.first()?.outcome
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_runs_once_is_remembered_by_the_data_that_it_acted_on() {
    let namespace = Namespace::new("once").await;
    let repo = namespace.repository("web");
    let hello = |tag: &str, code: u8, reads: &str| {
        let jobs =
            format!("jobs: [{{name: superuser, at: AfterDeploy, run: Once, command: [/hello, once, '{code}']}}]");
        let yaml = Hello::new("web", tag, &namespace.host()).with_volume("Retain").spec(&jobs).spec(reads).yaml();
        repo.push(&[("web.yaml", &yaml)], &format!("{tag} {code}"))
    };
    // It is not run while a key of the Secret that it is given is to be made, and nobody has made it yet.
    let secret =
        "apiVersion: v1\nkind: Secret\nmetadata: {name: django, annotations: {drover.dev/generate: PASSWORD}}\n";
    namespace.apply(secret);
    let reads = "envFrom: [{secretRef: {name: django}}]";
    hello("1", 3, reads);
    let environment: Environment = namespace.follow(&repo).await;
    let app = namespace.app("web");
    app.comes_to("says which key is missing", |status| {
        let said = ready(&status.conditions)?.message;
        if said.contains("no key \"PASSWORD\", which envFrom reads") { Ok(()) } else { Err(said) }
    })
    .await;
    assert_eq!(jobs(&namespace).await, 0);
    namespace.kubectl(&["patch", "secret", "django", "--type=merge", r#"--patch={"stringData":{"PASSWORD":"x"}}"#]);

    // One that fails is tried again with the next release.
    app.comes_to("has a superuser that failed", |status| {
        let failed = status.rollout.history.iter().any(|r| r.number == 1 && r.outcome == ReleaseOutcome::Failed);
        if failed && outcome(status) == Some(JobOutcome::Failed) { Ok(()) } else { Err(format!("{status:?}")) }
    })
    .await;
    assert_eq!(remembered(&namespace).await, None);
    let second = hello("1", 0, reads);
    app.is_live_at(&second).await;
    assert_eq!(jobs(&namespace).await, 2);
    let noted = remembered(&namespace).await.expect("it is remembered");
    assert!(noted.starts_with("superuser=20"), "{noted}");

    // Another image is none of its business, nor is that its Jobs are gone; nor another app over the same data.
    namespace.kubectl(&["delete", "jobs", "--all"]);
    let third = hello("2", 0, reads);
    let status = app.is_live_at(&third).await;
    assert_eq!((jobs(&namespace).await, outcome(&status)), (0, Some(JobOutcome::Succeeded)));
    let uid = namespace.get::<WebApp>("web").await.expect("an app").uid();
    namespace.api::<WebApp>().delete("web", &DeleteParams::default()).await.expect("it can be deleted");
    environment.look_now();
    eventually("the app is made anew", Duration::from_secs(60), async || {
        let found = namespace.get::<WebApp>("web").await.and_then(|app| app.uid());
        if found.is_some() && found != uid { Ok(()) } else { Err(format!("{found:?}")) }
    })
    .await;
    let status = app
        .comes_to("serves again", |status| {
            let release = status.rollout.release.as_ref().ok_or("no release")?;
            if release.step == ReleaseStep::Live { Ok(status.clone()) } else { Err(format!("{release:?}")) }
        })
        .await;
    assert_eq!((jobs(&namespace).await, outcome(&status)), (0, Some(JobOutcome::Succeeded)));
    assert_eq!(remembered(&namespace).await, Some(noted));

    // Without data of its own an app cannot remember.
    let bare = Hello::new("web", "1", &namespace.host());
    let bare = bare.spec("jobs: [{name: superuser, at: AfterDeploy, run: Once, command: [/hello, once, '0']}]");
    repo.push(&[("web.yaml", &bare.yaml())], "No claim");
    environment.complains_of(&["and this app has neither: add databaseRefs or a volume with claim"]).await;
}
