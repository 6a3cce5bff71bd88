//! The front of an app: nginx before it, where its routes ask for that.

mod assets;
mod nginx;

use std::time::Duration;

use drover_crds::condition::{self, ADDRESSES_HIDDEN, READY, ROUTES_UNAVAILABLE, get};
use drover_e2e::{Answer, DataServer, Hello, Namespace, Testbed, ask, eventually, front_image};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::api::ListParams;

const SOON: Duration = Duration::from_secs(90);

/// Where the tests' requests come from, as Traefik sees them.
const FROM_HERE: &str = "203.0.113.0/24";

/// An app of busybox that serves what `script` puts into /srv, which is a volume.
fn static_app(namespace: &Namespace, script: &str, more: &str) -> String {
    let script = format!("{script}; httpd -f -p 8080 -h /srv");
    format!(
        "apiVersion: drover.dev/v1alpha1
kind: WebApp
metadata: {{name: web}}
spec:
  image: drover.test/busybox:1
  imagePullPolicy: Never
  runAs: {{user: 1000}}
  command: [sh, -c, {script:?}]
  ports: [{{name: http, port: 8080}}]
  health: {{probation: 0s}}
  volumes: [{{name: srv, mounts: [{{mountPath: /srv}}], claim: {{resources: {{requests: {{storage: 16Mi}}}}, retentionPolicy: Delete}}}}]
{}",
        more.replace("HOST", &namespace.host())
    )
}

/// Asks through the Ingress until `is_so`.
async fn comes_to(
    namespace: &Namespace,
    host: &str,
    path: &str,
    what: &str,
    is_so: impl Fn(&Answer) -> bool,
) -> Answer {
    eventually(&format!("{host}{path} {what}"), SOON, async || {
        let answer = ask(&namespace.ingress(), host, path, &[]).await?;
        if is_so(&answer) { Ok(answer) } else { Err(format!("{answer:?}")) }
    })
    .await
}

/// The names of the front's pods that are not about to end.
async fn front_pods(namespace: &Namespace) -> Vec<String> {
    let params = ListParams::default().labels("drover.dev/component=front");
    let pods = namespace.api::<Pod>().list(&params).await.expect("pods can be listed").items;
    let stays = |pod: &Pod| pod.metadata.deletion_timestamp.is_none();
    pods.into_iter().filter(stays).filter_map(|pod| pod.metadata.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hosts_stand_behind_one_front_that_judges_who_asks_and_logs_both() {
    front_image(Testbed::shared());
    let namespace = Namespace::new("front").await;
    let (host, tree) = (namespace.host(), format!("tree.{}", namespace.host()));
    let repo = namespace.repository("web");
    let routes = |to_tree: &str, header: &str| {
        format!(
            "routes:
  - {{host: HOST, to: {{app: {{}}}}, allowFrom: [{FROM_HERE}], headers: {{X-Served-By: {header}}}}}
  - {{host: HOST, path: /inner, to: {{app: {{}}}}, allowFrom: [198.51.100.0/24]}}
  - {{host: HOST, path: /old, to: {{app: {{}}}}, rewritePath: /sub}}
  - {{host: HOST, path: /files, to: {{static: {{volume: srv}}}}}}
  - {{host: {tree}, to: {{service: {{name: tree, port: {to_tree}}}}}}}
  logs: {{mountPath: /logs, timeZone: Europe/London, claim: {{resources: {{requests: {{storage: 16Mi}}}}, retentionPolicy: Delete}}}}"
        )
    };
    let script = "mkdir -p /srv/sub /srv/report; echo page >/srv/index.html; echo below >/srv/sub/a.txt; echo report >/srv/report/index.html";
    let app_yaml =
        |to_tree: &str, header: &str| static_app(&namespace, script, &format!("  {}\n", routes(to_tree, header)));
    let first = repo.push(&[("web.yaml", &app_yaml("4001", "one"))], "Serve by a front");
    let environment = namespace.follow(&repo).await;
    environment.has_applied(&first).await;
    let app = namespace.app("web");
    let status = app.is_live_at(&first).await;
    let unavailable = condition::get(&status.conditions, ROUTES_UNAVAILABLE).expect("a Service is missing");
    assert_eq!(unavailable.reason, "ServiceMissing");
    let said = format!("{tree}/ answers 503, because there is no Service tree");
    assert!(unavailable.message.starts_with(&said), "{unavailable:?}");

    // Who asks from here may, and nobody who only says to be somebody else.
    let page = comes_to(&namespace, &host, "/", "is served", |answer| answer.status == 200).await;
    assert_eq!((page.body.trim(), page.headers("X-Served-By")), ("page", vec!["one"]));
    for headers in [&[][..], &[("X-Forwarded-For", "198.51.100.7")]] {
        let denied = ask(&namespace.ingress(), &host, "/inner", headers).await.expect("it answers");
        assert_eq!(denied.status, 403, "{denied:?}");
    }
    let get = async |path: &str| ask(&namespace.ingress(), &host, path, &[]).await.expect("it answers");
    assert_eq!(get("/old/a.txt").await.body.trim(), "below");
    assert_eq!(get("/files/sub/a.txt").await.body.trim(), "below");
    assert_eq!(get("/files/report").await.headers("Location"), ["/files/report/"]);
    assert_eq!(get("/files/missing.js").await.status, 404);
    let away = ask(&namespace.ingress(), &tree, "/", &[]).await.expect("it answers");
    assert_eq!((away.status, away.headers("Content-Type")), (503, vec!["text/plain"]), "{away:?}");

    // The Service is made: its routes are served, and no pod of the app is another.
    let pods = app.standing().await;
    let service = |port: u16| {
        format!(
            "apiVersion: v1\nkind: Service\nmetadata: {{name: tree}}\nspec: {{selector: {{app.kubernetes.io/name: web, drover.dev/component: web}}, ports: [{{port: {port}, targetPort: 8080}}]}}\n"
        )
    };
    namespace.apply(&service(4001));
    comes_to(&namespace, &tree, "/", "is served", |answer| answer.status == 200).await;
    app.comes_to("has no route that leads nowhere", |status| {
        match condition::get(&status.conditions, ROUTES_UNAVAILABLE) {
            None => Ok(()),
            Some(condition) => Err(format!("{condition:?}")),
        }
    })
    .await;
    // Made anew it has another address.
    let address = namespace.get::<Service>("tree").await.and_then(|service| service.spec?.cluster_ip);
    namespace.kubectl(&["delete", "service", "tree"]);
    comes_to(&namespace, &tree, "/", "leads nowhere", |answer| answer.status == 503).await;
    namespace.apply(&service(4001));
    comes_to(&namespace, &tree, "/", "is served again", |answer| answer.status == 200).await;
    let anew = namespace.get::<Service>("tree").await.and_then(|service| service.spec?.cluster_ip);
    assert_ne!(address, anew, "the test shows nothing: the address is the same");

    // A change of the routes is the front's alone, and one of the app is the app's.
    let second = repo.push(&[("web.yaml", &app_yaml("4001", "two"))], "Another header");
    app.is_live_at(&second).await;
    comes_to(&namespace, &host, "/", "has the other header", |answer| answer.headers("X-Served-By") == ["two"]).await;
    assert_eq!(app.standing().await, pods, "a route restarted the app");
    let fronts = front_pods(&namespace).await;
    let restarted = namespace.drover(&["restart", "web", "--namespace", namespace.name()]);
    assert_eq!(restarted.code, 0, "{}", restarted.said());
    eventually("the app's pods are others", SOON, async || {
        let now = app.standing().await;
        if now.is_disjoint(&pods) && !now.is_empty() { Ok(()) } else { Err(format!("{now:?}")) }
    })
    .await;
    app.is_live_at(&second).await;
    assert_eq!(front_pods(&namespace).await, fronts, "a restart of the app restarted its front");

    // Jobs see the log of both hosts; the app does not.
    comes_to(&namespace, &host, "/?seen", "is served", |answer| answer.status == 200).await;
    comes_to(&namespace, &tree, "/?seen", "is served", |answer| answer.status == 200).await;
    let run = ["run", "web", "--namespace", namespace.name(), "--", "sh", "-c", "cat /logs/access-*.log"];
    let log = namespace.drover(&run);
    let lines: Vec<&str> = log.stdout.lines().filter(|line| line.contains("\"GET /?seen HTTP/1.1\" 200 ")).collect();
    assert!(
        log.code == 0 && lines.len() == 2 && lines.iter().all(|line| line.starts_with("- - - [")),
        "{}",
        log.said()
    );

    // What is wrong in a route is said, and changes nothing.
    let bad = app_yaml("4001", "two").replace("path: /old", "path: '/old;}'");
    repo.push(&[("web.yaml", &bad)], "Break out of the configuration");
    eventually("the bad path is refused", SOON, async || {
        let status = environment.status().await;
        let said = format!("{:?}", status.conditions);
        if said.contains("/old;}") || said.contains("routes") { Ok(()) } else { Err(said) }
    })
    .await;
    assert_eq!(get("/old/a.txt").await.body.trim(), "below");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobodys_address_comes_through_a_condition_says_what_to_change() {
    front_image(Testbed::shared());
    let namespace = Namespace::new("front-hidden").await;
    let host = namespace.host();
    let app_yaml = Hello::new("web", "1", &host).yaml();
    namespace.apply(&app_yaml.replace("to: {app: {}}}", &format!("to: {{app: {{}}}}, allowFrom: [{FROM_HERE}]}}")));
    let app = namespace.app("web");
    // A pod of the cluster asks: Traefik sees its address, which is one of those that proxies have.
    let inside = format!(
        "for n in 1 2 3 4 5 6 7 8 9; do printf 'GET / HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n' | nc {} 80; sleep 2; done",
        namespace.bed().node_ip()
    );
    app.comes_to("is ready", |status| match get(&status.conditions, READY) {
        Some(ready) if ready.status == "True" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    namespace.apply(&format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: asks}}\nspec:\n  restartPolicy: Never\n  securityContext: {{runAsNonRoot: true, runAsUser: 1000, seccompProfile: {{type: RuntimeDefault}}}}\n  containers: [{{name: asks, image: 'drover.test/busybox:1', imagePullPolicy: Never, command: [sh, -c, {inside:?}], securityContext: {{allowPrivilegeEscalation: false, capabilities: {{drop: [ALL]}}}}}}]\n"
    ));
    let said = app
        .comes_to("says that addresses are hidden", |status| match get(&status.conditions, ADDRESSES_HIDDEN) {
            Some(hidden) => Ok(hidden.message.clone()),
            None => Err(format!("{:?}", status.conditions)),
        })
        .await;
    assert!(said.contains("came from 10.244.") && said.contains("externalTrafficPolicy: Local"), "{said}");
    // Somebody's own address comes through.
    comes_to(&namespace, &host, "/", "is served", |answer| answer.status == 200).await;
    app.comes_to("says so no more", |status| match get(&status.conditions, ADDRESSES_HIDDEN) {
        None => Ok(()),
        Some(hidden) => Err(hidden.message.clone()),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_led_to_a_front_that_does_not_serve_and_one_that_is_not_needed_goes() {
    front_image(Testbed::shared());
    let namespace = Namespace::new("front-on").await;
    let repo = namespace.repository("web");
    let yaml = |more: &str| {
        let yaml = Hello::new("web", "1", &namespace.host()).yaml();
        yaml.replace("to: {app: {}}}", &format!("to: {{app: {{}}}}{more}}}"))
    };
    let first = repo.push(&[("web.yaml", &yaml(""))], "Serve without a front");
    namespace.follow(&repo).await.has_applied(&first).await;
    let app = namespace.app("web");
    app.is_live_at(&first).await;
    app.answers("/", "hello").await;
    assert!(namespace.get::<Deployment>("web-front").await.is_none(), "nothing asks for a front");
    let probe = app.probe();
    let backend = async || {
        let ingress = namespace.get::<Ingress>("web").await.expect("an Ingress");
        ingress
            .spec
            .and_then(|spec| spec.rules?.remove(0).http?.paths.remove(0).backend.service)
            .map(|service| service.name)
    };

    let second = repo.push(&[("web.yaml", &yaml(", headers: {X-Frame-Options: DENY}"))], "Put a front before it");
    app.is_live_at(&second).await;
    comes_to(&namespace, &namespace.host(), "/", "has the header", |answer| {
        answer.headers("X-Frame-Options") == ["DENY"]
    })
    .await;
    assert_eq!(backend().await.as_deref(), Some("web-front"));
    let third = repo.push(&[("web.yaml", &yaml(""))], "Take it away");
    app.is_live_at(&third).await;
    eventually("nothing is left of the front", SOON, async || {
        let (deployment, service) =
            (namespace.get::<Deployment>("web-front").await, namespace.get::<Service>("web-front").await);
        let left = deployment.is_some() || service.is_some() || namespace.get::<ConfigMap>("web-front").await.is_some();
        if left { Err("it is there".to_owned()) } else { Ok(()) }
    })
    .await;
    assert_eq!(backend().await.as_deref(), Some("web"));
    let seen = probe.until_it_serves().await;
    assert!(seen.failures.is_empty(), "requests were lost: {:?}", seen.failures);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_a_data_sync_are_served_and_new_ones_replace_no_pod_of_the_app() {
    front_image(Testbed::shared());
    let namespace = Namespace::new("front-data").await;
    let host = namespace.host();
    let server = DataServer::start("front");
    server.put("page.html", "first page of the docs\n");
    let routes = format!(
        "{{host: {host}, path: /, to: {{app: {{}}}}}}\n  - {{host: {host}, path: /docs, to: {{static: {{dataSync: docs}}}}}}"
    );
    let app_yaml = Hello::new("web", "1", &host).yaml();
    namespace.apply(&app_yaml.replace(&format!("{{host: {host}, path: /, to: {{app: {{}}}}}}"), &routes));
    let app = namespace.app("web");
    app.answers("/", "hello").await;
    app.comes_to("says that files are missing", |status| {
        match condition::get(&status.conditions, ROUTES_UNAVAILABLE) {
            Some(said)
                if said.reason == "DataMissing" && said.message.contains(&format!("{host}/docs answers 503")) =>
            {
                Ok(())
            }
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let missing = ask(&namespace.ingress(), &host, "/docs/", &[]).await.expect("it answers");
    assert_eq!(missing.status, 503, "{missing:?}");
    let before = app.standing().await;

    for publish in ["Rollout", "Live"] {
        namespace.apply(&format!(
            "apiVersion: drover.dev/v1alpha1\nkind: DataSync\nmetadata: {{name: docs}}\nspec: {{source: {{http: {{url: {:?}, to: index.html}}}}, publish: {publish}, claim: {{resources: {{requests: {{storage: 16Mi}}}}, retentionPolicy: Delete}}}}\n",
            server.url("page.html")
        ));
        comes_to(&namespace, &host, "/docs/", "is served", |answer| {
            answer.status == 200
                && answer.body.contains("first page")
                && answer.headers("Cache-Control") == ["no-cache"]
        })
        .await;
    }
    // Of what is published live, new files are seen by the pods that are there.
    server.put("page.html", "second page of the docs\n");
    let synced = namespace.drover(&["sync", "docs", "--namespace", namespace.name()]);
    assert_eq!(synced.code, 0, "{}", synced.said());
    comes_to(&namespace, &host, "/docs/", "is new", |answer| answer.body.contains("second page")).await;
    let hidden = ask(&namespace.ingress(), &host, "/docs/.drover/", &[]).await.expect("it answers");
    assert_eq!(hidden.status, 404, "drover's own folder is served: {hidden:?}");
    assert_eq!(app.standing().await, before, "new files replaced the app's pods");
}
