//! Events: what a person sees in `kubectl describe`.

use kube::Resource;
use kube::runtime::events::{Event, EventType, Recorder, Reporter};

use crate::cluster::Cluster;

/// The API server takes at most 1024 bytes.
const LONGEST: usize = 1000;

/// Writes events about objects of one kind. One that cannot be written is only logged: the status says the same.
pub struct Announcer {
    recorder: Recorder,
    action: &'static str,
}

impl Announcer {
    /// Events about `action`, a CamelCase verb.
    pub fn new(cluster: &Cluster, action: &'static str) -> Self {
        let reporter = Reporter { controller: "drover".into(), instance: None };
        Self { recorder: Recorder::new(cluster.client(), reporter), action }
    }

    /// An event about `object`: `reason` in one CamelCase word, `note` in a sentence.
    pub async fn publish<K: Resource<DynamicType = ()>>(
        &self,
        object: &K,
        kind: EventType,
        reason: &str,
        mut note: String,
    ) {
        note.truncate(note.floor_char_boundary(LONGEST));
        let event = Event {
            type_: kind,
            reason: reason.to_owned(),
            note: Some(note),
            action: self.action.to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, &object.object_ref(&())).await {
            tracing::warn!(%error, "cannot write an event");
        }
    }
}
