//! `kill -9` at any moment.

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_twenty_random_moments_of_a_rollout_of_twenty_apps() {
    let mut campaign = crate::campaign(20).await;
    let first: u64 = match std::env::var("SOAK_SEED") {
        Ok(seed) => seed.parse().expect("SOAK_SEED is a number"),
        Err(_) => rand::random_range(0..1_000_000),
    };
    for seed in first..first + 20 {
        let moment = campaign.usual().mul_f64(StdRng::seed_from_u64(seed).random_range(0.0..1.0));
        campaign
            .disturb_while(&format!("SOAK_SEED={seed}: killed after {:.2} s", moment.as_secs_f64()), async |drover| {
                tokio::time::sleep(moment).await;
                drover.kill();
            })
            .await;
    }
    campaign.ends_well(100).await;
}
