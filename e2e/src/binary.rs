//! The program under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::command::run;
use crate::testbed::repository;

/// The `drover` binary that is tested: `DROVER_BIN`, or what this workspace builds, brought up to date first. Beside it lies `drover-errands`.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        if let Some(given) = std::env::var_os("DROVER_BIN") {
            return given.into();
        }
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build
            .args(["build", "--quiet", "--locked", "--workspace", "--bin", "drover", "--bin", "drover-errands"])
            .current_dir(repository());
        if !cfg!(debug_assertions) {
            build.arg("--release");
        }
        // What cargo tells a test about its own package would have some dependencies built anew, now and at the next call.
        let of_a_package = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_str().is_some_and(of_a_package)) {
            build.env_remove(name);
        }
        run(&mut build);
        // This program lies in the same target folder: PROFILE/deps/it-… for a test, PROFILE/bench for a program.
        let here = std::env::current_exe().expect("a running program has a path");
        here.ancestors()
            .map(|folder| folder.join("drover"))
            .find(|candidate| candidate.is_file())
            .expect("cargo has just built the binary beside this program")
    })
}
