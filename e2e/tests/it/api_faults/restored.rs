//! The API server's store is put back to what it was.

use std::time::{Duration, Instant};

use drover_e2e::{Controller, eventually};

use super::{HEALTHY, Site, TAKEN_AWAY};

#[tokio::test(flavor = "multi_thread")]
async fn etcd_is_put_back_to_an_older_state_in_the_middle_of_a_rollout() {
    let site = Site::on(TAKEN_AWAY, "restored").await;
    let (mut drover, _) = site.led().await;
    let first = site.push("one");
    site.follow().await;
    site.is_ready_at(&first).await;
    site.stage.suffers(&["snapshot"]);
    let second = site.push("two");
    site.is_ready_at(&second).await;

    let place = site.stage.audit().len();
    let third = site.push("three");
    eventually("a rollout is under way", HEALTHY, async || {
        let audit = site.stage.audit();
        let name = site.namespace.name();
        let mut pages = audit.since(place).iter().filter(|asked| {
            asked.call.namespace == name && asked.call.resource == "configmaps" && asked.changed_something()
        });
        if pages.next().is_some() { Ok(()) } else { Err("no page of it is written".to_owned()) }
    })
    .await;
    site.stage.suffers(&["restore"]);
    let back = Instant::now();
    let mut restarts = 0;
    let end = Instant::now() + HEALTHY;
    loop {
        if drover.has_ended() {
            // As the kubelet does, under the same name.
            let said = drover.log();
            assert!(said.contains("put back to an older state"), "it does not say why it ended:\n{said}");
            drover = Controller::on(&site.stage).start();
            restarts += 1;
        }
        let three = site.pages().await.is_ok_and(|pages| pages.values().all(|text| text == "three"));
        if three && !drover.has_ended() && drover.readyz().await.is_ok_and(|answer| answer.status == 200) {
            break;
        }
        assert!(Instant::now() < end, "not healthy:\n{}", drover.log());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    site.is_ready_at(&third).await;
    site.say("three").await;
    println!("etcd restored: healthy after {:.1?}, with {restarts} restarts", back.elapsed());
    assert!(restarts <= 1, "{restarts} restarts");
    site.repairs("page-3-3").await;
}
