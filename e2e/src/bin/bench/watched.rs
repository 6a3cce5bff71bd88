//! One object as the API server tells of it: how long something took ends with an event.

use std::fmt::Debug;

use futures::stream::BoxStream;
use futures::{StreamExt as _, TryStreamExt as _};
use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use serde::de::DeserializeOwned;

/// How long one is waited for, in seconds.
const PATIENCE: u32 = 120;

/// A watch of one object.
pub struct Watched<K> {
    name: String,
    events: BoxStream<'static, kube::Result<WatchEvent<K>>>,
}

impl<K: Clone + Debug + DeserializeOwned + Send + 'static> Watched<K> {
    /// The object of that name, with all that became of it since it had that version.
    pub async fn since(objects: &Api<K>, name: &str, version: Option<String>) -> Self {
        let watch = WatchParams::default().fields(&format!("metadata.name={name}")).timeout(PATIENCE);
        let version = version.expect("a stored object has a version");
        let events = objects.watch(&watch, &version).await.expect("a watch can be opened");
        Self { name: name.to_owned(), events: events.boxed() }
    }

    /// Waits for an event that is `wanted`.
    pub async fn until(mut self, wanted: impl Fn(&WatchEvent<K>) -> bool) {
        loop {
            let event = self.events.try_next().await.expect("the watch goes on");
            let event = event.unwrap_or_else(|| panic!("nothing came of {} within {PATIENCE} s", self.name));
            if wanted(&event) {
                return;
            }
        }
    }
}
