//! drover with faults between it and the API server, and a clock that a test sets: see `drover_e2e::fault`.

use std::path::PathBuf;
use std::process::ExitCode;

use drover_e2e::fault::api::{JOURNAL, Journal, Layer, PLAN};
use drover_e2e::fault::clock;
use kube::{Client, Config};

fn main() -> ExitCode {
    drover::program::main(connect, clock::now)
}

fn connect(config: Config) -> kube::Result<Client> {
    let (plan, journal) = (path(PLAN), path(JOURNAL));
    let journal = Journal::open(&journal).unwrap_or_else(|error| panic!("{}: {error}", journal.display()));
    Ok(drover::cluster::connection(config)?.with_layer(&Layer::new(&plan, journal)).build())
}

fn path(variable: &str) -> PathBuf {
    std::env::var_os(variable).unwrap_or_else(|| panic!("{variable} names no file")).into()
}
