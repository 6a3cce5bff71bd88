//! One bad object, or tenant, never stops the others.

use std::time::{Duration, Instant};

use drover_crds::{LEASE, WebApp};
use drover_e2e::{Controller, Environment, Hello, Namespace, Stage, eventually, within};
use k8s_openapi::api::core::v1::Service;
use kube::api::ListParams;

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

/// How long something may take beside others that are ill, where it takes `alone` without them on this machine at this time. Who waits for
/// somebody that waits for a network takes half a minute more.
fn beside_the_ill(alone: Duration) -> Duration {
    4 * alone + Duration::from_secs(10)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_failing_environments_do_not_delay_a_good_one() {
    let namespace = Namespace::new("crowd").await;
    let good = namespace.repository("good");
    let becomes_ready = async |name: &str, map: &str| {
        let path = format!("{name}/map.yaml");
        let commit = good.push(&[(&path, map)], name);
        let began = Instant::now();
        Environment::create(&namespace, name, &good, |spec| spec.source.path = Some(name.to_owned()))
            .await
            .is_ready_at(&commit)
            .await;
        began.elapsed()
    };
    let alone = becomes_ready("alone", MAP).await;
    let repo = namespace.repository("bad");
    repo.push(&[("map.yaml", "kind: [")], "Bad");
    let mut failing = Vec::new();
    for number in 0..10 {
        let environment = Environment::create(&namespace, &format!("bad-{number}"), &repo, |spec| match number % 3 {
            0 => {} // a file that cannot be read
            1 => spec.source.reference.branch = Some("no-such-branch".into()),
            // Nobody answers at this address, and nobody says so.
            _ => spec.source.url = "https://203.0.113.254/nobody.git".into(),
        })
        .await;
        failing.push(environment);
    }
    failing[0].complains_of(&["map.yaml"]).await;
    failing[1].complains_of(&["no-such-branch"]).await;

    let beside = becomes_ready("beside", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n").await;
    assert!(beside < beside_the_ill(alone), "it took {alone:?} alone, and {beside:?} beside ten that fail");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_says_nothing_holds_up_nobody() {
    let (shop, other) = (Namespace::new("beside").await, Namespace::new("silent").await);
    let repo = shop.repository("web");
    let hello = Hello::new("web", "1", &shop.host());
    let first = repo.push(&[("web.yaml", &hello.yaml())], "Serve");
    shop.follow(&repo).await;
    let app = shop.app("web");
    app.is_live_at(&first).await;

    let put_back = async |limit: Duration| {
        let began = Instant::now();
        shop.kubectl(&["delete", "service", "web"]);
        within("the Service is back", limit, async || {
            shop.get::<Service>("web").await.map(|_| ()).ok_or_else(|| format!("not after {:?}", began.elapsed()))
        })
        .await;
        began.elapsed()
    };
    let alone = put_back(Duration::from_secs(60)).await;

    // An outage as firewalls and overloaded proxies make it: connections are taken, and that is all.
    let silent =
        tokio::net::TcpListener::bind((other.bed().host_ip(), 0)).await.expect("the address is this machine's");
    let address = silent.local_addr().expect("a bound socket has an address").to_string();
    let taking = tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((connection, _)) = silent.accept().await {
            held.push(connection);
        }
    });
    let apps = (0..64).map(|n| {
        format!(
            "---\napiVersion: drover.dev/v1alpha1\nkind: WebApp\nmetadata: {{name: app-{n}}}\nspec: {{image: '{address}/team/app:1', ports: [{{name: http, port: 80}}]}}\n"
        )
    });
    other.apply(&apps.collect::<String>());
    let reasons = async || {
        let apps = other.api::<WebApp>().list(&ListParams::default()).await.expect("apps can be listed").items;
        let ready = apps.iter().filter_map(|app| drover_e2e::ready(&app.status.as_ref()?.conditions).ok());
        ready.map(|ready| ready.reason).collect::<Vec<_>>()
    };
    eventually("all have been looked at", Duration::from_secs(8), async || match reasons().await.len() {
        64 => Ok(()),
        fewer => Err(format!("{fewer} of 64")),
    })
    .await;

    put_back(beside_the_ill(alone)).await;
    let second = repo.push(&[("web.yaml", &hello.tag("2").yaml())], "Version 2");
    app.is_live_at(&second).await;
    eventually("those that wait are told why", Duration::from_secs(30), async || {
        let reasons = reasons().await;
        if reasons.iter().any(|reason| reason == "RegistryUnreachable") { Ok(()) } else { Err(format!("{reasons:?}")) }
    })
    .await;
    taking.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_cannot_be_decoded_does_not_stop_the_others() {
    let namespace = Namespace::new("decode").await;
    let repo = namespace.repository("maps");
    let commit = repo.push(&[("map.yaml", MAP)], "One");
    let odd = Environment::create(&namespace, "odd", &repo, |spec| spec.suspend = Some(true)).await;
    // The API server takes this offset for a time; nobody who reads times does.
    let patch = r#"{"status":{"source":{"commit":"0","fetchedAt":"2026-01-01T00:00:00+99:00"}}}"#;
    namespace.kubectl(&["patch", "environment", "odd", "--subresource=status", "--type=merge", "--patch", patch]);
    let stored = namespace.kubectl(&["get", "environment", "odd", "-o", "jsonpath={.status.source.fetchedAt}"]);
    assert_eq!(
        stored, "2026-01-01T00:00:00+99:00",
        "the API server has become stricter: find another way to spoil an object"
    );
    drop(odd);

    let other = namespace.repository("other");
    let second = other.push(&[("map.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n")], "Two");
    let environment = Environment::create(&namespace, "good", &other, |_| ()).await;
    environment.is_ready_at(&second).await;
    drop(commit);
}

/// The testbed of what looks at a controller's memory, shared with the tests of leadership.
const NUMBER: u32 = 50;
/// Half of what the chart lets the controller have.
const MOST_MIB: u64 = 512;

#[tokio::test(flavor = "multi_thread")]
async fn one_tenants_large_commits_neither_fill_the_memory_nor_delay_another() {
    let stage = Stage::enter(NUMBER).await;
    let (tenant, other) = (Namespace::on(stage.bed(), "large").await, Namespace::on(stage.bed(), "small").await);
    let drover = Controller::on(&stage).start();
    drover.leads_within(Duration::from_secs(40)).await;
    let leads_since = led_since(&stage);
    let small = other.repository("maps");
    let first = small.push(&[("map.yaml", MAP)], "One");
    let environment = Environment::with_webhook(&other, "prod", &small).await;
    environment.is_ready_at(&first).await;
    let next = async |text: &str| {
        let commit = small.push(&[("map.yaml", &format!("{MAP}data: {{text: {text}}}\n"))], "Next");
        let began = Instant::now();
        environment.webhook_to(&drover, &small).await;
        environment.has_applied(&commit).await;
        began.elapsed()
    };
    let alone = next("alone").await;

    // The most that a commit may ask for: 240,000 values, each of which costs hundreds of bytes in memory, in 15 MiB of text.
    let large = tenant.repository("large");
    let mappings = format!("{MAP}x: [{}]\n", "{},".repeat(240_000));
    let comment = format!("# {}\n", "-".repeat(1_000_000));
    let names: Vec<String> = (0..15).map(|number| format!("comment-{number}.yaml")).collect();
    let mut files = vec![("map.yaml", mappings.as_str())];
    files.extend(names.iter().map(|name| (name.as_str(), comment.as_str())));
    large.push(&files, "Large");
    let mut crowd = Vec::new();
    for number in 0..20 {
        crowd.push(Environment::create(&tenant, &format!("large-{number}"), &large, |_| ()).await);
    }
    let mut slowest = Duration::ZERO;
    for round in 0..10 {
        slowest = slowest.max(next(&format!("round-{round}")).await);
    }
    for one in &crowd {
        one.complains_of(&["ConfigMap"]).await;
    }
    println!(
        "beside 20 large commits a small one takes {slowest:.1?} at most, and {alone:.1?} alone; drover used {} MiB",
        drover.peak_mebibytes()
    );
    assert!(slowest < beside_the_ill(alone), "a small commit took {alone:?} alone, and {slowest:?} beside large ones");
    assert!(drover.peak_mebibytes() < MOST_MIB, "{} MiB", drover.peak_mebibytes());
    assert_eq!(led_since(&stage), leads_since, "it lost the lease meanwhile");
    assert!(!drover.has_ended());
}

/// Who leads, and since when.
fn led_since(stage: &Stage) -> String {
    let lease = "jsonpath={.spec.holderIdentity} {.spec.acquireTime}";
    stage.kubectl(&["get", "lease", LEASE, "--namespace", "drover-system", "-o", lease])
}
