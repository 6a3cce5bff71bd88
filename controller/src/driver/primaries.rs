//! The watch on a controller's own kind.

use std::collections::HashSet;
use std::sync::Arc;

use drover_crds::Key;
use futures::StreamExt as _;
use kube::core::{DeserializeGuard, ObjectMeta};
use kube::runtime::watcher;
use kube::{Api, Client, Resource as _};

use super::{Reconciler, Store, Work};
use crate::cluster::Restarts;
use crate::metrics;
use crate::unpoisoned;

/// Follows all objects of the kind for ever, keeps `store` current and asks for a reconcile of what changed.
pub(super) async fn follow<R: Reconciler>(
    client: Client,
    mut restarts: Restarts,
    store: Arc<Store<R::Kind>>,
    work: Arc<Work>,
    reconciler: Arc<R>,
) {
    let kind = R::Kind::kind(&()).into_owned();
    let api: Api<DeserializeGuard<R::Kind>> = Api::all(client);
    let mut swept = false;
    loop {
        // Made anew after each error, see the watch of the children: kube's own stream never recovers from some 410s.
        let mut events = std::pin::pin!(watcher(api.clone(), watcher::Config::default()));
        let mut seen = HashSet::new();
        let listing = restarts.next_listing();
        let error = loop {
            let Ok(event) = tokio::time::timeout_at(listing, events.next()).await else { break None };
            match event {
                Some(Ok(watcher::Event::Init)) => seen.clear(),
                Some(Ok(watcher::Event::InitApply(object))) => {
                    seen.insert(Key::of(object.meta()));
                    take_in(object, &store, &work, &reconciler).await;
                }
                Some(Ok(watcher::Event::InitDone)) => {
                    forget_all_but(&seen, &store, &work);
                    if !swept {
                        swept = true;
                        for key in reconciler.left_behind().await.iter().filter(|key| !seen.contains(*key)) {
                            work.push(key);
                        }
                    }
                }
                Some(Ok(watcher::Event::Apply(object))) => take_in(object, &store, &work, &reconciler).await,
                Some(Ok(watcher::Event::Delete(object))) => forget(&Key::of(object.meta()), &store, &work),
                Some(Err(error)) => break Some(error),
                None => break Some(watcher::Error::NoResourceVersion),
            }
        };
        let Some(error) = error else { continue };
        metrics::watch_restarted(&kind);
        tracing::warn!(%kind, %error, "watch ended; starting it anew");
        restarts.wait().await;
    }
}

async fn take_in<R: Reconciler>(
    object: DeserializeGuard<R::Kind>,
    store: &Store<R::Kind>,
    work: &Work,
    reconciler: &Arc<R>,
) {
    match object.0 {
        Ok(object) => {
            let key = Key::of(object.meta());
            let object = Arc::new(object);
            reconciler.appeared(&object);
            let before = {
                let mut objects = unpoisoned::write(&store.objects);
                objects.insert(key.clone(), object.clone())
            };
            if before.is_none_or(|before| asks_for_more(before.meta(), object.meta())) {
                work.push(&key);
            }
        }
        Err(invalid) => {
            let key = Key::of(&invalid.metadata);
            tracing::error!(namespace = %key.namespace, name = %key.name, error = %invalid.error, "an object cannot be read");
            // Its last readable form stays in the store: what runs goes on running.
            reconciler.unreadable(&key, &invalid.error).await;
        }
    }
}

/// Whether a change of the object is more than a status that drover itself wrote.
fn asks_for_more(before: &ObjectMeta, after: &ObjectMeta) -> bool {
    before.uid != after.uid
        || before.generation != after.generation
        || before.annotations != after.annotations
        || before.deletion_timestamp != after.deletion_timestamp
}

fn forget_all_but<K>(seen: &HashSet<Key>, store: &Store<K>, work: &Work) {
    let gone: Vec<Key> = {
        let objects = unpoisoned::read(&store.objects);
        objects.keys().filter(|key| !seen.contains(*key)).cloned().collect()
    };
    for key in gone {
        forget(&key, store, work);
    }
}

fn forget<K>(key: &Key, store: &Store<K>, work: &Work) {
    unpoisoned::write(&store.objects).remove(key);
    work.push(key);
}
