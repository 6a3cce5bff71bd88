//! The whole way: a push to `prod` becomes a running web app; a bad push leaves the old version serving and says why.

use std::time::Duration;

use drover_crds::LABEL_RELEASE;
use drover_e2e::{App, Environment, GitRepo, Hello, Namespace, System, eventually};
use k8s_openapi::api::core::v1::Pod;

/// The Environment is made as a team makes it, by `drover init`.
fn init(namespace: &Namespace, repo: &GitRepo) {
    let server = drover_e2e::GitServer::shared();
    let authority = server.authority().display().to_string();
    let made = namespace.drover_with_input(
        &[
            "init",
            "prod",
            "--namespace",
            namespace.name(),
            "--url",
            &repo.https(),
            "--branch",
            "prod",
            "--username",
            server.username(),
            "--password-stdin",
            "--ca-file",
            &authority,
        ],
        server.password(),
    );
    assert_eq!(made.code, 0, "drover init failed:\n{}", made.said());
    // Tests do not wait for a minute's poll.
    namespace.kubectl(&[
        "patch",
        "environment",
        "prod",
        "--type=merge",
        r#"--patch={"spec":{"source":{"interval":"5s"}}}"#,
    ]);
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
    conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
}

/// `drover status` says all of `words`.
async fn status_names(namespace: &Namespace, words: &[&str]) -> String {
    eventually(&format!("drover status names {words:?}"), Duration::from_secs(60), async || {
        let status = namespace.drover(&["status", "--namespace", namespace.name()]);
        if words.iter().all(|word| status.stdout.contains(word)) { Ok(status.stdout) } else { Err(status.said()) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_becomes_a_running_app_and_a_bad_push_leaves_it_serving() {
    let namespace = Namespace::new("spine").await;
    let repo = namespace.repository("hello");
    let hello = System::first("hello").in_namespace(&namespace, "hello");
    let first = hello.push(&repo, "Serve");
    init(&namespace, &repo);
    let environment = Environment::named(&namespace, "prod");
    let app: App = namespace.app("hello");

    environment.is_ready_at(&first).await;
    app.answers("/", "hello from version 1").await;
    let live = app.is_live_at(&first).await;
    let pods = app.pods().await;
    assert!(pods.iter().any(is_ready), "what answered is no pod of the app");
    let image = live.rollout.release.expect("a live app has a release").image;
    assert!(image.contains("@sha256:"), "the release runs a tag, not a digest: {image}");

    let prober = app.probe();

    // A broken image.
    let broken = hello.clone().with("hello:1", "hello:broken").push(&repo, "Break the image");
    let problem = app
        .comes_to("fails, and shows the crashed container's log", |status| {
            let problem =
                status.rollout.release.as_ref().and_then(|release| release.problem.clone()).ok_or("no problem")?;
            let logged = problem.log.iter().any(|line| line.contains("cannot connect to the database"));
            let named = ["CrashLoopBackOff", "Error"].contains(&problem.reason.as_str());
            if named && logged { Ok(problem) } else { Err(format!("{problem:?}")) }
        })
        .await;
    let pod = problem.pod.expect("a crash shows in a pod");
    // Between two restarts the reason is another.
    let said = status_names(&namespace, &["Rollout", &pod]).await;
    assert!(said.contains("cannot connect to the database"), "drover status does not show the log:\n{said}");
    app.answers("/", "hello from version 1").await;

    // A syntax error.
    let before = app.deployment().await.metadata.resource_version;
    hello.with("{name: hello}", "{name: hello").push(&repo, "Slip");
    environment.complains_of(&["hello.yaml:"]).await;
    let said = status_names(&namespace, &["hello.yaml:"]).await;
    assert!(
        said.contains(&first[..7]) || said.contains(&broken[..7]),
        "drover status does not say what is applied:\n{said}"
    );
    assert_eq!(
        app.deployment().await.metadata.resource_version,
        before,
        "a commit that cannot be read changed something"
    );
    app.answers("/", "hello from version 1").await;

    // Reverting heals both.
    let healed = repo.revert(2);
    environment.is_ready_at(&healed).await;
    app.is_live_at(&healed).await;
    app.answers("/", "hello from version 1").await;
    let names = |pods: &[Pod]| pods.iter().filter_map(|pod| pod.metadata.name.clone()).collect::<Vec<_>>();
    eventually("only the pods of before are there", Duration::from_secs(60), async || {
        let now = app.pods().await;
        if names(&now) == names(&pods) {
            Ok(())
        } else {
            Err(format!("{:?} instead of {:?}", names(&now), names(&pods)))
        }
    })
    .await;
    let served = prober.until_it_serves().await;
    assert!(served.answers > 50, "the app was not watched: {served:?}");
    assert!(served.failures.is_empty(), "the app did not serve all the time: {:?}", served.failures);

    // And a good push still goes through.
    let second = System::second("hello").in_namespace(&namespace, "hello").push(&repo, "Version 2");
    app.is_live_at(&second).await;
    app.answers("/", "hello from version 2").await;
    let failures = prober.until_it_serves().await.failures;
    assert!(failures.is_empty(), "the update was felt: {failures:?}");

    // What took over is reverted with new pods, which are on trial as any are.
    let third = repo.revert(1);
    let number = app.is_live_at(&third).await.rollout.release.expect("a release").number.to_string();
    app.answers("/", "hello from version 1").await;
    let newest = app.deployment().await.spec.and_then(|spec| spec.template.metadata).and_then(|meta| meta.labels);
    assert_eq!(newest.and_then(|mut labels| labels.remove(LABEL_RELEASE)), Some(number));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_writes_to_its_own_volume_comes_back_after_a_bad_push() {
    let namespace = Namespace::new("volume").await;
    let repo = namespace.repository("web");
    let hello =
        Hello::new("web", "1", &namespace.host()).with_volume("Delete").health("path: /healthz, startupTimeout: 30s");
    let first = repo.push(&[("web.yaml", &hello.yaml())], "Serve");
    init(&namespace, &repo);
    let environment = Environment::named(&namespace, "prod");
    let app = namespace.app("web");
    app.is_live_at(&first).await;
    app.answers("/data", "version 1").await;

    // A good push: the old pod has to end before the new one may write.
    let prober = app.probe();
    let second = repo.push(&[("web.yaml", &hello.clone().tag("2").yaml())], "Version 2");
    let live = app.is_live_at(&second).await;
    app.answers("/", "hello from version 2").await;
    let good = prober.until_it_serves().await.longest_gap;
    let said = live.rollout.release.and_then(|release| release.unavailable_seconds);
    println!(
        "a good push to an app with a volume of its own: nothing served for {good:.1?}; the status says {said:?} s"
    );
    let said = Duration::from_secs(
        said.expect("the status says for how long nothing served").try_into().expect("not negative"),
    );
    // The Ingress of a busy machine is late to hear of the new pod, and drover cannot know.
    let (early, late) = (Duration::from_secs(5), Duration::from_secs(12));
    assert!(good + early >= said && good <= said + late, "the status says {said:?}, but nothing served for {good:?}");
    drop(prober);

    // A bad one: its image is pulled first, it crashes, and the last good release comes back.
    let prober = app.probe();
    repo.push(&[("web.yaml", &hello.clone().tag("broken").yaml())], "Break the image");
    let problem = app.fails_with(&["CrashLoopBackOff", "Error"]).await;
    // Its reason may become a more telling one while it crashes again.
    status_names(&namespace, &[problem.pod.as_deref().expect("a crash shows in a pod")]).await;
    app.comes_to("serves the last good release again", |status| {
        let ready = status.rollout.replicas.as_ref().map_or(0, |replicas| replicas.ready);
        if ready == 1 && status.rollout.serving.is_some() {
            Ok(())
        } else {
            Err(format!("{:?}, serving {:?}", status.rollout.release, status.rollout.serving))
        }
    })
    .await;
    app.answers("/", "hello from version 2").await;
    let bad = prober.until_it_serves().await.longest_gap;
    println!("a bad push to an app with a volume of its own: nothing served for {bad:.1?}");
    let data = app.page("/data").await;
    assert!(data.starts_with("version 1\nversion 2\n"), "the data was lost: {data:?}");
    drop(prober);

    // A missing image is found before anything stops.
    let prober = app.probe();
    let missing = repo.push(&[("web.yaml", &hello.clone().tag("missing").yaml())], "No such image");
    environment.has_applied(&missing).await;
    app.comes_to("says that the image is missing", |status| {
        let message = status
            .rollout
            .release
            .as_ref()
            .and_then(|release| release.problem.as_ref())
            .map(|problem| &problem.message);
        match message {
            Some(message) if message.contains("hello:missing") => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let failures = prober.until_it_serves().await.failures;
    assert!(failures.is_empty(), "a missing image stopped the app: {failures:?}");

    // Reverting heals.
    let healed = repo.revert(2);
    app.is_live_at(&healed).await;
    environment.is_ready_at(&healed).await;
    app.answers("/", "hello from version 2").await;
}
