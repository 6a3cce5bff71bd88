//! Who waits for which of drover's own objects: told when it changes, so that nobody asks again and again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use drover_crds::Owner;
use tokio::sync::mpsc::UnboundedSender;

use crate::unpoisoned;

/// Who waits for what.
pub struct Interest {
    waiting: Mutex<HashMap<Owner, HashSet<String>>>,
    tell: UnboundedSender<String>,
}

impl Interest {
    /// Nobody waits yet. `tell` gets the owner labels of those whose turn it is then.
    pub fn new(tell: UnboundedSender<String>) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::default(), tell })
    }

    /// `who` is told once, when `what` changes next. To be called before it is looked at, so that no change lies in between.
    pub fn wait(&self, who: &Owner, what: &Owner) {
        unpoisoned::lock(&self.waiting).entry(what.clone()).or_default().insert(who.label());
    }

    /// `what` appeared, changed or went.
    pub fn changed(&self, what: &Owner) {
        for label in unpoisoned::lock(&self.waiting).remove(what).into_iter().flatten() {
            // The receiver ends with the process.
            let _ = self.tell.send(label);
        }
    }
}

#[cfg(test)]
mod tests {
    use drover_crds::OwnerKind;
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[test]
    fn who_waits_is_told_once() {
        let owner = |kind, name| Owner::new(kind, "shop", name);
        let (tell, mut told) = unbounded_channel();
        let interest = Interest::new(tell);
        let (app, data) = (owner(OwnerKind::WebApp, "web"), owner(OwnerKind::DataSync, "csv"));
        interest.changed(&data);
        interest.wait(&app, &data);
        interest.wait(&app, &data);
        interest.changed(&owner(OwnerKind::DataSync, "other"));
        assert!(told.try_recv().is_err());
        interest.changed(&data);
        interest.changed(&data);
        assert_eq!(told.try_recv(), Ok(app.label()));
        assert!(told.try_recv().is_err());
    }
}
