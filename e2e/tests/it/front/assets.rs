//! Files of an app's image, served by its front: those of the live release, and what older pages still ask for.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use drover_crds::{LABEL_JOB, ReleaseOutcome, ReleaseStep, WebApp};
use drover_e2e::{App, Namespace, Testbed, ask, eventually, front_image, ready};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use kube::api::{DeleteParams, ListParams};

use super::{SOON, comes_to};

/// An app whose page names a file with a hash in its name, as it finds it among the files that `collect` makes; `more` comes before its
/// server.
fn yaml(namespace: &Namespace, version: u8, more: &str, collect: &str) -> String {
    let serve =
        format!("{more} mkdir -p /tmp/srv; cp /static/name /tmp/srv/index.html; exec httpd -f -p 8080 -h /tmp/srv");
    format!(
        "apiVersion: drover.dev/v1alpha1
kind: WebApp
metadata: {{name: web}}
spec:
  image: drover.test/busybox:1
  imagePullPolicy: Never
  runAs: {{user: 1000}}
  env: [{{name: V, value: \"{version}\"}}]
  command: [sh, -c, {serve:?}]
  ports: [{{name: http, port: 8080}}]
  health: {{probation: 1s}}
  assets:
  - {{name: static, path: /static, command: [sh, -c, {collect:?}], claim: {{resources: {{requests: {{storage: 16Mi}}}}, retentionPolicy: Delete}}}}
  - {{name: shell, path: /bin, claim: {{resources: {{requests: {{storage: 16Mi}}}}, retentionPolicy: Delete}}}}
  routes:
  - {{host: {host}, to: {{app: {{}}}}}}
  - {{host: {host}, path: /static, to: {{static: {{assets: static}}}}}}
  - {{host: {host}, path: /shell, to: {{static: {{assets: shell}}}}}}
",
        host = namespace.host()
    )
}

const COLLECT: &str = "echo css of $V >/static/app-a000000$V.css; mkdir /static/admin; echo same >/static/admin/base.css; echo $V >/static/manifest.json; echo /static/app-a000000$V.css >/static/name";

async fn made(namespace: &Namespace) -> BTreeSet<String> {
    let params = ListParams::default().labels(&format!("{LABEL_JOB}=assets-static"));
    let jobs = namespace.api::<Job>().list(&params).await.expect("Jobs can be listed").items;
    jobs.iter().map(kube::ResourceExt::name_any).collect()
}

async fn manifest_is(namespace: &Namespace, version: &str) {
    let what = format!("is that of {version}");
    let of = |answer: &drover_e2e::Answer| answer.status == 200 && answer.body.trim() == version;
    comes_to(namespace, &namespace.host(), "/static/manifest.json", &what, of).await;
}

/// Which of the files with a hash of releases 1 to 6 are there.
async fn hashed(namespace: &Namespace) -> Vec<u8> {
    let mut there = Vec::new();
    for version in 1..=6 {
        let path = format!("/static/app-a000000{version}.css");
        let answer = ask(&namespace.ingress(), &namespace.host(), &path, &[]).await.expect("it answers");
        match answer.status {
            200 => {
                assert_eq!(answer.body.trim(), format!("css of {version}"));
                assert_eq!(answer.headers("Cache-Control"), ["public, max-age=31536000, immutable"]);
                there.push(version);
            }
            404 => assert_eq!(answer.headers("Cache-Control"), ["no-store"]),
            other => panic!("{path}: {other}"),
        }
    }
    there
}

async fn has_failed(app: &App<'_>, number: i64, step: ReleaseStep) -> String {
    app.comes_to(&format!("has a release {number} that failed in {step:?}"), |status| {
        let release = status.rollout.release.as_ref().ok_or("no release")?;
        let failed = status.rollout.history.iter().any(|r| r.number == number && r.outcome == ReleaseOutcome::Failed);
        let problem = release.problem.as_ref().map(|problem| format!("{} {}", problem.message, problem.log.join("\n")));
        match problem {
            Some(problem) if failed && (release.number, release.step) == (number, step) => Ok(problem),
            _ => Err(format!("{release:?} {:?}", ready(&status.conditions))),
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_find_their_files_through_releases_failures_and_the_way_back() {
    front_image(Testbed::shared());
    let namespace = Namespace::new("assets").await;
    let repo = namespace.repository("web");
    let push = |version: u8, more: &str, collect: &str| {
        repo.push(&[("web.yaml", &yaml(&namespace, version, more, collect))], &format!("Version {version}"))
    };
    let first = push(1, "", COLLECT);
    namespace.follow(&repo).await;
    let app = namespace.app("web");
    app.is_live_at(&first).await;
    manifest_is(&namespace, "1").await;
    assert_eq!(hashed(&namespace).await, [1]);
    let busybox = ask(&namespace.ingress(), &namespace.host(), "/shell/busybox", &[]).await.expect("it answers");
    assert_eq!(busybox.status, 200, "what the image has is served without a command");

    // Whoever sees a page finds the file that it names, at every moment of the next release.
    let over = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (over, ingress, host) = (over.clone(), namespace.ingress(), namespace.host());
        async move {
            let (mut pages, mut lost) = (0, Vec::new());
            while !over.load(Ordering::Relaxed) {
                let Ok(page) = ask(&ingress, &host, "/", &[]).await else { continue };
                let path = page.body.trim().to_owned();
                match ask(&ingress, &host, &path, &[]).await {
                    Ok(file) if file.status == 200 => pages += 1,
                    other => lost.push(format!("{path}: {other:?}")),
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
            (pages, lost)
        }
    });
    let second = push(2, "", COLLECT);
    app.is_live_at(&second).await;
    manifest_is(&namespace, "2").await;
    over.store(true, Ordering::Relaxed);
    let (pages, lost) = reader.await.expect("it ends");
    assert!(pages > 20 && lost.is_empty(), "{pages} pages, {} without their file: {:?}", lost.len(), lost.first());
    assert_eq!(hashed(&namespace).await, [1, 2]);

    // One whose pods end: names that all have stay those of the live release.
    push(3, "exit 3;", COLLECT);
    has_failed(&app, 3, ReleaseStep::Rollout).await;
    assert_eq!(hashed(&namespace).await, [1, 2, 3]);
    manifest_is(&namespace, "2").await;

    // One whose files cannot be made: nothing of it starts, and it says why.
    push(4, "", "echo no module named admin; exit 5");
    let said = has_failed(&app, 4, ReleaseStep::BeforeDeploy).await;
    assert!(said.contains("assets-static failed") && said.contains("no module named admin"), "{said}");
    app.answers("/", "/static/app-a0000002.css").await;
    // And one whose command makes none.
    push(4, "", "true");
    let said = has_failed(&app, 5, ReleaseStep::BeforeDeploy).await;
    assert!(said.contains("/static holds no file"), "{said}");
    assert_eq!(hashed(&namespace).await, [1, 2, 3]);

    for version in [5, 6] {
        let commit = push(version, "", COLLECT);
        app.is_live_at(&commit).await;
        manifest_is(&namespace, &version.to_string()).await;
    }
    assert_eq!(hashed(&namespace).await, [2, 3, 5, 6]);
    let before = made(&namespace).await;
    assert_eq!(before.len(), 7, "one for each set, and for each that failed: {before:?}");

    // Back to a release whose files are there: they come first again, and nothing is made.
    let back = repo.revert(1);
    app.is_live_at(&back).await;
    manifest_is(&namespace, "5").await;
    assert_eq!(hashed(&namespace).await, [2, 3, 5, 6]);
    assert_eq!(made(&namespace).await, before);

    namespace.api::<WebApp>().delete("web", &DeleteParams::default()).await.expect("it can be deleted");
    eventually("the claims go with the app", SOON, async || {
        let claims = namespace.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.expect("claims");
        if claims.items.is_empty() { Ok(()) } else { Err(format!("{:?}", claims.items.len())) }
    })
    .await;
}
