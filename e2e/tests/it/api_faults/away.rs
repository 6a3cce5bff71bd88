//! The API server does not answer for a while.

use std::time::{Duration, Instant};

use drover_e2e::{eventually, steadily};

use super::{ENVIRONMENTS, HEALTHY, PAGES, Site, TAKEN_AWAY, counted, until_quiet};

/// The API server is away for `long`; meanwhile a commit comes, and right after its return somebody deletes an object.
async fn away(topic: &str, goes: &[&str], returns: &[&str], long: Duration) {
    let site = Site::on(TAKEN_AWAY, topic).await;
    let (drover, credential) = site.led().await;
    let first = site.push("one");
    site.follow().await;
    site.is_ready_at(&first).await;
    let pid = drover.pid();

    site.stage.suffers(goes);
    let gone = Instant::now();
    let said = eventually("/readyz says that the API server is away", Duration::from_secs(30), async || {
        match drover.readyz().await? {
            answer if answer.status == 503 => Ok(answer.body),
            answer => Err(format!("{answer:?}")),
        }
    })
    .await;
    println!("{goes:?}: after {:.1?} /readyz says: {}", gone.elapsed(), said.trim());
    assert!(said.contains(" since 20") && said.contains("writes nothing"), "{said}");
    assert_eq!(drover.metric("drover_leading").await, Ok(Some(0.0)));
    let second = site.push("two");
    steadily("drover waits", long.saturating_sub(gone.elapsed()), async || {
        match (drover.has_ended(), drover.readyz().await?.status) {
            (false, 503) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let waiting = drover.metric("drover_reconciles_total").await;

    let place = site.stage.audit().len();
    site.stage.suffers(returns);
    let back = Instant::now();
    let repaired = site.repairs("page-0-0").await;
    drover.leads_within(HEALTHY).await;
    site.is_ready_at(&second).await;
    site.say("two").await;
    println!(
        "{returns:?}: all is healthy {:.1?} after the return, what was deleted is back after {repaired:.1?}",
        back.elapsed()
    );
    assert_eq!(drover.readyz().await.map(|answer| answer.status), Ok(200));
    assert_eq!(drover.pid(), pid);
    assert!(!drover.has_ended(), "drover ended:\n{}", drover.log());
    // Watches on connections that only hung go on; those on connections that broke begin anew.
    let restarts = drover.metric("drover_watch_restarts_total").await.expect("metrics").unwrap_or(0.0);
    assert_eq!(restarts > 0.0, goes[0] == "stop", "{restarts} watches began anew");
    let asked = until_quiet(&site.stage, &credential, place).await;
    println!("requests since the return, {ENVIRONMENTS} Environments of {PAGES} objects changed: {}", counted(&asked));
    println!("reconciles: {waiting:?} before, {:?} after", drover.metric("drover_reconciles_total").await);
    // What an undisturbed push costs is about three for each object; and each of the few kinds is listed anew.
    let objects = ENVIRONMENTS * (PAGES + 1);
    assert!(asked.len() <= 8 * objects, "a burst of {}: {}", asked.len(), counted(&asked));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_is_gone_for_a_minute_and_a_half() {
    away("gone", &["stop", "apiserver"], &["start", "apiserver"], Duration::from_secs(90)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_hangs() {
    away("hangs", &["pause", "apiserver"], &["resume", "apiserver"], Duration::from_secs(40)).await;
}
