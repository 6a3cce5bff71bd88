//! `kill -9` at any moment.

use rand::RngExt as _;

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_twenty_random_moments_of_a_rollout_of_twenty_apps() {
    let mut random = crate::random("twenty kills");
    let mut campaign = crate::campaign(20).await;
    for _ in 0..20 {
        let moment = campaign.usual().mul_f64(random.random_range(0.0..1.0));
        campaign
            .disturb_while(&format!("killed after {:.2} s", moment.as_secs_f64()), async |drover| {
                tokio::time::sleep(moment).await;
                drover.kill();
            })
            .await;
    }
    campaign.ends_well(100).await;
}
