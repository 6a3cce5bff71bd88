//! Which objects have an autoscaler, also one that drover did not apply, as the watch of autoscalers shows them. While one is
//! there the number of replicas is its own.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard};

use drover_core::render::ObjectKey;
use kube::core::DynamicObject;

use super::index::Index;
use super::onlooker::Onlooker;
use crate::unpoisoned;

/// Group and kind of autoscalers.
pub const AUTOSCALER: (&str, &str) = ("autoscaling", "HorizontalPodAutoscaler");

/// What each autoscaler scales.
#[derive(Default)]
struct Targets {
    by_autoscaler: HashMap<ObjectKey, ObjectKey>,
    /// How many autoscalers each object has.
    count: HashMap<ObjectKey, usize>,
}

impl Targets {
    /// What that autoscaler scales now; what it scaled before is returned where that is another.
    fn set(&mut self, autoscaler: &ObjectKey, target: Option<ObjectKey>) -> Option<ObjectKey> {
        let before = match &target {
            Some(target) => self.by_autoscaler.insert(autoscaler.clone(), target.clone()),
            None => self.by_autoscaler.remove(autoscaler),
        };
        if before == target {
            return None;
        }
        if let Some(target) = target {
            *self.count.entry(target).or_default() += 1;
        }
        let before = before?;
        if let Some(count) = self.count.get_mut(&before) {
            *count -= 1;
            if *count == 0 {
                self.count.remove(&before);
            }
        }
        Some(before)
    }
}

/// The autoscalers of the cluster. When one lets go of an object, the owner of that is told.
pub(super) struct AutoscalerTable {
    targets: Mutex<Targets>,
    index: Arc<Index>,
}

impl AutoscalerTable {
    pub(super) fn new(index: Arc<Index>) -> Arc<Self> {
        Arc::new(Self { targets: Mutex::default(), index })
    }

    /// Whether an autoscaler scales the object of that key.
    pub(super) fn scales(&self, key: &ObjectKey) -> bool {
        self.targets().count.contains_key(key)
    }

    fn set(&self, autoscaler: &ObjectKey, target: Option<ObjectKey>) {
        let before = self.targets().set(autoscaler, target);
        if let Some(before) = before {
            self.index.tell_owner_of(&before);
        }
    }

    fn targets(&self) -> MutexGuard<'_, Targets> {
        unpoisoned::lock(&self.targets)
    }
}

impl Onlooker for AutoscalerTable {
    fn observed(&self, key: &ObjectKey, object: &DynamicObject) {
        self.set(key, target(object));
    }

    fn gone(&self, key: &ObjectKey) {
        self.set(key, None);
    }

    fn listing(&self) {}

    fn keep_only(&self, seen: &HashSet<ObjectKey>) {
        let gone: Vec<ObjectKey> =
            self.targets().by_autoscaler.keys().filter(|key| !seen.contains(*key)).cloned().collect();
        for key in gone {
            self.set(&key, None);
        }
    }
}

/// What an autoscaler scales.
pub(super) fn target(autoscaler: &DynamicObject) -> Option<ObjectKey> {
    let reference = autoscaler.data.get("spec")?.get("scaleTargetRef")?;
    let text = |field: &str| reference.get(field).and_then(serde_json::Value::as_str);
    let group = text("apiVersion").unwrap_or_default().rsplit_once('/').map_or("", |(group, _)| group);
    Some(ObjectKey {
        group: group.to_owned(),
        kind: text("kind")?.to_owned(),
        namespace: autoscaler.metadata.namespace.clone(),
        name: text("name")?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use drover_crds::LABEL_OWNER;
    use serde_json::json;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;
    use crate::cluster::Live;

    fn key(kind: &str, name: &str) -> ObjectKey {
        let group = if kind == "Deployment" { "apps" } else { AUTOSCALER.0 };
        ObjectKey { group: group.into(), kind: kind.into(), namespace: Some("shop".into()), name: name.into() }
    }

    fn autoscaler(of: &str) -> DynamicObject {
        let object = json!({"apiVersion": "autoscaling/v2", "kind": AUTOSCALER.1, "metadata": {"namespace": "shop"},
            "spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": of}}});
        serde_json::from_value(object).expect("an object")
    }

    #[test]
    fn an_object_has_an_autoscaler_until_the_last_lets_go_and_its_owner_is_told() {
        let (sender, mut told) = unbounded_channel();
        let index = Index::new(sender);
        let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": "web", "labels": {LABEL_OWNER: "env.shop.prod"}}});
        let web = key("Deployment", "web");
        index.observed(web.clone(), Live::of(&serde_json::from_value(deployment).expect("an object")));
        let _ = told.try_recv();
        let table = AutoscalerTable::new(index);
        let (one, two) = (key(AUTOSCALER.1, "one"), key(AUTOSCALER.1, "two"));
        assert!(!table.scales(&web));
        table.observed(&one, &autoscaler("web"));
        table.observed(&one, &autoscaler("web"));
        table.observed(&two, &autoscaler("web"));
        assert!(table.scales(&web) && told.try_recv().is_err(), "nothing is to be done");

        table.observed(&one, &autoscaler("other"));
        assert!(table.scales(&web) && table.scales(&key("Deployment", "other")));
        let _ = told.try_recv();
        table.gone(&two);
        assert!(!table.scales(&web));
        assert_eq!(told.try_recv().expect("told"), "env.shop.prod");
        table.keep_only(&HashSet::new());
        assert!(!table.scales(&key("Deployment", "other")));
    }
}
