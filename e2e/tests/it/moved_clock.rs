//! A clock on the wall that a test moves, and the drover that goes by it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use drover_e2e::fault::api::{JOURNAL, PLAN, Plan};
use drover_e2e::fault::clock::{CLOCK, set_ahead};
use drover_e2e::{Controller, Start, Testbed};
use tempfile::TempDir;

/// A clock that is as the machine's until it is set ahead.
pub struct MovedClock {
    folder: TempDir,
}

impl MovedClock {
    /// A new one; the drovers that go by it meet no faults.
    pub fn new() -> Self {
        let clock = Self { folder: tempfile::tempdir().expect("the temporary folder is ours to write") };
        Plan::default().write(&clock.within("plan"));
        clock.set_ahead(Duration::ZERO);
        clock
    }

    fn within(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where it stands, for [`CLOCK`].
    pub fn file(&self) -> PathBuf {
        self.within("clock")
    }

    /// It is ahead of the machine's by that much from now on.
    pub fn set_ahead(&self, by: Duration) {
        set_ahead(&self.file(), by);
    }

    /// The tests' drover, which goes by it.
    pub fn drover<'a>(&self, bed: &'a Testbed) -> Start<'a> {
        Controller::on(bed)
            .program(Path::new(env!("CARGO_BIN_EXE_drover-faulty")))
            .variable(PLAN, self.within("plan"))
            .variable(JOURNAL, self.within("journal"))
            .variable(CLOCK, self.file())
    }
}
