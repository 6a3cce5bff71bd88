//! Measures the release build against a real API server on the same machine, and prints a table.
//!
//! There is no node: what is measured is drover and the API server, not how fast containers start. `bench NAME` measures one
//! part (`folders`, `large`, `apps`, `queues`, `failing`, `sync`, `front` or `backup`) without the others. `BENCH_TESTBED=N` chooses the
//! cluster that is started for it and removed afterwards.

mod backup;
mod drift;
mod failing;
mod figures;
mod folders;
mod front;
mod large;
mod push;
mod queues;
mod quiet;
mod sync;
mod watched;

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
    if asked_for("folders") {
        folders::of_one_repository(number).await;
        if only.is_some() {
            return;
        }
    }
    if asked_for("large") {
        large::environment(number).await;
        if only.is_some() {
            return;
        }
    }
    let bed = Testbed::share_control_plane(number);
    drover_e2e::install(bed);

    let controller = Controller::shared().await;
    if asked_for("apps") {
        let apps = push::hundred_apps().await;
        figures::print(&push::one_of_a_hundred(&apps).await);
        figures::print(&drift::put_back(&apps).await);
        figures::print(&quiet::minute(bed, apps.namespace.name()).await);
        figures::print(&[Row::new("resident memory then", format!("{} MiB", controller.resident_mebibytes()))]);
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
