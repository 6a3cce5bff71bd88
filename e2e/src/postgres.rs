//! The image of PostgreSQL in the testbed's registry: this machine's, on a base of Debian's packages.

use std::process::Command;
use std::sync::{Mutex, OnceLock};

use crate::command::run;
use crate::testbed::{Testbed, repository};

/// The image, pushed to the registry of that testbed at the first call.
pub fn image(bed: &Testbed) -> String {
    static PUSHED: OnceLock<Mutex<Vec<u32>>> = OnceLock::new();
    let name = format!("{}/postgres-q3c:15", bed.registry());
    let mut pushed = PUSHED.get_or_init(Mutex::default).lock().expect("no holder of this lock panics");
    if !pushed.contains(&bed.number()) {
        let tool = repository().join("e2e/testbed/postgres-image");
        run(Command::new(tool).args([&*name, "--push"]).env("TESTBED", bed.number().to_string()));
        pushed.push(bed.number());
    }
    name
}
