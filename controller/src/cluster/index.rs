//! What the watches know of every object that drover applied: a few hundred bytes each, never the object itself.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use drover_core::health::{self, Finished, Health};
use drover_core::plan::Ended;
use drover_core::render::{Generated, ObjectKey};
use drover_crds::{ANNOTATION_APPLIED, ANNOTATION_PRUNE, LABEL_OWNER};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::DynamicObject;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use crate::unpoisoned;

/// One object as it was last seen.
#[derive(Clone, Debug, PartialEq)]
pub struct Live {
    /// Its uid.
    pub uid: String,
    /// Its resource version. The API server promises since Kubernetes 1.35 that these compare as integers.
    pub resource_version: u64,
    /// The value of its owner label; empty where it has none.
    pub owner: String,
    /// The hash of what was last sent, from its annotation.
    pub applied: Option<String>,
    /// Hash of the fields that the owner's field manager holds; 0 when it holds none. Somebody else's change takes the field
    /// out, so a change here is drift, whatever the values.
    pub fields: u64,
    /// What `fields` would be with the number of replicas among them: the same where it is, 0 where there is no place for it.
    with_replicas: u64,
    /// What [`Live::held`] was right after drover's last apply, where this process made it.
    pub sent: Option<u64>,
    /// Its health.
    pub health: Health,
    /// Whether it ran to its end.
    pub finished: Option<Finished>,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether it is annotated as never to be pruned.
    pub prune_disabled: bool,
    /// What it has of values that drover made.
    pub generated: Generated,
}

impl Live {
    /// Reads what is kept from the whole object, which is dropped after that.
    pub fn of(object: &DynamicObject) -> Self {
        let meta = &object.metadata;
        let owner = meta.labels.as_ref().and_then(|l| l.get(LABEL_OWNER)).cloned().unwrap_or_default();
        let whole = serde_json::to_value(object).unwrap_or_default();
        let (fields, with_replicas) = fields_of(meta, &owner);
        Self {
            uid: meta.uid.clone().unwrap_or_default(),
            resource_version: meta.resource_version.as_deref().and_then(|v| v.parse().ok()).unwrap_or(0),
            applied: meta.annotations.as_ref().and_then(|a| a.get(ANNOTATION_APPLIED)).cloned(),
            fields,
            with_replicas,
            sent: None,
            health: health::assess(&whole),
            finished: health::finished(&whole),
            generated: Generated::of(&whole),
            deleting: meta.deletion_timestamp.is_some(),
            prune_disabled: meta
                .annotations
                .as_ref()
                .is_some_and(|a| a.get(ANNOTATION_PRUNE).is_some_and(|value| value == "disabled")),
            owner,
        }
    }

    /// Whether the owner's field manager holds the number of replicas.
    pub fn holds_replicas(&self) -> bool {
        self.fields == self.with_replicas && self.fields != 0
    }

    /// The fields to compare with those that were held before. Where an autoscaler has the number of replicas that drover would
    /// have otherwise, it counts as held: its coming is no drift, and its going is.
    pub fn held(&self, autoscaled: bool) -> u64 {
        if autoscaled && self.with_replicas != 0 { self.with_replicas } else { self.fields }
    }

    /// What ran to its end.
    pub fn ended(&self) -> Option<Ended> {
        let failed = self.finished? == Finished::Failed;
        Some(Ended { hash: self.applied.clone()?, failed })
    }

    /// Whether a reconcile of its owner could come to another conclusion than before.
    fn matters(&self, before: &Self) -> bool {
        let Self {
            uid,
            resource_version: _,
            owner,
            applied,
            fields,
            with_replicas: _,
            sent: _,
            health,
            finished,
            deleting,
            prune_disabled: _,
            generated,
        } = before;
        (uid, owner, applied, fields, health, finished, deleting, generated)
            != (
                &self.uid,
                &self.owner,
                &self.applied,
                &self.fields,
                &self.health,
                &self.finished,
                &self.deleting,
                &self.generated,
            )
    }
}

/// The hash of the fields that the owner's field manager holds, as they are and with the number of replicas among them.
fn fields_of(meta: &ObjectMeta, owner: &str) -> (u64, u64) {
    let manager = format!("drover-{owner}");
    let entry = meta.managed_fields.iter().flatten().find(|entry| {
        entry.manager.as_deref() == Some(&manager)
            && entry.operation.as_deref() == Some("Apply")
            && entry.subresource.as_deref().unwrap_or_default().is_empty()
    });
    let Some(fields) = entry.and_then(|entry| entry.fields_v1.as_ref()) else { return (0, 0) };
    let as_they_are = hash(&fields.0);
    let spec = fields.0.get("f:spec").filter(|spec| spec.get("f:replicas").is_none()).and_then(Value::as_object);
    let Some(spec) = spec else {
        let holds = fields.0.pointer("/f:spec/f:replicas").is_some();
        return (as_they_are, if holds { as_they_are } else { 0 });
    };
    let mut with_replicas = fields.0.clone();
    with_replicas["f:spec"] = spec.clone().into_iter().chain([("f:replicas".to_owned(), json!({}))]).collect();
    (as_they_are, hash(&with_replicas))
}

fn hash(fields: &Value) -> u64 {
    let digest = Sha256::digest(fields.to_string().as_bytes());
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

/// Group and kind of objects that are watched together.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupKind {
    /// API group; empty for the core group.
    pub group: String,
    /// Kind.
    pub kind: String,
}

impl GroupKind {
    /// The group and kind of `key`.
    pub fn of(key: &ObjectKey) -> Self {
        Self { group: key.group.clone(), kind: key.kind.clone() }
    }

    fn holds(&self, key: &ObjectKey) -> bool {
        key.kind == self.kind && key.group == self.group
    }
}

/// For how long the answer to a write may come after the watch showed what became of it: longer than any write may take.
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// How many objects that ran and are gone are remembered until their owners come to look.
const MOST_ENDED: usize = 10_000;

#[derive(Default)]
struct Objects {
    live: HashMap<ObjectKey, Live>,
    /// Objects that drover applied since a listing of their kind began: that listing may not show them yet.
    fresh: HashSet<ObjectKey>,
    /// What ran to its end and was removed: its owner may come to look only after that.
    ended: HashMap<ObjectKey, Ended>,
    /// What a watch showed gone a moment ago.
    gone: HashMap<ObjectKey, Grave>,
}

/// What is known of an object that a watch showed gone.
struct Grave {
    uid: String,
    resource_version: u64,
    since: Instant,
}

impl Objects {
    fn insert(&mut self, key: ObjectKey, live: Live) -> Option<Live> {
        self.ended.remove(&key);
        self.live.insert(key, live)
    }

    fn remove(&mut self, key: &ObjectKey) -> Option<Live> {
        self.fresh.remove(key);
        let before = self.live.remove(key)?;
        if let Some(ended) = before.ended() {
            // Their owners have long looked at nearly all of these, and have written down what they saw.
            if self.ended.len() >= MOST_ENDED {
                self.ended.clear();
            }
            self.ended.insert(key.clone(), ended);
        }
        Some(before)
    }
}

/// All that the watches know. Every change that matters is told with the owner label it concerns.
pub struct Index {
    objects: RwLock<Objects>,
    changed: UnboundedSender<String>,
}

impl Index {
    /// An empty index that tells changes on `changed`.
    pub fn new(changed: UnboundedSender<String>) -> Arc<Self> {
        Arc::new(Self { objects: RwLock::default(), changed })
    }

    /// The object of that key, as it was last seen.
    pub fn live(&self, key: &ObjectKey) -> Option<Live> {
        self.read().live.get(key).cloned()
    }

    /// How the object of that key ended, if it ran to its end before it was removed.
    pub fn ended(&self, key: &ObjectKey) -> Option<Ended> {
        self.read().ended.get(key).cloned()
    }

    /// How many objects are known.
    pub fn len(&self) -> usize {
        self.read().live.len()
    }

    /// Whether no object is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Takes in an object that a watch reported. An older version than the one known is passed over: watches lag behind
    /// the answers to drover's own writes.
    pub fn observed(&self, key: ObjectKey, live: Live) {
        let mut objects = self.write();
        let mut live = live;
        if let Some(known) = objects.live.get(&key) {
            if known.uid == live.uid && known.resource_version > live.resource_version {
                return;
            }
            if known.uid == live.uid {
                live.sent = known.sent;
            }
        }
        let owner = live.owner.clone();
        let before = objects.insert(key, live.clone());
        drop(objects);
        match before {
            Some(before) if !live.matters(&before) => {}
            Some(before) if before.owner != owner => {
                self.tell(before.owner);
                self.tell(owner);
            }
            _ => self.tell(owner),
        }
    }

    /// Takes in the answer to an apply of drover's own, so that the next look does not see an older state.
    pub fn applied(&self, key: ObjectKey, mut live: Live) {
        live.sent.get_or_insert(live.fields);
        let mut objects = self.write();
        if objects.live.get(&key).is_some_and(|k| k.uid == live.uid && k.resource_version > live.resource_version) {
            return;
        }
        // A watch may tell of the deletion before the answer to the apply that came before it is here.
        let is_gone = |grave: &Grave| grave.uid == live.uid && grave.resource_version > live.resource_version;
        if objects.gone.get(&key).is_some_and(is_gone) {
            drop(objects);
            self.tell(live.owner);
            return;
        }
        objects.fresh.insert(key.clone());
        let owner = live.owner.clone();
        let before = objects.insert(key, live);
        drop(objects);
        // Who applies hears of it anyway; who had the object before does not.
        if let Some(before) = before.filter(|before| before.owner != owner) {
            self.tell(before.owner);
        }
    }

    /// A new listing of this kind begins.
    pub fn listing(&self, kind: &GroupKind) {
        self.write().fresh.retain(|key| !kind.holds(key));
    }

    /// A watch told that the object with that uid is gone at that resource version: deleted, or its label was taken off.
    pub fn vanished(&self, key: &ObjectKey, uid: &str, resource_version: u64) {
        {
            let since = Instant::now();
            let mut objects = self.write();
            objects.gone.retain(|_, grave| since.duration_since(grave.since) < ANSWERS_WITHIN);
            objects.gone.insert(key.clone(), Grave { uid: uid.to_owned(), resource_version, since });
        }
        self.gone(key, Some(uid));
    }

    /// An object is gone.
    pub fn gone(&self, key: &ObjectKey, uid: Option<&str>) {
        let mut objects = self.write();
        if uid.is_some_and(|uid| objects.live.get(key).is_some_and(|live| live.uid != uid)) {
            return; // an older object of that name
        }
        let before = objects.remove(key);
        drop(objects);
        if let Some(before) = before {
            self.tell(before.owner);
        }
    }

    /// A listing ended: whatever of its kind it did not show is gone, except what drover applied since it began.
    pub fn keep_only(&self, kind: &GroupKind, seen: &HashSet<ObjectKey>) {
        let gone: Vec<ObjectKey> = {
            let objects = self.read();
            let missing = |key: &&ObjectKey| kind.holds(key) && !seen.contains(*key) && !objects.fresh.contains(*key);
            objects.live.keys().filter(missing).cloned().collect()
        };
        for key in gone {
            self.gone(&key, None);
        }
    }

    /// Something that is not in the object changed what is to be done about it.
    pub fn tell_owner_of(&self, key: &ObjectKey) {
        if let Some(live) = self.live(key) {
            self.tell(live.owner);
        }
    }

    /// The owner of that label is to look again.
    pub(super) fn tell(&self, owner: String) {
        // The receiver ends with the process.
        let _ = self.changed.send(owner);
    }

    // The locks guard plain maps that no panic can leave half-written.
    fn read(&self) -> std::sync::RwLockReadGuard<'_, Objects> {
        unpoisoned::read(&self.objects)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Objects> {
        unpoisoned::write(&self.objects)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    fn key(name: &str) -> ObjectKey {
        ObjectKey { group: String::new(), kind: "Service".into(), namespace: Some("shop".into()), name: name.into() }
    }

    fn object(name: &str, version: u64, owner: &str, held: &serde_json::Value) -> Live {
        let object = json!({"apiVersion": "v1", "kind": "Service", "metadata": {
            "name": name, "namespace": "shop", "uid": format!("uid-{name}"), "resourceVersion": version.to_string(),
            "labels": {LABEL_OWNER: owner}, "annotations": {ANNOTATION_APPLIED: "hash"},
            "managedFields": [
                {"manager": format!("drover-{owner}"), "operation": "Apply", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": held},
                {"manager": "kubectl", "operation": "Update", "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": {"f:x": {}}},
            ]}, "spec": {}});
        Live::of(&serde_json::from_value(object).expect("an object"))
    }

    fn index() -> (Arc<Index>, UnboundedReceiver<String>) {
        let (sender, receiver) = unbounded_channel();
        (Index::new(sender), receiver)
    }

    #[test]
    fn a_field_that_another_took_over_is_told_and_a_status_change_is_not() {
        let (index, mut told) = index();
        let both = json!({"f:spec": {"f:a": {}, "f:b": {}}});
        index.observed(key("web"), object("web", 5, "env.shop.prod", &both));
        assert_eq!(told.try_recv().expect("told"), "env.shop.prod");
        index.observed(key("web"), object("web", 6, "env.shop.prod", &both));
        assert!(told.try_recv().is_err(), "nothing that matters changed");
        index.observed(key("web"), object("web", 7, "env.shop.prod", &json!({"f:spec": {"f:a": {}}})));
        assert_eq!(told.try_recv().expect("told"), "env.shop.prod");
    }

    #[test]
    fn a_number_of_replicas_that_an_autoscaler_has_counts_as_held() {
        let of = |held: serde_json::Value| object("web", 5, "env.shop.prod", &held);
        let before =
            of(json!({"f:metadata": {"f:labels": {}}, "f:spec": {"f:paused": {}, "f:replicas": {}, "f:template": {}}}));
        let after = of(json!({"f:metadata": {"f:labels": {}}, "f:spec": {"f:paused": {}, "f:template": {}}}));
        assert!(before.holds_replicas() && !after.holds_replicas());
        assert_ne!(after.held(false), before.held(false), "somebody took it");
        assert_eq!(after.held(true), before.held(true), "an autoscaler has it");
        let more = of(json!({"f:metadata": {"f:labels": {}}, "f:spec": {"f:template": {}}}));
        assert_ne!(more.held(true), before.held(true), "something else was taken, too");
        let none = of(json!({"f:metadata": {"f:labels": {}}}));
        assert_eq!(none.held(true), none.held(false));
        assert!(
            !of(json!({})).holds_replicas()
                && !Live::of(&DynamicObject { types: None, metadata: ObjectMeta::default(), data: Value::Null })
                    .holds_replicas()
        );
    }

    #[test]
    fn a_deletion_that_is_told_before_the_answer_to_an_apply_is_not_undone_by_it() {
        let (index, mut told) = index();
        let held = json!({"f:spec": {}});
        index.observed(key("web"), object("web", 8, "env.shop.prod", &held));
        index.vanished(&key("web"), "uid-web", 10);
        while told.try_recv().is_ok() {}
        index.applied(key("web"), object("web", 9, "env.shop.prod", &held));
        assert_eq!(index.live(&key("web")), None, "it is gone");
        assert_eq!(told.try_recv().as_deref(), Ok("env.shop.prod"), "who applied it looks again");
        // Its label was taken off, and is put on again: the same object.
        index.applied(key("web"), object("web", 11, "env.shop.prod", &held));
        assert!(index.live(&key("web")).is_some());
        // One that was never seen, made and deleted at once.
        index.vanished(&key("new"), "uid-new", 21);
        index.applied(key("new"), object("new", 20, "env.shop.prod", &held));
        assert_eq!(index.live(&key("new")), None);
    }

    #[test]
    fn a_watch_that_lags_does_not_undo_what_an_apply_answered() {
        let (index, _told) = index();
        let held = json!({"f:spec": {}});
        index.applied(key("web"), object("web", 9, "env.shop.prod", &held));
        index.observed(key("web"), object("web", 8, "env.shop.prod", &json!({"f:old": {}})));
        let live = index.live(&key("web")).expect("known");
        assert_eq!(live.resource_version, 9);
        assert_eq!(live.sent, Some(live.fields));
    }

    #[test]
    fn a_new_listing_drops_what_is_gone_but_not_what_was_just_applied() {
        let (index, _told) = index();
        let held = json!({"f:spec": {}});
        let kind = GroupKind { group: String::new(), kind: "Service".into() };
        index.applied(key("old"), object("old", 3, "env.shop.prod", &held));
        index.observed(key("kept"), object("kept", 4, "env.shop.prod", &held));
        index.listing(&kind);
        index.applied(key("new"), object("new", 2, "env.shop.prod", &held));
        index.keep_only(&kind, &HashSet::from([key("kept")]));
        assert_eq!(["old", "kept", "new"].map(|name| index.live(&key(name)).is_some()), [false, true, true]);
    }

    #[test]
    fn what_ran_and_was_removed_is_remembered_until_it_is_made_anew() {
        let (index, _told) = index();
        let job = |version: u64, conditions: serde_json::Value| {
            let object = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {
                "name": "once", "namespace": "shop", "uid": format!("uid-{version}"), "resourceVersion": version.to_string(),
                "labels": {LABEL_OWNER: "env.shop.prod"}, "annotations": {ANNOTATION_APPLIED: "hash"}},
                "status": {"conditions": conditions}});
            Live::of(&serde_json::from_value(object).expect("an object"))
        };
        index.observed(key("once"), job(1, json!([])));
        index.gone(&key("once"), None);
        assert_eq!(index.ended(&key("once")), None, "it was removed before its end");
        index.observed(key("once"), job(2, json!([{"type": "Complete", "status": "True"}])));
        index.gone(&key("once"), None);
        assert_eq!(index.ended(&key("once")), Some(Ended { hash: "hash".into(), failed: false }));
        index.observed(key("once"), job(3, json!([])));
        assert_eq!(index.ended(&key("once")), None);
    }

    #[test]
    fn an_object_that_changes_hands_is_told_to_both() {
        let (index, mut told) = index();
        let held = json!({"f:spec": {}});
        index.observed(key("web"), object("web", 5, "env.shop.prod", &held));
        let _ = told.try_recv();
        index.observed(key("web"), object("web", 6, "env.shop.other", &held));
        let both: HashSet<_> = [told.try_recv().expect("one"), told.try_recv().expect("two")].into();
        assert_eq!(both, HashSet::from(["env.shop.prod".to_owned(), "env.shop.other".to_owned()]));
        index.applied(key("web"), object("web", 7, "env.shop.prod", &held));
        assert_eq!(told.try_recv().expect("told"), "env.shop.other", "it was taken over by an apply of drover's own");
    }
}
