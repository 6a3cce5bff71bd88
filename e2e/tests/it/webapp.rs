//! A web app that does not come up, and what its status says of it; and what stays when it goes.

use std::time::Duration;

use drover_e2e::{Hello, Namespace, eventually, run};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;
use k8s_openapi::api::networking::v1::NetworkPolicy;

/// Pushes the app, waits until its release has one of these problems, and returns the message.
async fn problem(namespace: &Namespace, hello: &Hello, reasons: &[&str]) -> drover_crds::Problem {
    let repo = namespace.repository("web");
    let commit = repo.push(&[("web.yaml", &hello.yaml())], "Serve");
    namespace.follow(&repo).await.has_applied(&commit).await;
    namespace.app("web").fails_with(reasons).await
}

fn hello(namespace: &Namespace, tag: &str) -> Hello {
    Hello::new("web", tag, &namespace.host())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_takes_too_much_memory_is_told_its_limit() {
    let namespace = Namespace::new("memory").await;
    let hello = hello(&namespace, "1")
        .env("EAT_MEMORY", "300")
        .spec("resources: {limits: {memory: 64Mi}}\nhealth: {startupTimeout: 30s}");
    let problem = problem(&namespace, &hello, &["OOMKilled"]).await;
    assert!(problem.message.contains("64Mi"), "the sentence does not name the limit: {}", problem.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_no_node_can_hold_is_told_why() {
    let namespace = Namespace::new("unschedulable").await;
    let hello = hello(&namespace, "1").spec("resources: {requests: {memory: 900Gi}, limits: {memory: 900Gi}}");
    let problem = problem(&namespace, &hello, &["Unschedulable"]).await;
    assert!(problem.message.contains("memory"), "the sentence does not say what is short: {}", problem.message);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_the_log_of_a_crashed_container_is_masked() {
    let namespace = Namespace::new("masked").await;
    namespace.kubectl(&["create", "secret", "generic", "db", "--from-literal=PASSWORD=correct-horse-battery"]);
    let hello = hello(&namespace, "1")
        .env("EXIT_CODE", "3")
        .env("LOG_ENV", "DB_PASSWORD")
        .spec("envFrom: [{prefix: DB_, secretRef: {name: db}}]\nhealth: {startupTimeout: 15s}");
    problem(&namespace, &hello, &["CrashLoopBackOff", "Error"]).await;
    let log = namespace
        .app("web")
        .comes_to("shows the log", |status| {
            let problem = status.release.as_ref().and_then(|release| release.problem.as_ref()).ok_or("no problem")?;
            let log = problem.log.join("\n");
            if log.contains("DB_PASSWORD is") { Ok(log) } else { Err(log) }
        })
        .await;
    assert!(!log.contains("correct-horse-battery"), "the password is in the status: {log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retained_claim_outlives_its_app_and_a_deleted_one_does_not() {
    let namespace = Namespace::new("claims").await;
    let strangers = Namespace::not_allowed("strangers").await;
    for (name, retention, stays) in [("kept", "Retain", true), ("dropped", "Delete", false)] {
        let repo = namespace.repository(name);
        let yaml = Hello::new(name, "1", &format!("{name}.{}", namespace.host())).with_volume(retention).yaml();
        let commit = repo.push(&[("web.yaml", &yaml)], "Serve");
        let environment = drover_e2e::Environment::create(&namespace, name, &repo, |spec| {
            spec.deletion_policy = Some(drover_crds::DeletionPolicy::Delete);
        })
        .await;
        environment.has_applied(&commit).await;
        namespace.app(name).is_live_at(&commit).await;
        // What others labelled as the app's: in their own namespace, and a copy beside the app.
        let copy = format!("{name}-copy");
        for (place, policy) in [(&strangers, name), (&namespace, copy.as_str())] {
            let label = format!("app.{}.{name}", namespace.name());
            place.apply(&format!(
                "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: {policy}, labels: {{drover.dev/owner: {label}}}}}\nspec: {{podSelector: {{}}, policyTypes: []}}\n"
            ));
        }
        environment.delete().await;
        let claim = format!("{name}-data");
        eventually(&format!("the app {name} is gone"), Duration::from_secs(60), async || {
            let pods = namespace.app(name).pods().await;
            if pods.is_empty() { Ok(()) } else { Err(format!("{} pods", pods.len())) }
        })
        .await;
        eventually(&format!("the claim {claim} is there: {stays}"), Duration::from_secs(60), async || {
            let found = namespace.get::<PersistentVolumeClaim>(&claim).await;
            let there = found.is_some_and(|claim| claim.metadata.deletion_timestamp.is_none());
            if there == stays { Ok(()) } else { Err(format!("there: {there}")) }
        })
        .await;
        assert!(
            strangers.get::<NetworkPolicy>(name).await.is_some(),
            "the policy of another namespace went with {name}"
        );
        assert!(namespace.get::<NetworkPolicy>(&copy).await.is_some(), "the copy of the policy went with {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_brings_new_pods_of_the_same_release() {
    let namespace = Namespace::new("restart").await;
    let repo = namespace.repository("web");
    let commit = repo.push(&[("web.yaml", &hello(&namespace, "1").yaml())], "Serve");
    namespace.follow(&repo).await.has_applied(&commit).await;
    let app = namespace.app("web");
    let before = app.is_live_at(&commit).await.release.expect("it is live").number;
    let names = async || app.pods().await.into_iter().filter_map(|pod| pod.metadata.name).collect::<Vec<_>>();
    let old = names().await;

    let restarted = namespace.drover(&["restart", "web", "--namespace", namespace.name()]);
    assert_eq!(restarted.code, 0, "{}", restarted.said());
    eventually("all pods are new", Duration::from_secs(60), async || {
        let now = names().await;
        if !now.is_empty() && now.iter().all(|name| !old.contains(name)) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    assert_eq!(app.is_live_at(&commit).await.release.expect("it is live").number, before);

    let log = namespace.drover(&["logs", "web", "--namespace", namespace.name()]);
    assert!(log.code == 0 && log.stdout.contains("hello 1 starts"), "drover logs: {}", log.said());
}

/// Helm waits by the kstatus rules, which take an object without a status for finished.
#[tokio::test(flavor = "multi_thread")]
async fn helm_waits_until_what_its_chart_brings_lives() {
    let namespace = Namespace::new("helm").await;
    let repo = namespace.repository("config");
    let commit = repo.push(&[("config.yaml", "{apiVersion: v1, kind: ConfigMap, metadata: {name: shared}}")], "Share");
    namespace.apply(&namespace.git_server().secret_for_https("git-read"));
    let environment = drover_crds::Environment::new("prod", drover_e2e::Environment::spec(&repo));
    let chart = tempfile::tempdir().expect("a folder");
    let write = |name: &str, text: &str| std::fs::write(chart.path().join(name), text).expect("the chart is written");
    std::fs::create_dir(chart.path().join("templates")).expect("a folder");
    write("Chart.yaml", "{apiVersion: v2, name: shop, version: 0.1.0}");
    write("templates/prod.yaml", &serde_json::to_string(&environment).expect("JSON"));
    let helm = |verb: &str| {
        let mut helm = namespace.bed().program("helm");
        helm.args([verb, "shop", "--namespace", namespace.name(), "--wait", "--timeout", "120s"]).arg(chart.path());
        run(&mut helm);
    };
    let app = namespace.app("web");
    for (verb, tag) in [("install", "1"), ("upgrade", "2")] {
        write("templates/web.yaml", &hello(&namespace, tag).yaml());
        helm(verb);
        // Looked at once: nothing is waited for any more.
        let status = app.status().await;
        let release = status.release.as_ref().expect("a release");
        assert_eq!(release.step, drover_crds::ReleaseStep::Live, "helm {verb} did not wait for the app: {status:?}");
        assert!(release.image.contains(&format!("hello:{tag}@")), "{release:?}");
        let status = drover_e2e::Environment::named(&namespace, "prod").status().await;
        let applied = status.applied.as_ref().map(|applied| applied.commit.as_str());
        assert_eq!(applied, Some(&*commit), "helm {verb} did not wait for the Environment: {status:?}");
    }
}
