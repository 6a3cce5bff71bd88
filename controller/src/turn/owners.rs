//! Which of drover's objects an owner label stands for. Labels are cut where they are too long, so they cannot be read back.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use drover_crds::{GROUP, Owner};

use crate::unpoisoned;
use drover_core::render::ObjectKey;

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

    /// `owner` itself, who applies it, who applies that one, and so on: all that wait for `owner` to be healthy, and for which it
    /// must not wait in turn. A repository that holds its own Environment is the usual case. `label_on` tells the owner label of
    /// a live object.
    pub fn above(&self, owner: &Owner, label_on: impl Fn(&ObjectKey) -> Option<String>) -> HashSet<ObjectKey> {
        let mut above = HashSet::new();
        let mut next = Some(owner.clone());
        while let Some(owner) = next {
            let key = ObjectKey {
                group: GROUP.to_owned(),
                kind: owner.kind.as_str().to_owned(),
                namespace: Some(owner.key.namespace),
                name: owner.key.name,
            };
            let applied_by = label_on(&key);
            if !above.insert(key) {
                break;
            }
            next = applied_by.and_then(|label| self.get(&label));
        }
        above
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, Owner>> {
        unpoisoned::lock(&self.by_label)
    }
}

#[cfg(test)]
mod tests {
    use drover_crds::OwnerKind;

    use super::*;

    fn environment(name: &str) -> Owner {
        Owner::new(OwnerKind::Environment, "shop", name)
    }

    /// Who is above `name`, where each of `applied` stands in the repository of the other.
    fn above(name: &str, applied: &[(&str, &str)]) -> Vec<String> {
        let owners = Owners::default();
        for (child, by) in applied {
            owners.note(&environment(child));
            owners.note(&environment(by));
        }
        let label_on = |key: &ObjectKey| {
            let (_, by) = applied.iter().find(|(child, _)| *child == key.name)?;
            Some(environment(by).label())
        };
        let mut names: Vec<String> =
            owners.above(&environment(name), label_on).into_iter().map(|key| key.name).collect();
        names.sort();
        names
    }

    #[test]
    fn whoever_waits_for_an_owner_is_found_in_a_line_and_in_a_circle() {
        assert_eq!(above("a", &[]), ["a"]);
        assert_eq!(above("a", &[("a", "a")]), ["a"]);
        assert_eq!(above("a", &[("a", "b"), ("b", "a")]), ["a", "b"]);
        assert_eq!(above("a", &[("a", "b"), ("b", "c"), ("c", "a"), ("d", "a")]), ["a", "b", "c"]);
        assert_eq!(above("a", &[("a", "b"), ("b", "c"), ("c", "b")]), ["a", "b", "c"], "a circle further up");
    }
}
