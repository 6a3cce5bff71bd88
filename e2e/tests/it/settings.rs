//! What an app reads of ConfigMaps and Secrets is a part of its release.

use std::time::Duration;

use drover_crds::{ReleaseStep, WebAppStatus};
use drover_e2e::{App, Environment, Hello, Namespace, eventually};
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, ListParams};

/// It reads a greeting from the ConfigMap `site`, perhaps an exit code, and shows the files of the Secret `login`.
const READS: &str = r"
env:
- {name: GREETING, valueFrom: {configMapKeyRef: {name: site, key: greeting}}}
- {name: EXIT_CODE, valueFrom: {configMapKeyRef: {name: site, key: exit, optional: true}}}
- {name: FILES_DIR, value: /login}
volumes:
- {name: login, mounts: [{mountPath: /login}], secret: {secretName: login}}
";

fn site(data: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: site}}\ndata: {{{data}}}\n")
}

fn login(token: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: login}}\nstringData: {{token: {token:?}}}\n")
}

/// Waits until that release is live.
async fn is_live(app: &App<'_>, number: i64) -> WebAppStatus {
    app.comes_to(&format!("release {number} is live"), |status| {
        let release = status.rollout.release.as_ref().ok_or("no release")?;
        if (release.number, release.step) == (number, ReleaseStep::Live) {
            Ok(status.clone())
        } else {
            Err(format!("{release:?} {:?}", status.conditions))
        }
    })
    .await
}

/// Copies of the app's ConfigMaps, by what they greet with.
async fn copies(namespace: &Namespace) -> Vec<String> {
    let all = namespace.api::<ConfigMap>().list(&ListParams::default()).await.expect("ConfigMaps");
    let copies = all.items.into_iter().filter(|found| found.immutable == Some(true));
    copies.filter_map(|copy| copy.data?.remove("greeting")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_app_reads_is_a_part_of_its_release() {
    let namespace = Namespace::new("settings").await;
    let repo = namespace.repository("web");
    let image = format!("{}/{}:prod", namespace.bed().registry(), namespace.name());
    let pushed = namespace.bed().push_hello(&image, &["--env", "VERSION=1"]);
    let app_yaml = Hello::new("web", "1", &namespace.host()).of(&image).spec(READS).yaml();
    let push = |site: &str| repo.push(&[("web.yaml", &app_yaml), ("site.yaml", site)], "Settings");

    // Something is missing: said before an address is called reachable, and made up for by whoever makes it.
    repo.push(&[("web.yaml", &app_yaml)], "Serve");
    let environment: Environment = namespace.follow(&repo).await;
    let app = namespace.app("web");
    let is_told = |what: &'static str| {
        app.comes_to(what, move |status| {
            let ready = drover_e2e::ready(&status.conditions)?;
            assert_eq!(status.url, None, "nothing serves there");
            if ready.message.contains(what) { Ok(()) } else { Err(ready.message) }
        })
    };
    is_told("site, which env GREETING reads, is not there").await;
    push(&site("greting: hello"));
    is_told("has no key \"greeting\", which env GREETING reads: it has greting").await;
    push(&site("greeting: hello"));
    is_told("login, which volume login reads, is not there").await;
    namespace.apply(&login("one"));
    is_live(&app, 1).await;
    app.answers("/", "hello from version 1").await;
    app.answers("/files/token", "one").await;

    // Another content of the ConfigMap, and of the Secret: each a release, and nobody feels it.
    let prober = app.probe();
    let second = push(&site("greeting: good day"));
    is_live(&app, 2).await;
    environment.is_ready_at(&second).await;
    app.answers("/", "good day from version 1").await;
    // The tag is moved meanwhile, which nobody asked this app to follow.
    namespace.bed().push_hello(&image, &["--env", "VERSION=2"]);
    namespace.apply(&login("two"));
    let status = is_live(&app, 3).await;
    assert!(
        status.rollout.release.expect("a release").image.ends_with(&pushed),
        "another image came with the settings"
    );
    app.answers("/files/token", "two").await;

    // One that breaks the app: what serves goes on, and has its old settings also after a restart.
    push(&site("greeting: broken, exit: \"3\""));
    let problem = app.fails_with(&["CrashLoopBackOff", "Error"]).await;
    app.answers("/", "good day from version 1").await;
    let served = prober.until_it_serves().await;
    assert!(served.failures.is_empty() && served.answers > 50, "it was felt: {served:?}");
    drop(prober);
    for pod in app.pods().await {
        let name = pod.metadata.name.expect("a name");
        if Some(&name) != problem.pod.as_ref() {
            namespace.api::<Pod>().delete(&name, &DeleteParams::default().grace_period(0)).await.expect("deleted");
        }
    }
    app.answers("/", "good day from version 1").await;

    // A revert brings the old values back.
    push(&site("greeting: good day"));
    let status = is_live(&app, 5).await;
    app.answers("/", "good day from version 1").await;
    assert_eq!(status.conditions.len(), 1, "only Ready is said: {:?}", status.conditions);
    let mut kept = copies(&namespace).await;
    kept.sort();
    assert_eq!(kept, ["broken", "good day", "hello"], "each content once");

    // What vanishes is said, and what runs goes on.
    repo.push(&[("web.yaml", &app_yaml)], "Without the settings");
    app.comes_to("says that the ConfigMap is gone", |status| {
        let missing = status.conditions.iter().find(|condition| condition.type_ == "SettingsMissing");
        missing.map(|_| ()).ok_or_else(|| format!("{:?}", status.conditions))
    })
    .await;
    app.answers("/", "good day from version 1").await;
    assert_eq!(app.status().await.rollout.release.expect("a release").number, 5);

    // The copies go with the app.
    namespace.kubectl(&["delete", "environment", "prod"]);
    namespace.kubectl(&["delete", "webapp", "web"]);
    eventually("the copies are gone", Duration::from_secs(60), async || {
        let copies = copies(&namespace).await;
        if copies.is_empty() { Ok(()) } else { Err(format!("{copies:?}")) }
    })
    .await;
}
