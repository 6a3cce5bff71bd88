//! A control plane that tests hurt as they like, one at a time.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::MutexGuard;

use crate::controller::HOME;
use crate::eventually::eventually;
use crate::testbed::Testbed;

/// How long the control plane may take to remove the namespaces of the test before.
const CLEARED: Duration = Duration::from_mins(2);

/// A control plane of its own, with drover installed and no controller running. Tests that ask for the same one take turns. While nobody has
/// it, it is frozen: a few that only idle take a good part of a small machine.
pub struct Stage {
    bed: &'static Testbed,
    turn: MutexGuard<'static, Frozen>,
}

struct Place {
    bed: Testbed,
    /// Whether it is frozen.
    turn: tokio::sync::Mutex<Frozen>,
}

#[derive(Default)]
struct Frozen(bool);

impl Stage {
    /// The cluster of that number, made anew when a run of the tests first asks for it.
    pub async fn enter(number: u32) -> Self {
        static PLACES: Mutex<BTreeMap<u32, &'static Place>> = Mutex::new(BTreeMap::new());
        let place: &'static Place = {
            let mut places = PLACES.lock().expect("no holder of this lock panics");
            places.entry(number).or_insert_with(|| {
                Box::leak(Box::new(Place { bed: Testbed::victim(number), turn: tokio::sync::Mutex::default() }))
            })
        };
        let mut turn = place.turn.lock().await;
        if std::mem::take(&mut turn.0) {
            place.bed.suffers(&["resume"]);
        }
        let stage = Self { bed: &place.bed, turn };
        stage.clear().await;
        stage
    }

    /// Waits until nothing is left of the test before, which a controller would clean up and so ask for.
    async fn clear(&self) {
        eventually("the namespaces of the test before are gone", CLEARED, async || {
            let going = "status.phase=Terminating";
            match self.kubectl(&["get", "namespaces", "--output", "name", "--field-selector", going]) {
                none if none.is_empty() => Ok(()),
                left => Err(left),
            }
        })
        .await;
        self.kubectl(&["--namespace", HOME, "delete", "configmaps", "--selector", drover_crds::LABEL_INVENTORY]);
    }

    /// The cluster.
    pub fn bed(&self) -> &'static Testbed {
        self.bed
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.turn.0 = true;
        self.bed.suffers_if_it_can(&["pause"]);
    }
}

impl Deref for Stage {
    type Target = Testbed;

    fn deref(&self) -> &Testbed {
        self.bed
    }
}
