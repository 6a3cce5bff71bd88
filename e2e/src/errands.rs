//! The image that the Jobs of errands run from, in the testbed's registry.

use std::process::Command;

use crate::binary::binary;
use crate::command::run;
use crate::pushed::Pushed;
use crate::testbed::{Testbed, repository};

/// The image of the binaries under test, pushed to the registry of that testbed at the first call.
pub fn image(bed: &Testbed) -> String {
    static PUSHED: Pushed = Pushed::nowhere();
    let name = format!("{}/drover:under-test", bed.registry());
    PUSHED.to(bed, || {
        let tool = repository().join("packaging/image");
        run(Command::new(tool).arg("--binary").arg(binary()).args([
            "--without-sops",
            "--strip",
            "--push",
            bed.registry(),
            "--name",
            &name,
        ]));
    });
    name
}
