//! What drover comes to when something goes wrong: each test disturbs the same rollout and compares its end, and all that was
//! created and deleted on the way, with an undisturbed one. They run on a cluster of their own, whose pods are only played.
//!
//! Here is one write of each sort; `make soak` takes every write and every fault.

use drover_e2e::Testbed;
use drover_e2e::campaign::{Campaign, Disturbance, Point};
use drover_e2e::fault::api::{Call, Events, Fault, Match, When};

/// drover with the fault layer.
const DROVER: &str = env!("CARGO_BIN_EXE_drover-faulty");

/// The number of the cluster; `FAULTS_TESTBED` chooses another, so that parts of the tests can run side by side.
fn cluster() -> u32 {
    std::env::var("FAULTS_TESTBED").map_or(3, |text| text.parse().expect("FAULTS_TESTBED is a number"))
}

async fn campaign() -> Campaign {
    campaign_with(&[]).await
}

/// The writes about what is written down of a WebApp: that it is made, after the Environment's, and that it is removed.
fn of_an_app_s_inventory(campaign: &Campaign) -> Vec<Point> {
    let is_one = |point: &&Point| {
        let Call { verb, resource, name, .. } = &point.call;
        match (verb.as_str(), resource.as_str(), point.nth) {
            // What a request creates is in its body.
            ("create", "configmaps", 2) => true,
            ("delete", "configmaps", 1) => name.starts_with("inventory.app."),
            _ => false,
        }
    };
    let points: Vec<Point> = campaign.points().iter().filter(is_one).cloned().collect();
    assert_eq!(points.len(), 2, "{points:?}");
    points
}

async fn campaign_with(arguments: &[&str]) -> Campaign {
    Campaign::begin(Testbed::share_fake_node(cluster()), DROVER, arguments, 5).await
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_a_write_of_each_sort_it_comes_to_the_same_end() {
    let mut campaign = campaign().await;
    let sorts = Point::one_of_each_sort(campaign.points());
    let mut kills: Vec<Disturbance> = sorts
        .iter()
        .enumerate()
        .map(|(number, point)| {
            let when = if number % 2 == 0 { When::After } else { When::Before };
            Disturbance::at(point, &Fault::Kill(when))
        })
        .collect();
    for when in [When::Before, When::After] {
        kills.extend(of_an_app_s_inventory(&campaign).iter().map(|point| Disturbance::at(point, &Fault::Kill(when))));
    }
    campaign.disturb(&kills, 1).await;
    assert_eq!(campaign.drover.restarts(), kills.len(), "each rollout is killed once");
    campaign.ends_well(100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_of_each_sort_that_fails_or_gets_no_answer_is_made_again() {
    let mut campaign = campaign().await;
    let mut faults = vec![
        Fault::Fail { status: 500, retry_after: None },
        Fault::Cut(When::After),
        Fault::Fail { status: 429, retry_after: Some(3600) },
        Fault::Hang(When::After),
        Fault::Fail { status: 409, retry_after: None },
        Fault::Cut(When::Before),
        Fault::Hang(When::Before),
    ]
    .into_iter()
    .cycle();
    let sorts = Point::one_of_each_sort(campaign.points());
    let mut faults: Vec<Disturbance> =
        sorts.iter().zip(&mut faults).map(|(point, fault)| Disturbance::at(point, &fault)).collect();
    let conflict = Fault::Fail { status: 409, retry_after: None };
    for fault in [conflict.clone(), Fault::Hang(When::After), Fault::Cut(When::Before)] {
        faults.extend(of_an_app_s_inventory(&campaign).iter().map(|point| Disturbance::at(point, &fault)));
    }
    // A deletion that meets a conflict may have met another object of that name, and may not.
    let deletions = campaign.points().iter().filter(|point| point.call.verb == "delete");
    faults.extend(deletions.map(|point| Disturbance::at(point, &conflict)));
    // A status that says that a release is live, and of which drover does not hear that it was written before the next commit. On
    // a slow machine it is the first, because the pods are ready at once, so only apps that both commits have must have a second. That of
    // web-0 tells of its jobs as well.
    let live = |point: &&Point| {
        let Call { resource, subresource, name, .. } = &point.call;
        (resource.as_str(), subresource.as_str(), point.nth) == ("webapps", "status", 2)
            && ["web-1", "web-2"].contains(&name.as_str())
    };
    faults.extend(campaign.points().iter().filter(live).map(|point| Disturbance::at(point, &Fault::Hang(When::After))));
    campaign.disturb(&faults, 10).await;
    assert_eq!(campaign.drover.restarts(), 0, "drover ended");
    campaign.ends_well(100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn watches_that_lie_or_break_and_lists_that_are_stale_or_refused_change_nothing_in_the_end() {
    let mut campaign = campaign().await;
    let watch = || Match::verb("watch");
    let throughout = [
        Disturbance::throughout(watch(), Fault::Events(Events::Repeat)),
        Disturbance::throughout(watch(), Fault::Events(Events::Reorder)),
        Disturbance::throughout(watch(), Fault::Events(Events::Expire(3))),
        Disturbance::throughout(watch(), Fault::Events(Events::End(3))),
        Disturbance::throughout(watch().times(20), Fault::Fail { status: 410, retry_after: None }),
        // Each list is as old as the first one, so each watch begins there again.
        Disturbance::throughout(watch().times(12), Fault::Events(Events::Expire(5)))
            .and(Match::verb("list").resource("environments"), Fault::Stale)
            .and(Match::verb("list").resource("webapps"), Fault::Stale)
            .and(Match::verb("list").resource("deployments"), Fault::Stale),
        Disturbance::throughout(Match::verb("list").times(10), Fault::Fail { status: 429, retry_after: Some(1) }),
        Disturbance::throughout(Match::verb("get").times(10), Fault::Fail { status: 503, retry_after: None }),
    ];
    for disturbance in throughout {
        campaign.disturb(std::slice::from_ref(&disturbance), 1).await;
    }
    campaign.ends_well(100).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_that_is_lost_is_made_up_for_by_the_next_listing() {
    let mut campaign = campaign_with(&["--resync", "10s"]).await;
    let lost = Disturbance::throughout(Match::verb("watch"), Fault::Events(Events::Drop(3)));
    campaign.disturb(std::slice::from_ref(&lost), 1).await;
    campaign.ends_well(100).await;
}
