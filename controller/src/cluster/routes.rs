//! The routes of all Ingresses of the cluster, also of those that drover did not apply, as their watch shows them.

use std::collections::{BTreeSet, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use drover_core::plan::{Claims, Routes, Taken};
use drover_core::render::{Object, ObjectKey};
use kube::core::DynamicObject;
use tokio::sync::mpsc::UnboundedSender;

use super::index::GroupKind;
use super::onlooker::Onlooker;
use crate::unpoisoned;

/// Whether objects of this kind claim routes.
pub(super) fn claims_routes(kind: &GroupKind) -> bool {
    kind.group == "networking.k8s.io" && kind.kind == "Ingress"
}

/// Who has which route. Owners that wait for one are told when it becomes free, like any other change that concerns them.
pub(super) struct RouteTable {
    routes: Mutex<Routes>,
    changed: UnboundedSender<String>,
}

impl RouteTable {
    pub(super) fn new(changed: UnboundedSender<String>) -> Arc<Self> {
        Arc::new(Self { routes: Mutex::default(), changed })
    }

    /// The first route of `object`, which is to be sent for the owner of that label, that another Ingress has.
    pub(super) fn taken(&self, object: &Object, owner: &str) -> Option<Taken> {
        self.routes().taken(&object.key(), &claims(object), owner)
    }

    /// The same, and claims the routes where all are free. Both are one step: of two that come at the same moment one is refused.
    pub(super) fn claim(&self, object: &Object, owner: &str) -> Option<Taken> {
        let (key, claims) = (object.key(), claims(object));
        let mut routes = self.routes();
        let taken = routes.taken(&key, &claims, owner);
        if taken.is_none() {
            routes.reserve(&key, &claims);
        }
        taken
    }

    /// The object was accepted.
    pub(super) fn accepted(&self, key: &ObjectKey) {
        self.routes().accepted(key);
    }

    /// The object was not accepted.
    pub(super) fn give_back(&self, key: &ObjectKey) {
        let told = self.routes().give_back(key);
        self.tell(told);
    }

    fn tell(&self, owners: BTreeSet<String>) {
        for owner in owners {
            // The receiver ends with the process.
            let _ = self.changed.send(owner);
        }
    }

    fn routes(&self) -> MutexGuard<'_, Routes> {
        unpoisoned::lock(&self.routes)
    }
}

impl Onlooker for RouteTable {
    fn observed(&self, key: &ObjectKey, object: &DynamicObject) {
        let claims = serde_json::to_value(object).map(|object| Claims::of(&object)).unwrap_or_default();
        let told = self.routes().observed(key, claims);
        self.tell(told);
    }

    fn gone(&self, key: &ObjectKey) {
        let told = self.routes().gone(key);
        self.tell(told);
    }

    fn listing(&self) {
        self.routes().listing();
    }

    fn keep_only(&self, seen: &HashSet<ObjectKey>) {
        let told = self.routes().keep_only(seen);
        self.tell(told);
    }
}

fn claims(object: &Object) -> Claims {
    Claims::of(&serde_json::Value::Object(object.json().clone()))
}
