//! Measures the release build against a real API server on the same machine, and prints a table.
//!
//! There is no node: what is measured is drover and the API server, not how fast containers start. `BENCH_TESTBED=N` chooses
//! the cluster that is started for it and removed afterwards.

mod drift;
mod failing;
mod figures;
mod install;
mod push;
mod quiet;

use drover_e2e::{Controller, GitServer, Testbed};

use crate::figures::{Row, print};

#[tokio::main]
async fn main() {
    let number = std::env::var("BENCH_TESTBED").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let bed = Testbed::share_control_plane(number);
    drover_e2e::install(bed);

    // The bare loop runs before the controller, which would react to what the loop creates.
    let bare = install::bare_loop(bed).await;
    let controller = Controller::shared().await;
    let installed = install::by_drover().await;
    let mut rows = vec![
        Row::new("install 100 Environments × 4 objects: drover", format!("{:.2} s", installed.as_secs_f64())),
        Row::new("install the same: a loop of 16 parallel writes", format!("{:.2} s", bare.as_secs_f64())),
        Row::new("loop / drover", format!("{:.2}", bare.as_secs_f64() / installed.as_secs_f64())),
    ];
    let apps = push::hundred_apps().await;
    rows.extend(push::one_of_a_hundred(&apps).await);
    rows.extend(drift::put_back(&apps).await);
    rows.extend(quiet::minute(bed, &apps).await);
    rows.extend(failing::ten_of_a_hundred(bed).await);
    rows.push(Row::new(
        "resident memory: 101 Environments, 100 WebApps",
        format!("{} MiB", figures::resident_mebibytes(controller.pid())),
    ));
    print(&rows);

    drop(apps);
    controller.stop();
    GitServer::shared().down();
    bed.down();
}
