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

/// A control plane of its own, with drover installed and no controller running. Tests that ask for the same one take turns.
pub struct Stage {
    bed: &'static Testbed,
    _turn: MutexGuard<'static, ()>,
}

struct Place {
    bed: Testbed,
    turn: tokio::sync::Mutex<()>,
}

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
        let turn = place.turn.lock().await;
        let stage = Self { bed: &place.bed, _turn: turn };
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

impl Deref for Stage {
    type Target = Testbed;

    fn deref(&self) -> &Testbed {
        self.bed
    }
}
