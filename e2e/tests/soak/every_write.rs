//! Each write of a rollout, one at a time: of five apps for what kills, of three for all else. Three have every sort of write, and more
//! apps only more of each. `SOAK_FAULT=409` runs only the faults with this in their name.

use drover_e2e::campaign::{Disturbance, Point};
use drover_e2e::fault::api::{Fault, When};

/// What a request can meet and be made again, short of death.
const FAULTS: [Fault; 10] = [
    Fault::Fail { status: 500, retry_after: None },
    Fault::Fail { status: 409, retry_after: None },
    Fault::Fail { status: 429, retry_after: Some(3600) },
    Fault::Fail { status: 503, retry_after: None },
    Fault::Fail { status: 504, retry_after: None },
    Fault::Delay(2_000),
    Fault::Hang(When::Before),
    Fault::Hang(When::After),
    Fault::Cut(When::Before),
    Fault::Cut(When::After),
];
/// Rollouts with a fault each that go on beside each other.
const AT_ONCE: usize = 26;

fn at_each(points: &[Point], fault: &Fault) -> Vec<Disturbance> {
    points.iter().map(|point| Disturbance::at(point, fault)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_before_or_after_any_write_it_comes_to_the_same_end() {
    let mut campaign = crate::campaign(5).await;
    for when in [When::Before, When::After] {
        let kills = at_each(campaign.points(), &Fault::Kill(when));
        campaign.disturb(&kills, 1).await;
    }
    // How often a status is written differs a little from run to run.
    campaign.ends_well(90).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn any_write_may_fail_hang_or_lose_its_answer() {
    let mut campaign = crate::campaign(3).await;
    let only = std::env::var("SOAK_FAULT").unwrap_or_default();
    for fault in FAULTS.into_iter().filter(|fault| format!("{fault:?}").contains(&only)) {
        let faults = at_each(campaign.points(), &fault);
        campaign.disturb(&faults, AT_ONCE).await;
    }
    campaign.ends_well(90).await;
}
