//! The image of MariaDB in the testbed's registry: this machine's, on a base of Debian's packages.

use std::process::Command;

use crate::command::run;
use crate::pushed::Pushed;
use crate::testbed::{Testbed, repository};

/// The image, pushed to the registry of that testbed at the first call.
pub fn image(bed: &Testbed) -> String {
    static PUSHED: Pushed = Pushed::nowhere();
    let name = format!("{}/mariadb:10.11", bed.registry());
    PUSHED.to(bed, || {
        let tool = repository().join("e2e/testbed/mariadb-image");
        run(Command::new(tool).args([&*name, "--push"]).env("TESTBED", bed.number().to_string()));
    });
    name
}
