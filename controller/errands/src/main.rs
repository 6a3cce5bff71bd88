//! The program `drover-errands`: what drover's own image does inside a Job. It has no client of Kubernetes and no rights in the
//! cluster: it is told what to do by a file, works in a mounted claim, and leaves its result as the container's last words.

use std::process::ExitCode;

mod assets;
mod backup;
mod claim;
mod clock;
mod databases;
mod failure;
mod git;
mod logs;
mod page;
mod program;
mod progress;
mod repository;
mod retry;
mod s3;
mod secret;
mod stop;
mod sync;
mod web;

fn main() -> ExitCode {
    program::main()
}
