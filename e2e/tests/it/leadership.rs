//! Two replicas of the real controller: one writes, whatever happens to it.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use drover_e2e::fault::api::{Entry, Fault, JOURNAL, Journal, Match, PLAN, Plan};
use drover_e2e::{Asked, Controller, Environment, GitRepo, Namespace, Stage, Testbed, eventually, steadily};
use k8s_openapi::api::core::v1::ConfigMap;
use rustix::process::Signal;

/// The testbed of these tests.
const NUMBER: u32 = 50;
/// What the documentation promises for a takeover after a crash.
const TAKEOVER: Duration = Duration::from_secs(20);

/// A ConfigMap that says `text`.
fn page(text: &str) -> String {
    pages(text, 1)
}

/// `count` of them.
fn pages(text: &str, count: usize) -> String {
    (0..count).fold(String::new(), |mut yaml, number| {
        let _ = write!(
            yaml,
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: page-{number}}}\ndata: {{text: {text}}}\n"
        );
        yaml
    })
}

async fn says(namespace: &Namespace, text: &str) {
    eventually(&format!("the page says {text}"), Duration::from_secs(60), async || {
        let page = namespace.get::<ConfigMap>("page-0").await;
        match page.and_then(|page| page.data?.remove("text")) {
            Some(found) if found == text => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
}

/// A leader, and a standby that is ready.
async fn two(bed: &Testbed) -> (Controller, Controller) {
    let first = Controller::on(bed).named("first").start();
    first.leads_within(Duration::from_secs(30)).await;
    (first, standby(bed).await)
}

async fn standby(bed: &Testbed) -> Controller {
    let second = Controller::on(bed).named("second").start();
    second.ready().await;
    assert_eq!(second.metric("drover_leading").await, Ok(Some(0.0)), "two lead");
    second
}

/// Pushes that text and returns when it is applied.
async fn push_and_see(
    namespace: &Namespace,
    repo: &GitRepo,
    text: &str,
    environment: &Environment<'_>,
    to: &Controller,
) {
    repo.push(&[("page.yaml", &page(text))], text);
    let answer = environment.webhook_to(to, repo).await;
    assert!((200..300).contains(&answer.status), "the webhook was answered with {answer:?}");
    says(namespace, text).await;
}

fn changes<'a>(asked: impl Iterator<Item = &'a Asked>) -> Vec<&'a Asked> {
    asked.filter(|asked| asked.changed_something()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_one_writes_and_a_clean_stop_hands_over_at_once() {
    let stage = Stage::enter(NUMBER).await;
    let (first, second) = two(&stage).await;
    let namespace = Namespace::on(stage.bed(), "two").await;
    let repo = namespace.repository("pages");
    let commit = repo.push(&[("page.yaml", &page("one"))], "One");
    // Looked at once an hour: what comes sooner came by a webhook.
    let environment = Environment::with_webhook(&namespace, "prod", &repo).await;
    environment.is_ready_at(&commit).await;

    push_and_see(&namespace, &repo, "two", &environment, &second).await;
    let (of_first, of_second) = (first.credential(&stage), second.credential(&stage));
    let audit = stage.audit();
    assert!(!changes(audit.by(&of_first)).is_empty());
    let of_standby = changes(audit.by(&of_second));
    assert!(of_standby.is_empty(), "the standby wrote {of_standby:?}");

    let place = audit.len();
    let began = Instant::now();
    first.signal(Signal::TERM);
    second.leads_within(TAKEOVER).await;
    let took = began.elapsed();
    println!("after SIGTERM of the leader the other one leads within {took:.1?}");
    assert!(took < Duration::from_secs(6), "a clean stop took {took:?} to hand over");
    first.ends_within(Duration::from_secs(10)).await;
    // At once: the new leader may not have read all Environments yet, and then fetches the newest commit by itself.
    repo.push(&[("page.yaml", &page("three"))], "Three");
    environment.webhook_to(&second, &repo).await;
    says(&namespace, "three").await;
    push_and_see(&namespace, &repo, "four", &environment, &second).await;
    let audit = stage.audit();
    let by_second = |asked: &&Asked| asked.credential == of_second && asked.changed_something();
    let handed_over = audit.since(place).iter().position(|asked| by_second(&asked)).expect("the second one wrote");
    let late: Vec<_> = audit.since(place + handed_over).iter().filter(|asked| asked.credential == of_first).collect();
    assert!(changes(late.iter().copied()).is_empty(), "both wrote: {late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_the_other_one_writes_within_twenty_seconds() {
    let stage = Stage::enter(NUMBER).await;
    let (first, second) = two(&stage).await;
    let namespace = Namespace::on(stage.bed(), "crash").await;
    let repo = namespace.repository("pages");
    let commit = repo.push(&[("page.yaml", &page("one"))], "One");
    let environment = Environment::with_webhook(&namespace, "prod", &repo).await;
    environment.is_ready_at(&commit).await;

    let began = Instant::now();
    first.signal(Signal::KILL);
    repo.push(&[("page.yaml", &page("two"))], "Two");
    // Nobody takes it, and yet the commit is not missed.
    let answer = environment.webhook_to(&second, &repo).await;
    assert!(answer.status >= 500, "a webhook for a leader that is gone was answered with {answer:?}");
    second.leads_within(Duration::from_secs(30)).await;
    let leads = began.elapsed();
    says(&namespace, "two").await;
    println!(
        "after kill -9 of the leader the other one leads within {leads:.1?}; push → applied {:.1?}",
        began.elapsed()
    );
    assert!(leads < TAKEOVER, "the takeover took {leads:?}");
}

/// Freezes `first` in the middle of its work for a minute, and sees that it writes nothing when it wakes.
async fn freeze(stage: &Stage, topic: &str, first: Controller, in_the_middle: impl AsyncFn(&str)) {
    const PAGES: usize = 100;
    let second = standby(stage).await;
    let namespace = Namespace::on(stage.bed(), topic).await;
    let repo = namespace.repository("pages");
    let commit = repo.push(&[("page.yaml", &page("one"))], "One");
    let environment = Environment::with_webhook(&namespace, "prod", &repo).await;
    environment.is_ready_at(&commit).await;
    let credential = first.credential(stage);

    let commit = repo.push(&[("page.yaml", &pages("two", PAGES))], "Two");
    environment.webhook_to(&first, &repo).await;
    in_the_middle(namespace.name()).await;
    first.signal(Signal::STOP);
    let frozen = Instant::now();
    second.leads_within(Duration::from_secs(40)).await;
    println!("after SIGSTOP of the leader the other one leads within {:.1?}", frozen.elapsed());
    environment.is_ready_at(&commit).await;
    let newer = repo.push(&[("page.yaml", &pages("three", PAGES))], "Three");
    environment.webhook_to(&second, &repo).await;
    environment.is_ready_at(&newer).await;
    eventually("a minute is over", Duration::from_secs(90), async || match frozen.elapsed() {
        past if past > Duration::from_secs(60) => Ok(()),
        past => Err(format!("{past:.0?}")),
    })
    .await;

    let place = stage.audit().len();
    first.signal(Signal::CONT);
    first.ends_within(Duration::from_secs(20)).await;
    assert!(first.log().contains("is no longer this replica's"), "it does not say why it ends:\n{}", first.log());
    steadily("what the second one applied stays", Duration::from_secs(3), async || {
        let text = namespace.get::<ConfigMap>("page-0").await.and_then(|page| page.data?.remove("text"));
        if text.as_deref() == Some("three") { Ok(()) } else { Err(format!("{text:?}")) }
    })
    .await;
    let audit = stage.audit();
    let woken: Vec<_> = audit.since(place).iter().filter(|asked| asked.credential == credential).collect();
    assert!(woken.iter().any(|asked| asked.call.resource == "leases"), "it did not look at its lease: {woken:?}");
    let written: Vec<_> = woken.iter().filter(|asked| asked.call.writes() && asked.code < 300).collect();
    assert!(written.is_empty(), "it woke and wrote {written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_frozen_for_a_minute_writes_nothing_when_it_wakes() {
    let stage = Stage::enter(NUMBER).await;
    let first = Controller::on(&stage).named("first").start();
    first.leads_within(Duration::from_secs(30)).await;
    freeze(&stage, "frozen", first, async |namespace| {
        eventually("a rollout is under way", Duration::from_secs(30), async || {
            let audit = stage.audit();
            let pages = audit.since(0).iter().filter(|asked| {
                asked.call.namespace == namespace && asked.call.resource == "configmaps" && asked.changed_something()
            });
            match pages.count() {
                0 | 1 => Err("no page of it is written".to_owned()),
                _ => Ok(()),
            }
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_frozen_under_a_slow_api_does_not_send_what_was_on_its_way() {
    let stage = Stage::enter(NUMBER).await;
    let folder = tempfile::tempdir().expect("the temporary folder is ours to write");
    let (plan, journal) = (folder.path().join("plan"), folder.path().join("journal"));
    let first = Controller::on(&stage)
        .named("first")
        .program(Path::new(env!("CARGO_BIN_EXE_drover-faulty")))
        .variable(PLAN, &plan)
        .variable(JOURNAL, &journal)
        .start();
    first.leads_within(Duration::from_secs(30)).await;
    freeze(&stage, "slow", first, async |namespace| {
        let delayed = |entry: &Entry| entry.fault.is_some() && entry.call.namespace == namespace;
        Plan::one(Match::verb("write").resource("configmaps"), Fault::Delay(3_000)).write(&plan);
        eventually("writes are on their way", Duration::from_secs(30), async || {
            if Journal::read(&journal).iter().any(delayed) { Ok(()) } else { Err("none is delayed".to_owned()) }
        })
        .await;
    })
    .await;
}
