//! The program `drover`: the controller and the command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    drover::program::main(drover::cluster::connect, drover::clock::wall)
}
