//! What takes long: what `make test` does for one write of each sort is done here for every write and with every fault, and what
//! may go wrong at any moment goes wrong at many. `make soak` runs it and prints its figures; a test that draws moments prints its
//! seed, and `SOAK_SEED` in the environment repeats a run.

mod every_write;
mod example;
mod frozen;
mod outages;
mod random_kills;

use drover_e2e::Testbed;
use drover_e2e::campaign::Campaign;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// The number of a cluster, unless `SOAK_TESTBED` chooses another.
fn cluster(usually: u32) -> u32 {
    std::env::var("SOAK_TESTBED").map_or(usually, |text| text.parse().expect("SOAK_TESTBED is a number"))
}

async fn campaign(apps: usize) -> Campaign {
    Campaign::begin(Testbed::share_fake_node(cluster(4)), env!("CARGO_BIN_EXE_drover-faulty"), &[], apps).await
}

/// Random numbers that can be had again.
fn random(what: &str) -> StdRng {
    let given = std::env::var("SOAK_SEED").ok().map(|text| text.parse().expect("SOAK_SEED is a number"));
    let seed: u64 = given.unwrap_or_else(rand::random);
    println!("{what}: SOAK_SEED={seed}");
    StdRng::seed_from_u64(seed)
}
