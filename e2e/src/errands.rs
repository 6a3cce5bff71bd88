//! The image that the Jobs of errands run from, in the testbed's registry.

use std::process::Command;
use std::sync::{Mutex, OnceLock};

use crate::binary::binary;
use crate::command::run;
use crate::testbed::{Testbed, repository};

/// The image of the binaries under test, pushed to the registry of that testbed at the first call.
pub fn image(bed: &Testbed) -> String {
    static PUSHED: OnceLock<Mutex<Vec<u32>>> = OnceLock::new();
    let name = format!("{}/drover:under-test", bed.registry());
    let mut pushed = PUSHED.get_or_init(Mutex::default).lock().expect("no holder of this lock panics");
    if !pushed.contains(&bed.number()) {
        let tool = repository().join("packaging/image");
        run(Command::new(tool).arg("--binary").arg(binary()).args([
            "--strip",
            "--push",
            bed.registry(),
            "--name",
            &name,
        ]));
        pushed.push(bed.number());
    }
    name
}
