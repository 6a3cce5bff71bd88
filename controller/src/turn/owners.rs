//! Which of drover's objects an owner label stands for, and what that has applied. Labels are cut where they are too long, so they cannot
//! be read back.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard};

use drover_core::render::ObjectKey;
use drover_core::workload::pods::Applied;
use drover_crds::{GROUP, Owner};
use tokio::sync::mpsc::UnboundedSender;

use crate::unpoisoned;

/// Owner labels of the objects that were reconciled in this process.
#[derive(Default)]
pub struct Owners {
    by_label: Mutex<HashMap<String, Owner>>,
    applied: Mutex<HashMap<String, AppliedBy>>,
    /// Who calls an owner again, by its label.
    tell: Option<UnboundedSender<String>>,
}

/// What one owner has applied, and the labels of those who asked for it.
#[derive(Default)]
struct AppliedBy {
    applied: Option<Applied>,
    asked_by: BTreeSet<String>,
}

impl Owners {
    /// None yet; `tell` gets the labels of those that are to be called again.
    pub fn telling(tell: UnboundedSender<String>) -> Self {
        Self { tell: Some(tell), ..Self::default() }
    }

    /// Notes an owner that exists.
    pub fn note(&self, owner: &Owner) {
        self.map().insert(owner.label(), owner.clone());
    }

    /// Forgets an owner that is gone.
    pub fn forget(&self, owner: &Owner) {
        let label = owner.label();
        self.map().remove(&label);
        let mut applied = unpoisoned::lock(&self.applied);
        applied.remove(&label);
        for by in applied.values_mut() {
            by.asked_by.remove(&label);
        }
    }

    /// `owner` has applied that. Whoever asked for it is called again where it is another than before.
    pub fn has_applied(&self, owner: &Owner, applied: Applied) {
        let mut all = unpoisoned::lock(&self.applied);
        let by = all.entry(owner.label()).or_default();
        if by.applied.replace(applied.clone()) == Some(applied) {
            return;
        }
        for label in &by.asked_by {
            // The receiver ends with the process.
            let _ = self.tell.as_ref().map(|tell| tell.send(label.clone()));
        }
    }

    /// What the owner of that label has applied, as far as is known. `who` is called again when that is another.
    pub fn applied_by(&self, label: &str, who: &Owner) -> Option<Applied> {
        let mut all = unpoisoned::lock(&self.applied);
        let by = all.entry(label.to_owned()).or_default();
        by.asked_by.insert(who.label());
        by.applied.clone()
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
    fn who_asked_what_is_applied_is_called_when_it_is_another() {
        let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
        let owners = Owners::telling(tell);
        let (prod, web) = (environment("prod"), Owner::new(OwnerKind::WebApp, "shop", "web"));
        let applied = |commit: &str| Applied { repository: "https://git.test/shop".into(), commit: commit.into() };
        assert_eq!(owners.applied_by(&prod.label(), &web), None);
        for commit in ["c1", "c1", "c2"] {
            owners.has_applied(&prod, applied(commit));
            assert_eq!(owners.applied_by(&prod.label(), &web), Some(applied(commit)));
        }
        assert_eq!([told.try_recv().ok(), told.try_recv().ok()], [Some(web.label()), Some(web.label())]);
        owners.forget(&web);
        owners.has_applied(&prod, applied("c3"));
        assert!(told.try_recv().is_err(), "c1 was told once, and who is gone is told nothing");
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
