//! Which of drover's objects an owner label stands for. Labels are cut where they are too long, so they cannot be read back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use drover_crds::Owner;

/// Owner labels of the objects that were reconciled in this process.
#[derive(Default)]
pub struct Owners {
    by_label: Mutex<HashMap<String, Owner>>,
}

impl Owners {
    /// Notes an owner that exists.
    pub fn note(&self, owner: &Owner) {
        self.map().insert(owner.label(), owner.clone());
    }

    /// Forgets an owner that is gone.
    pub fn forget(&self, owner: &Owner) {
        self.map().remove(&owner.label());
    }

    /// The owner of that label.
    pub fn get(&self, label: &str) -> Option<Owner> {
        self.map().get(label).cloned()
    }

    // A plain map that no panic can leave half-written.
    fn map(&self) -> MutexGuard<'_, HashMap<String, Owner>> {
        self.by_label.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
