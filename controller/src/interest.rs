//! Who waits for which object: told when it changes, so that nobody asks again and again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use drover_core::render::ObjectKey;
use drover_crds::Owner;
use tokio::sync::mpsc::UnboundedSender;

use crate::unpoisoned;

/// Who waits for what.
pub struct Interest {
    waiting: Mutex<HashMap<ObjectKey, HashSet<String>>>,
    tell: UnboundedSender<String>,
}

impl Interest {
    /// Nobody waits yet. `tell` gets the owner labels of those whose turn it is then.
    pub fn new(tell: UnboundedSender<String>) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), tell })
    }

    /// `who` is told once, when `what` changes next. To be called before it is looked at, so that no change lies in between.
    pub fn wait(&self, who: &Owner, what: &ObjectKey) {
        unpoisoned::lock(&self.waiting).entry(what.clone()).or_default().insert(who.label());
    }

    /// Whether `who` waits for `what`, which has not changed since.
    pub fn is_awaited_by(&self, who: &Owner, what: &ObjectKey) -> bool {
        unpoisoned::lock(&self.waiting).get(what).is_some_and(|all| all.contains(&who.label()))
    }

    /// `what` appeared, changed or went.
    pub fn changed(&self, what: &ObjectKey) {
        for label in unpoisoned::lock(&self.waiting).remove(what).into_iter().flatten() {
            // The receiver ends with the process.
            let _ = self.tell.send(label);
        }
    }

    /// What of a kind somebody waits for in that namespace, or outside of all, whether it is there or not.
    pub fn awaited(&self, group: &str, kind: &str, namespace: Option<&str>) -> Vec<ObjectKey> {
        let is_it =
            |what: &&ObjectKey| what.group == group && what.kind == kind && what.namespace.as_deref() == namespace;
        unpoisoned::lock(&self.waiting).keys().filter(is_it).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use drover_crds::OwnerKind;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[test]
    fn who_waits_is_told_once() {
        let (tell, mut told) = unbounded_channel();
        let interest = Interest::new(tell);
        let app = Owner::new(OwnerKind::WebApp, "shop", "web");
        let key = |name: &str| ObjectKey {
            group: String::new(),
            kind: "Secret".into(),
            namespace: Some("shop".into()),
            name: name.into(),
        };
        interest.changed(&key("login"));
        interest.wait(&app, &key("login"));
        interest.wait(&app, &key("login"));
        interest.changed(&key("other"));
        assert!(told.try_recv().is_err());
        assert_eq!(interest.awaited("", "Secret", Some("shop")), [key("login")]);
        assert!(interest.is_awaited_by(&app, &key("login")) && !interest.is_awaited_by(&app, &key("other")));
        assert!(
            interest.awaited("", "Secret", Some("other")).is_empty()
                && interest.awaited("", "ConfigMap", Some("shop")).is_empty()
        );
        interest.changed(&key("login"));
        interest.changed(&key("login"));
        assert_eq!(told.try_recv(), Ok(app.label()));
        assert!(told.try_recv().is_err() && interest.awaited("", "Secret", Some("shop")).is_empty());
        assert!(!interest.is_awaited_by(&app, &key("login")));
    }
}
