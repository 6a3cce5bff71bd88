//! A git host that limits requests, is ill, cuts, or talks nonsense (one that hangs: `bad_input::git`): the status says so, what
//! runs stays, nothing is asked more often than it should be, and all is well again once the host is.

use std::time::Duration;

use drover_crds::{ANNOTATION_RECONCILE_AT, EnvironmentStatus};
use drover_e2e::fault::git::{Fault, GitProxy, Rule, Service};
use drover_e2e::{Environment, GitRepo, Namespace, Ready, eventually, ready, steadily};
use futures::future::join_all;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

/// A ConfigMap `page` whose key `text` says `text`.
fn page(text: &str) -> String {
    format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: page}}\ndata: {{text: {text}}}\n")
}

async fn text(namespace: &Namespace) -> Option<String> {
    namespace.get::<ConfigMap>("page").await?.data?.remove("text")
}

/// An Environment that follows `repo` through `proxy`, and is ready at its first commit.
async fn settled<'a>(namespace: &'a Namespace, repo: &GitRepo, proxy: &GitProxy) -> Environment<'a> {
    let commit = repo.push(&[("page.yaml", &page("one"))], "One");
    let url = proxy.url(repo);
    let webhook = Environment::webhook_spec(namespace);
    let environment = Environment::create(namespace, "prod", repo, |spec| {
        spec.source.url = url;
        spec.source.webhook = Some(webhook);
    })
    .await;
    environment.is_ready_at(&commit).await;
    environment
}

fn reconcile(namespace: &Namespace) {
    let finished = namespace.drover(&["reconcile", "prod", "--namespace", namespace.name()]);
    assert_eq!(finished.code, 0, "{}", finished.said());
}

/// Waits until it is not Ready with all these words in one sentence.
async fn says(environment: &Environment<'_>, deadline: u64, words: &[&str]) -> Ready {
    let what = format!("the status says {words:?}");
    eventually(&what, Duration::from_secs(deadline), async || {
        let status: EnvironmentStatus = environment.status().await;
        let ready = ready(&status.conditions)?;
        let all = words.iter().all(|word| ready.message.contains(word));
        if ready.status == "False" && all { Ok(ready) } else { Err(format!("{ready:?}")) }
    })
    .await
}

/// The time after `before` in a sentence.
fn time_after(sentence: &str, before: &str) -> Timestamp {
    let (_, rest) = sentence.split_once(before).unwrap_or_else(|| panic!("no `{before}` in: {sentence}"));
    let time = rest.split([',', ' ']).next().unwrap_or_default();
    time.parse().unwrap_or_else(|error| panic!("{time}: {error}"))
}

fn throttle(seconds: &str) -> Rule {
    Rule::every(Service::References, Fault::Status(429, vec![("retry-after", seconds.to_owned())]))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_limits_requests_is_left_alone_for_as_long_as_it_asks() {
    let namespace = Namespace::new("throttled").await;
    let (repo, proxy) = (namespace.repository("pages"), GitProxy::start().await);
    let environment = settled(&namespace, &repo, &proxy).await;

    proxy.order([throttle("20").nth(1)]);
    let second = repo.push(&[("page.yaml", &page("two"))], "Two");
    let said = says(&environment, 30, &["limits requests and asks drover to wait 20 s", "drover asks again at"]).await;
    assert_eq!((said.reason.as_str(), said.stalled), ("GitServerThrottles", false), "time mends it: {said:?}");
    assert!(!said.message.trim_end_matches('.').contains(". "), "not one sentence: {}", said.message);
    let (since, again) = (time_after(&said.message, "since "), time_after(&said.message, "asks again at "));
    assert!((20..=24).contains(&again.duration_since(since).as_secs()), "{}", said.message);

    // Neither a person nor the git host's own webhook makes drover break its word.
    let refused = *proxy.syncs().last().expect("it was asked");
    reconcile(&namespace);
    assert_eq!(environment.webhook(&repo).await.status, 202);
    environment.is_ready_at(&second).await;
    let next = *proxy.syncs().iter().find(|at| **at > refused).expect("it was asked again");
    let waited = next - refused;
    assert!(waited >= Duration::from_secs(20) && waited < Duration::from_secs(25), "it waited {waited:?}");
    assert_eq!(proxy.most_at_once(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absurdly_long_wait_is_capped_and_what_runs_stays() {
    let namespace = Namespace::new("absurd").await;
    let (repo, proxy) = (namespace.repository("pages"), GitProxy::start().await);
    let environment = settled(&namespace, &repo, &proxy).await;
    proxy.order([throttle("99999999999999999999")]);
    let said = says(&environment, 30, &["limits requests", "drover asks again at"]).await;
    let wait =
        time_after(&said.message, "asks again at ").duration_since(time_after(&said.message, "since ")).as_secs();
    assert!((3600..=3970).contains(&wait), "an hour at most, and a tenth to spread: {}", said.message);

    // What runs is still looked after.
    namespace.kubectl(&["patch", "configmap", "page", "--type=merge", "--patch", r#"{"data":{"text":"edited"}}"#]);
    eventually("drift is put back", Duration::from_secs(20), async || match text(&namespace).await {
        Some(text) if text == "one" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    // Another Environment of the same repository is told at once, and makes no request.
    let asked = proxy.syncs().len();
    let url = proxy.url(&repo);
    let other = Environment::create(&namespace, "other", &repo, |spec| {
        spec.source.url = url;
        spec.source.reference.branch = Some("elsewhere".into());
    })
    .await;
    says(&other, 30, &["limits requests", "drover asks again at"]).await;
    assert_eq!(proxy.syncs().len(), asked);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ill_host_is_asked_ever_less_often_however_many_follow_it() {
    const FOLLOWERS: usize = 12;
    let namespace = Namespace::new("ill").await;
    let (repo, proxy) = (namespace.repository("pages"), GitProxy::start().await);
    let folders = |text: &str| -> Vec<(String, String)> {
        let page = |n: usize| page(text).replace("name: page", &format!("name: page-{n}"));
        (0..FOLLOWERS).map(|n| (format!("{n}/page.yaml"), page(n))).collect()
    };
    let push = |text: &str| {
        let files = folders(text);
        let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
        repo.push(&files, text)
    };
    let first = push("one");
    let url = proxy.url(&repo);
    let environments = join_all((0..FOLLOWERS).map(async |n| {
        Environment::create(&namespace, &format!("e{n}"), &repo, |spec| {
            spec.source.url.clone_from(&url);
            spec.source.path = Some(n.to_string());
        })
        .await
    }))
    .await;
    join_all(environments.iter().map(|environment| environment.is_ready_at(&first))).await;

    proxy.order([Rule::every(Service::References, Fault::Status(503, vec![]))]);
    let second = push("two");
    let words =
        ["answered with an error (unexpected http status code: 503)", "it has failed since", "drover asks again at"];
    let said = join_all(environments.iter().map(|environment| says(environment, 30, &words))).await;
    assert!(said.iter().all(|said| said.reason == "GitServerError" && !said.stalled), "{said:?}");
    let began = proxy.journal().iter().find(|r| r.fault.is_some()).expect("it failed").at;

    // 5, 10 and 20 seconds apart, each a tenth more or less; a busy machine makes it later, and nothing sooner.
    let asked = || proxy.syncs().into_iter().filter(|at| *at >= began).collect::<Vec<Instant>>();
    let attempts = eventually("it is asked four times", Duration::from_secs(90), async || {
        let asked = asked();
        if asked.len() >= 4 { Ok(asked) } else { Err(format!("{} times", asked.len())) }
    })
    .await;
    let gaps: Vec<f64> = attempts.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    for (gap, expected) in gaps.iter().zip([5.0, 10.0, 20.0]) {
        assert!((expected * 0.89..=expected * 1.1 + 4.0).contains(gap), "the attempts were {gaps:?} apart");
    }

    let controller = drover_e2e::Controller::shared().await;
    eventually("the failures are counted", Duration::from_secs(10), async || {
        let metrics = drover_e2e::get(&controller.http(), "localhost", "/metrics").await?.body;
        let counted =
            metrics.lines().find_map(|line| line.strip_prefix("drover_git_syncs_total{outcome=\"GitServerError\"} "));
        if counted.is_some_and(|count| count.parse().is_ok_and(|count: u64| count >= 4)) {
            Ok(())
        } else {
            Err(metrics)
        }
    })
    .await;

    // All who follow it ask for a look at once: that is a request now, and no burst. Whoever asks while one is made is
    // served by the next, a second later at the soonest.
    let all_look = |now: &str| {
        let annotation = format!("{ANNOTATION_RECONCILE_AT}={now}");
        namespace.kubectl(&["annotate", "environments", "--all", "--overwrite", &annotation]);
    };
    let before = asked().len();
    all_look("first");
    // The next attempt is due after 36 seconds at the soonest.
    eventually("the wait is cut short", Duration::from_secs(30), async || match asked().len() - before {
        0 => Err("nobody asked".to_owned()),
        _ => Ok(()),
    })
    .await;
    tokio::time::sleep(Duration::from_secs(3)).await;
    let gaps: Vec<Duration> = asked()[before - 1..].windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| *gap >= Duration::from_secs(1)), "the attempts were {gaps:?} apart");

    proxy.relent();
    all_look("second");
    let cut_short = Instant::now();
    join_all(environments.iter().map(|environment| environment.is_ready_at(&second))).await;
    assert!(cut_short.elapsed() < Duration::from_secs(60), "it took {:?}", cut_short.elapsed());
    assert_eq!(proxy.most_at_once(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_gone_and_returns_needs_nobody_to_restart_anything() {
    let namespace = Namespace::new("gone").await;
    let (repo, proxy) = (namespace.repository("pages"), GitProxy::start().await);
    let environment = settled(&namespace, &repo, &proxy).await;
    proxy.refuse().await;
    let second = repo.push(&[("page.yaml", &page("two"))], "Two");
    let said = says(&environment, 30, &["no connection to", "it has failed since", "drover asks again at"]).await;
    assert_eq!((said.reason.as_str(), said.stalled), ("Unreachable", false), "{said:?}");
    assert_eq!(text(&namespace).await.as_deref(), Some("one"));
    proxy.accept().await;
    environment.is_ready_at(&second).await;

    // The same with the webhook, which nobody waits for.
    proxy.refuse().await;
    says(&environment, 30, &["no connection to", "drover asks again at"]).await;
    let third = repo.push(&[("page.yaml", &page("three"))], "Three");
    proxy.accept().await;
    let accepted = Instant::now();
    assert_eq!(environment.webhook(&repo).await.status, 202);
    environment.is_ready_at(&third).await;
    let asked = *proxy.syncs().iter().find(|at| **at > accepted).expect("it was asked again");
    let waited = asked - accepted;
    assert!(waited < Duration::from_secs(5), "the webhook did not cut the wait short: {waited:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_is_cut_anywhere_is_begun_again_and_spoils_nothing() {
    let namespace = Namespace::new("cut").await;
    let (repo, proxy) = (namespace.repository("pages"), GitProxy::start().await);
    let environment = settled(&namespace, &repo, &proxy).await;
    for (service, offsets) in [
        (Service::References, &[0, 1, 4, 5, 33, 34, 35, 80, 200][..]),
        (Service::Pack, &[0, 1, 4, 8, 9, 12, 20, 21, 30, 40, 60, 100, 200, 300][..]),
    ] {
        let offset = |(n, bytes): (usize, &usize)| Rule::every(service, Fault::CutAfter(*bytes)).nth(n + 1);
        proxy.order(offsets.iter().enumerate().map(offset).collect::<Vec<Rule>>());
        let label = format!("{service:?}").to_lowercase();
        let commit = repo.push(&[("page.yaml", &page(&label))], &label);
        let cuts = || proxy.journal().iter().filter(|r| r.service == Some(service) && r.fault.is_some()).count();
        for number in 1..=offsets.len() {
            eventually("the next transfer is cut", Duration::from_secs(30), async || {
                reconcile(&namespace);
                if cuts() >= number { Ok(()) } else { Err(format!("{} were cut", cuts())) }
            })
            .await;
        }
        reconcile(&namespace);
        environment.is_ready_at(&commit).await;
        assert_eq!(text(&namespace).await, Some(label));
    }
    assert_eq!(proxy.most_at_once(), 1);
    let log = drover_e2e::Controller::shared().await.log();
    let damaged = log.lines().find(|line| line.contains("damaged") && line.contains(&proxy.url(&repo)));
    assert_eq!(damaged, None, "a transfer that was cut spoilt the cache");
}

#[tokio::test(flavor = "multi_thread")]
async fn nonsense_and_refusals_are_told_in_a_sentence_and_forgotten_when_they_end() {
    let namespace = Namespace::new("nonsense").await;
    let (repo, proxy) = (namespace.repository("pages"), GitProxy::start().await);
    let environment = settled(&namespace, &repo, &proxy).await;
    let status = |code, headers| Some((Service::References, Fault::Status(code, headers)));
    let elsewhere = vec![("location", "http://203.0.113.7/pages.git/info/refs".to_owned())];
    for (number, (fault, words)) in [
        (None, &["drover asks again at"][..]),
        (Some((Service::References, Fault::Garbage)), &["pages.git"]),
        (Some((Service::Pack, Fault::Garbage)), &["pages.git"]),
        (status(500, vec![]), &["answered with an error", "500", "drover asks again at"]),
        (status(401, vec![]), &["authentication failed"]),
        (status(302, elsewhere), &["redirect"]),
    ]
    .into_iter()
    .enumerate()
    {
        match fault.clone() {
            Some((service, fault)) => proxy.order([Rule::every(service, fault)]),
            None => proxy.talk_noise(),
        }
        let label = format!("page-{number}");
        let commit = repo.push(&[("page.yaml", &page(&label))], &label);
        reconcile(&namespace);
        let said = says(&environment, 30, words).await;
        assert!(said.message.len() < 600 && !said.message.contains(char::is_control), "{fault:?}: {}", said.message);
        assert!(!said.message.contains(drover_e2e::GitServer::shared().password()), "{}", said.message);
        assert_ne!(text(&namespace).await.as_deref(), Some(label.as_str()));
        proxy.relent();
        reconcile(&namespace);
        environment.is_ready_at(&commit).await;
    }
    steadily("it stays ready", Duration::from_secs(2), async || {
        let ready = ready(&environment.status().await.conditions)?;
        if ready.status == "True" { Ok(()) } else { Err(format!("{ready:?}")) }
    })
    .await;
}
