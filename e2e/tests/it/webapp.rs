//! A web app that does not come up, and what its status says of it; and what stays when it goes.

use std::time::Duration;

use drover_crds::{ReleaseStep, condition};
use drover_e2e::{App, Hello, Namespace, eventually, ready, run};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

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
        .health("startupTimeout: 30s")
        .spec("resources: {limits: {memory: 64Mi}}");
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
        .health("startupTimeout: 15s")
        .spec("envFrom: [{prefix: DB_, secretRef: {name: db}}]");
    problem(&namespace, &hello, &["CrashLoopBackOff", "Error"]).await;
    let log = namespace
        .app("web")
        .comes_to("shows the log", |status| {
            let problem =
                status.rollout.release.as_ref().and_then(|release| release.problem.as_ref()).ok_or("no problem")?;
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
async fn what_leaves_the_spec_goes_by_what_is_written_down_and_a_label_takes_nothing() {
    let namespace = Namespace::new("pruned").await;
    let repo = namespace.repository("web");
    let push = |tag: &str, replicas: u32| {
        let hello = hello(&namespace, tag).spec(&format!("replicas: {replicas}"));
        repo.push(&[("web.yaml", &hello.yaml())], &format!("{replicas} of {tag}"))
    };
    // What is written down, and which version of that it is.
    let written = || {
        let inventory = format!("inventory.app.{}.web-0", namespace.name());
        let format = "jsonpath={.metadata.resourceVersion} {.data}";
        let text =
            namespace.bed().kubectl(&["get", "configmap", &inventory, "--namespace", "drover-system", "-o", format]);
        text.split_once(' ').map(|(version, data)| (version.to_owned(), data.to_owned())).expect("a version and data")
    };
    let first = push("1", 2);
    let environment = namespace.follow(&repo).await;
    environment.has_applied(&first).await;
    let app = namespace.app("web");
    app.is_live_at(&first).await;
    let (version, data) = written();
    for kind in ["ServiceAccount", "Service", "NetworkPolicy", "Deployment", "PodDisruptionBudget", "Ingress"] {
        assert!(data.contains(kind), "{kind} is not written down: {data}");
    }
    namespace.apply(&format!(
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: theirs, labels: {{drover.dev/owner: app.{}.web}}}}\nspec: {{minAvailable: 0, selector: {{matchLabels: {{app: theirs}}}}}}\n",
        namespace.name()
    ));
    let second = push("2", 2);
    app.is_live_at(&second).await;
    assert_eq!(written().0, version, "it was written again for the same children");

    let third = push("2", 1);
    eventually("the budget is gone, and nothing is written down of it", Duration::from_secs(60), async || {
        let there = namespace.get::<PodDisruptionBudget>("web").await.is_some();
        let (_, data) = written();
        if !there && !data.contains("PodDisruptionBudget") { Ok(()) } else { Err(format!("there: {there}; {data}")) }
    })
    .await;
    environment.is_ready_at(&third).await;
    assert!(namespace.get::<PodDisruptionBudget>("theirs").await.is_some(), "a budget went because of its label");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_brings_new_pods_of_the_same_release() {
    let namespace = Namespace::new("restart").await;
    let repo = namespace.repository("web");
    let commit = repo.push(&[("web.yaml", &hello(&namespace, "1").yaml())], "Serve");
    namespace.follow(&repo).await.has_applied(&commit).await;
    let app = namespace.app("web");
    let before = app.is_live_at(&commit).await.rollout.release.expect("it is live").number;
    let old = names(&app).await;

    let restarted = namespace.drover(&["restart", "web", "--namespace", namespace.name()]);
    assert_eq!(restarted.code, 0, "{}", restarted.said());
    eventually("all pods are new", Duration::from_secs(60), async || {
        let now = names(&app).await;
        if !now.is_empty() && now.iter().all(|name| !old.contains(name)) { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    assert_eq!(app.is_live_at(&commit).await.rollout.release.expect("it is live").number, before);

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
        let release = status.rollout.release.as_ref().expect("a release");
        assert_eq!(release.step, drover_crds::ReleaseStep::Live, "helm {verb} did not wait for the app: {status:?}");
        assert!(release.image.contains(&format!("hello:{tag}@")), "{release:?}");
        let status = drover_e2e::Environment::named(&namespace, "prod").status().await;
        let applied = status.applied.as_ref().map(|applied| applied.commit.as_str());
        assert_eq!(applied, Some(&*commit), "helm {verb} did not wait for the Environment: {status:?}");
    }
}

/// A server that ends four seconds after it began to listen.
fn short_lived(namespace: &Namespace) -> String {
    let script = "mkdir -p /tmp/www; echo hello from version 3 >/tmp/www/index.html; httpd -p 8080 -h /tmp/www; sleep 4; echo out of memory; exit 1";
    format!(
        "apiVersion: drover.dev/v1alpha1\nkind: WebApp\nmetadata: {{name: web}}\nspec:\n  image: drover.test/busybox:1\n  imagePullPolicy: Never\n  runAs: {{user: 1000}}\n  command: [sh, -c, {script:?}]\n  ports: [{{name: http, port: 8080}}]\n  health: {{probation: 30s}}\n  routes: [{{host: {}, path: /, to: {{app: {{}}}}}}]\n",
        namespace.host()
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_that_ends_after_it_served_never_takes_over() {
    let namespace = Namespace::new("probation").await;
    let repo = namespace.repository("web");
    let first = repo.push(&[("web.yaml", &hello(&namespace, "1").with_probation().yaml())], "Serve");
    namespace.follow(&repo).await.has_applied(&first).await;
    let app = namespace.app("web");
    app.comes_to("is on probation", |status| match status.rollout.release.as_ref().map(|release| release.step) {
        Some(ReleaseStep::Probation) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    app.is_live_at(&first).await;
    let first_pods = names(&app).await;

    let prober = app.probe();
    repo.push(&[("web.yaml", &short_lived(&namespace))], "Die young");
    let message = app
        .comes_to("puts the last good release back", |status| {
            let ready = ready(&status.conditions)?;
            let stalled = ready.status == "False" && status.rollout.serving == Some(1);
            if stalled && ready.message.contains("was put back") {
                Ok(ready.message)
            } else {
                Err(format!("{ready:?}"))
            }
        })
        .await;
    assert!(message.contains("served and then exited with code 1"), "{message}");
    let log = app.status().await.rollout.release.and_then(|release| release.problem).expect("a problem").log;
    assert!(log.iter().any(|line| line == "out of memory"), "{log:?}");
    app.answers("/", "hello from version 1").await;
    let seen = prober.until_it_serves().await;
    // The pod that ended had its share, which is half, of the requests until its node said that it was gone, and once more where it
    // was started again before drover saw that. A release that takes over fails nearly all of them.
    assert!(seen.failures.len() * 4 < seen.answers, "the new pod took over: {seen:?}");
    assert!(seen.longest_gap < Duration::from_secs(3), "{seen:?}");
    eventually("only the pods that served all along are left", Duration::from_secs(60), async || {
        let now = names(&app).await;
        if now == first_pods { Ok(()) } else { Err(format!("{now:?} instead of {first_pods:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_image_that_came_while_the_app_was_off_is_never_live() {
    let namespace = Namespace::new("off").await;
    let repo = namespace.repository("web");
    let push = |tag: &str, replicas: u32| {
        let yaml = hello(&namespace, tag).health("startupTimeout: 30s").spec(&format!("replicas: {replicas}")).yaml();
        repo.push(&[("web.yaml", &yaml)], tag)
    };
    let first = push("1", 1);
    let environment = namespace.follow(&repo).await;
    environment.has_applied(&first).await;
    let app = namespace.app("web");
    app.is_live_at(&first).await;
    // Another number of pods is the same release, and a bad one that never ran is neither live nor failed.
    for (tag, number) in [("1", 1), ("broken", 2)] {
        let commit = push(tag, 0);
        environment.is_ready_at(&commit).await;
        app.comes_to(&format!("is switched off with release {number}"), |status| {
            let release = status.rollout.release.as_ref().ok_or("no release")?;
            let ready = ready(&status.conditions)?;
            let is_off =
                (release.number, ready.reason.as_str(), ready.status.as_str()) == (number, "SwitchedOff", "True");
            if is_off { Ok(()) } else { Err(format!("{release:?} {ready:?}")) }
        })
        .await;
    }
    push("broken", 1);
    app.comes_to("has the release back that served", |status| {
        let ready = ready(&status.conditions)?;
        if ready.message.starts_with("Release 2 failed")
            && ready.message.contains("; release 1 was put back and serves")
        {
            Ok(())
        } else {
            Err(format!("{ready:?}"))
        }
    })
    .await;
    app.answers("/", "hello from version 1").await;
}

async fn names(app: &App<'_>) -> Vec<String> {
    let mut names: Vec<String> = app.pods().await.into_iter().filter_map(|pod| pod.metadata.name).collect();
    names.sort();
    names
}

/// A server as a team makes it by hand, which is stopped without a word to those who use it.
fn by_hand(namespace: &Namespace) -> String {
    let (image, host) = (hello(namespace, "1").image().to_owned(), namespace.host());
    format!(
        "apiVersion: apps/v1
kind: Deployment
metadata: {{name: shop}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: shop}}}}
  template:
    metadata: {{labels: {{app: shop}}}}
    spec:
      securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
      - name: server
        image: {image}
        ports: [{{name: web, containerPort: 8080}}]
        env: [{{name: GREETING, value: good day}}]
        readinessProbe: {{httpGet: {{path: /healthz, port: web}}, periodSeconds: 1}}
        securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: shop}}
spec:
  selector: {{app: shop}}
  ports: [{{name: http, port: 80, targetPort: web}}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {{name: shop}}
spec:
  rules:
  - host: {host}
    http: {{paths: [{{path: /, pathType: Prefix, backend: {{service: {{name: shop, port: {{name: http}}}}}}}}]}}
"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_app_is_taken_over_as_advised_without_losing_a_request() {
    let namespace = Namespace::new("takeover").await;
    namespace.apply(&by_hand(&namespace));
    let app = namespace.app("shop");
    app.answers("/", "good day from version 1").await;
    let prober = app.probe();

    let repo = namespace.repository("shop");
    let shop = Hello::new("shop", "2", &namespace.host()).health("path: /healthz").spec("replicas: 2");
    let commit = repo.push(&[("shop.yaml", &shop.yaml())], "Shop");
    let environment = namespace.follow(&repo).await;
    environment.has_applied(&commit).await;
    let said = app
        .comes_to("says how what runs is handed over", |status| {
            let ready = ready(&status.conditions)?;
            if ready.reason == "OwnedByAnother" { Ok(ready.message) } else { Err(format!("{ready:?}")) }
        })
        .await;
    let command = said.split('`').nth(1).unwrap_or_else(|| panic!("no command in: {said}"));
    let mut words = command.split(' ');
    assert_eq!(words.next(), Some("kubectl"), "{said}");
    assert!(app.page("/").await.contains("version 1"));
    // Nothing of it was touched before a person said so.
    let managers = app.deployment().await.metadata.managed_fields.unwrap_or_default();
    assert!(managers.iter().all(|entry| !entry.manager.as_deref().unwrap_or_default().starts_with("drover")));

    namespace.bed().kubectl(&words.collect::<Vec<_>>());
    app.is_live_at(&commit).await;
    app.answers("/", "hello from version 2").await;
    let spec = app.deployment().await.spec.expect("a Deployment has a spec");
    assert_eq!(spec.selector.match_labels, Some([("app".to_owned(), "shop".to_owned())].into()));
    let containers = spec.template.spec.expect("pods have a spec").containers;
    assert_eq!(containers.iter().map(|container| container.name.as_str()).collect::<Vec<_>>(), ["app"]);
    let ports = namespace.get::<Service>("shop").await.and_then(|service| service.spec?.ports).unwrap_or_default();
    let mut numbers: Vec<i32> = ports.iter().map(|port| port.port).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, [80, 8080], "whoever used the old port would miss it");

    // From then on it is an app like any other, and changes nothing by itself.
    let next = repo.push(&[("shop.yaml", &shop.tag("1").yaml())], "The next version");
    app.is_live_at(&next).await;
    environment.is_ready_at(&next).await;
    app.answers("/", "hello from version 1").await;
    let seen = prober.until_it_serves().await;
    assert!(seen.answers > 50, "the app was not watched: {seen:?}");
    assert!(seen.failures.is_empty(), "the takeover was felt: {:?}", seen.failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_ingress_controller_cuts_is_said_and_nginx_is_told() {
    let namespace = Namespace::new("expose").await;
    let nginx = format!("nginx-{}", namespace.name());
    namespace.apply(&format!(
        "apiVersion: networking.k8s.io/v1\nkind: IngressClass\nmetadata: {{name: {nginx}}}\nspec: {{controller: k8s.io/ingress-nginx}}\n"
    ));
    let repo = namespace.repository("web");
    let push = |class: &str| {
        let expose = format!("expose: {{maxBodySize: 100Mi, timeout: 3m{class}}}");
        repo.push(&[("web.yaml", &hello(&namespace, "1").spec(&expose).yaml())], "Expose")
    };
    let annotations = async || {
        let ingress = namespace.get::<Ingress>("web").await.expect("an app with a route has an Ingress");
        ingress.metadata.annotations.unwrap_or_default()
    };
    let told = "nginx.ingress.kubernetes.io/proxy-body-size";

    let traefik = push("");
    namespace.follow(&repo).await.has_applied(&traefik).await;
    let app = namespace.app("web");
    let status = app.is_live_at(&traefik).await;
    let limited = condition::get(&status.conditions, condition::EXPOSE_LIMITED).expect("Traefik cuts long uploads");
    assert_eq!((limited.status.as_str(), limited.reason.as_str()), ("True", "EntryPointTimeout"), "{limited:?}");
    assert!(!annotations().await.contains_key(told));

    let commit = push(&format!(", ingressClassName: {nginx}"));
    let status = app.is_live_at(&commit).await;
    assert!(condition::get(&status.conditions, condition::EXPOSE_LIMITED).is_none(), "{:?}", status.conditions);
    assert_eq!(annotations().await.get(told).map(String::as_str), Some("104857600"));
    namespace.bed().kubectl(&["delete", "ingressclass", &nginx]);
}
