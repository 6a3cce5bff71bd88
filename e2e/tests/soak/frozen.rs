//! Leaders that are frozen at random moments of rollouts.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use drover_crds::LABEL_OWNER;
use drover_e2e::{Controller, Environment, Namespace, Stage};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use rand::RngExt as _;
use rustix::process::Signal;

/// The testbed of this test.
const NUMBER: u32 = 52;
/// How often a leader is frozen.
const ROUNDS: usize = 10;
/// Objects of each rollout.
const PAGES: usize = 100;
/// How long a rollout takes on a machine that has nothing else to do, and more.
const A_ROLLOUT: Duration = Duration::from_millis(2_500);

fn pages(text: &str) -> String {
    (0..PAGES).fold(String::new(), |mut yaml, number| {
        let _ = write!(
            yaml,
            "---\napiVersion: v1\nkind: ConfigMap\nmetadata: {{name: page-{number}}}\ndata: {{text: {text}}}\n"
        );
        yaml
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_replicas_never_do_both_write_whenever_one_is_frozen() {
    let mut random = crate::random("leaders frozen at random moments of rollouts");
    let stage = Stage::enter(NUMBER).await;
    let namespace = Namespace::on(stage.bed(), "frozen").await;
    let repo = namespace.repository("pages");
    let mut leader = Controller::on(&stage).named("replica-0").start();
    leader.leads_within(Duration::from_secs(40)).await;
    let commit = repo.push(&[("pages.yaml", &pages("round-0"))], "Round 0");
    let environment = Environment::with_webhook(&namespace, "prod", &repo).await;
    environment.is_ready_at(&commit).await;
    let mut takeovers = Vec::new();
    // Each credential may write from its first write on until the next one's.
    let mut order = vec![leader.credential(&stage)];
    for round in 1..=ROUNDS {
        let standby = Controller::on(&stage).named(&format!("replica-{round}")).start();
        standby.ready().await;
        let text = format!("round-{round}");
        let commit = repo.push(&[("pages.yaml", &pages(&text))], &text);
        environment.webhook_to(&leader, &repo).await;
        tokio::time::sleep(random.random_range(Duration::ZERO..A_ROLLOUT)).await;
        leader.signal(Signal::STOP);
        let frozen = Instant::now();
        standby.leads_within(Duration::from_secs(40)).await;
        takeovers.push(frozen.elapsed());
        // It wakes while the other one is at work.
        leader.signal(Signal::CONT);
        environment.is_ready_at(&commit).await;
        leader.ends_within(Duration::from_secs(20)).await;
        let listed = namespace.api::<ConfigMap>().list(&ListParams::default().labels(LABEL_OWNER)).await;
        let listed = listed.expect("ConfigMaps can be listed").items;
        assert_eq!(listed.len(), PAGES);
        assert!(listed.iter().all(|page| page.data.as_ref().is_some_and(|data| data["text"] == text)));
        leader = standby;
        order.push(leader.credential(&stage));
    }
    // Whoever was frozen at the end of a rollout left nothing to write, also in the last round.
    let commit = repo.push(&[("pages.yaml", &pages("the end"))], "The end");
    environment.webhook_to(&leader, &repo).await;
    environment.is_ready_at(&commit).await;
    takeovers.sort();
    println!("{ROUNDS} freezes: takeover p50 {:.1?}, longest {:.1?}", takeovers[ROUNDS / 2], takeovers[ROUNDS - 1]);

    let audit = stage.audit();
    let place: HashMap<&str, usize> = order.iter().enumerate().map(|(place, id)| (id.as_str(), place)).collect();
    let mut newest = 0;
    for asked in audit.since(0).iter().filter(|asked| asked.changed_something()) {
        let Some(place) = place.get(asked.credential.as_str()) else { continue };
        assert!(*place >= newest, "replica {place} wrote after replica {newest} had: {asked:?}");
        newest = *place;
    }
    assert_eq!(newest, ROUNDS, "the log shows the last replica's writes");
    assert!(!leader.has_ended(), "{}", leader.log());
}
