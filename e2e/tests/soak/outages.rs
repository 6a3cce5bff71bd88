//! The control plane under a large rollout.

use std::time::Duration;

use drover_e2e::Testbed;

async fn suffers(what: &'static [&'static str]) {
    let done = tokio::task::spawn_blocking(|| Testbed::shared().suffers(what)).await;
    done.expect("the testbed does as it is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_api_server_restarts_twenty_times_during_a_rollout_of_a_hundred_apps() {
    let mut campaign = crate::campaign(100).await;
    let pause = campaign.usual() / 40;
    campaign
        .outage_while("the API server restarts 20 times", async |_| {
            for _ in 0..20 {
                tokio::time::sleep(pause).await;
                suffers(&["stop", "apiserver"]).await;
                suffers(&["start", "apiserver"]).await;
            }
        })
        .await;
    campaign.ends_well(100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcd_comes_back_from_an_older_backup_during_a_rollout() {
    let mut campaign = crate::campaign(20).await;
    let usual = campaign.usual();
    // The backup is from the first half of the rollout, and comes back in the second.
    for (backup, restore) in [(0.1, 0.3), (0.2, 0.7), (0.45, 0.9)] {
        let what = format!("etcd comes back at {restore} of the rollout as it was at {backup}");
        campaign
            .forget_while(&what, async |_| {
                tokio::time::sleep(usual.mul_f64(backup)).await;
                suffers(&["snapshot"]).await;
                tokio::time::sleep(usual.mul_f64(restore - backup).max(Duration::from_secs(1))).await;
                suffers(&["restore"]).await;
            })
            .await;
    }
    campaign.ends_well(100).await;
}
