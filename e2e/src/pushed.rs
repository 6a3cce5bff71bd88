//! Images that are made once for each testbed.

use std::sync::Mutex;

use crate::testbed::Testbed;

/// The testbeds whose registry has an image.
pub(crate) struct Pushed(Mutex<Vec<u32>>);

impl Pushed {
    pub(crate) const fn nowhere() -> Self {
        Self(Mutex::new(Vec::new()))
    }

    /// Has it made and pushed where the registry of that testbed has it not; who comes meanwhile waits.
    pub(crate) fn to(&self, bed: &Testbed, push: impl FnOnce()) {
        let mut beds = self.0.lock().expect("no holder of this lock panics");
        if !beds.contains(&bed.number()) {
            push();
            beds.push(bed.number());
        }
    }
}
