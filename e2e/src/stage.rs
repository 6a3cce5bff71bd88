//! A control plane that tests hurt as they like, one at a time.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Mutex;

use tokio::sync::MutexGuard;

use crate::testbed::Testbed;

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
        Self { bed: &place.bed, _turn: turn }
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
