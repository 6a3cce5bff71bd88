//! The long campaigns, run by `make soak`: what `make test` does for one write of each sort is done here for every write, and with
//! every fault. One test at a time: `make soak ONLY=name`.

mod every_write;
mod outages;
mod random_kills;

use drover_e2e::Testbed;
use drover_e2e::campaign::Campaign;

/// The number of the cluster.
const CLUSTER: u32 = 4;

async fn campaign(apps: usize) -> Campaign {
    Campaign::begin(Testbed::share_fake_node(CLUSTER), env!("CARGO_BIN_EXE_drover-faulty"), apps).await
}
