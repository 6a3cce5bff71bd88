//! Measures the release build against a real API server on the same machine, and prints a table.
//!
//! There is no node: what is measured is drover and the API server, not how fast containers start. `bench NAME` measures one
//! part (`install`, `apps`, `failing`, `sync`, `front` or `backup`) without the others. `BENCH_TESTBED=N` chooses the cluster that is started for it and
//! removed afterwards.

mod backup;
mod drift;
mod failing;
mod figures;
mod front;
mod install;
mod push;
mod queues;
mod quiet;
mod sync;

use drover_e2e::{Controller, GitServer, Testbed};

use crate::figures::Row;

#[tokio::main]
async fn main() {
    let only = std::env::args().nth(1);
    let asked_for = |part: &str| only.as_deref().is_none_or(|only| only == part);
    println!("| what | figure |\n|---|---|");
    if asked_for("sync") {
        match sync::beside_rclone() {
            Some(rows) => figures::print(&rows),
            None => eprintln!("sync is left out: it takes versitygw and rclone in the path"),
        }
        if only.is_some() {
            return;
        }
    }
    if asked_for("backup") {
        match backup::of_a_gigabyte() {
            Some(rows) => figures::print(&rows),
            None => eprintln!("backup is left out: it takes Debian's postgresql-15, and root, who becomes its user"),
        }
        if only.is_some() {
            return;
        }
    }
    if asked_for("front") {
        match front::before_gunicorn().await {
            Some(rows) => figures::print(&rows),
            None => eprintln!(
                "front is left out: it takes nginx in the path, and gunicorn and Flask from Python's package index"
            ),
        }
        if only.is_some() {
            return;
        }
    }
    let number = std::env::var("BENCH_TESTBED").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    let bed = Testbed::share_control_plane(number);
    drover_e2e::install(bed);

    // The bare loop runs before the controller, which would react to what the loop creates.
    let bare = if asked_for("install") { Some(install::bare_loop(bed).await) } else { None };
    let controller = Controller::shared().await;
    if let Some(bare) = bare {
        let installed = install::by_drover().await;
        figures::print(&[
            Row::new("install 100 Environments × 4 objects: drover", format!("{:.2} s", installed.as_secs_f64())),
            Row::new("install the same: a loop of 16 parallel writes", format!("{:.2} s", bare.as_secs_f64())),
            Row::new("loop / drover", format!("{:.2}", bare.as_secs_f64() / installed.as_secs_f64())),
        ]);
    }
    if asked_for("apps") {
        let apps = push::hundred_apps().await;
        figures::print(&push::one_of_a_hundred(&apps).await);
        figures::print(&drift::put_back(&apps).await);
        figures::print(&quiet::minute(bed, &apps).await);
        figures::print(&[Row::new(
            "resident memory then, with all of the above",
            format!("{} MiB", controller.resident_mebibytes()),
        )]);
    }
    if asked_for("queues") {
        figures::print(&queues::many(bed, controller).await);
    }
    if asked_for("failing") {
        figures::print(&failing::ten_of_a_hundred(bed).await);
        figures::print(&[Row::new("resident memory at the end", format!("{} MiB", controller.resident_mebibytes()))]);
    }

    controller.stop();
    GitServer::shared().down();
    bed.down();
}
