//! The statuses of one kind, as this process wrote them last: what a watch shows can be older.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};

use drover_crds::Key;
use kube::core::NamespaceResourceScope;
use kube::core::object::HasStatus;
use kube::{Client, Resource, ResourceExt as _};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::cluster::{patch_status, read_status};
use crate::driver::Next;
use crate::unpoisoned;

/// Reads and writes the statuses of one kind.
pub struct Statuses<K: HasStatus> {
    client: Client,
    written: Mutex<HashMap<Key, Written<K::Status>>>,
}

/// What is known of an object's status.
struct Written<S> {
    /// Of the object that this is about: one deleted and made anew under the same name starts afresh.
    uid: Option<String>,
    /// `None` from before it is written until that has succeeded: a write that fails may have been made all the same.
    status: Option<S>,
}

impl<K> Statuses<K>
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + HasStatus + DeserializeOwned,
    K::Status: Clone + Default + PartialEq + Serialize + DeserializeOwned,
{
    /// Nothing was written yet; `client` carries drover's own rights.
    pub fn new(client: Client) -> Self {
        Self { client, written: Mutex::default() }
    }

    /// The status of `object` as it was written last, empty where there is none yet.
    ///
    /// # Errors
    /// When to look again: the object turns out to be gone, or it is not known what became of the last write and the API server
    /// does not say, which goes to the log.
    pub async fn of(&self, object: &K) -> Result<K::Status, Next> {
        let (key, uid) = (Key::of(object.meta()), object.uid());
        let remembered = self.written().get(&key).filter(|written| written.uid == uid).map(|w| w.status.clone());
        match remembered {
            None => Ok(object.status().cloned().unwrap_or_default()),
            Some(Some(status)) => Ok(status),
            Some(None) => match read_status::<K, K::Status>(&self.client, &key).await {
                Ok(Some(found)) if found.uid == uid => Ok(found.status.unwrap_or_default()),
                Ok(_) => Err(Next::Await),
                Err(error) => {
                    tracing::warn!(kind = %K::kind(&()), namespace = %key.namespace, name = %key.name, %error, "cannot read the status that may have been written last");
                    Err(Next::Retry)
                }
            },
        }
    }

    /// Makes `after` the status of `object` in the place of `before`, once `tell` has told people of it. What does not change is
    /// neither told nor written. Why it cannot be written goes to the log, and makes this `false`.
    pub async fn write(
        &self,
        object: &K,
        before: &K::Status,
        after: &K::Status,
        tell: impl Future<Output = ()> + Send,
    ) -> bool {
        let key = Key::of(object.meta());
        if before != after {
            tell.await;
            self.doubt(&key, object.uid());
            if let Err(error) = patch_status::<K>(&self.client, &key, after).await {
                tracing::warn!(kind = %K::kind(&()), namespace = %key.namespace, name = %key.name, %error, "cannot write a status");
                return false;
            }
        }
        // Also what needed no write: a watch that begins anew may show an older status.
        self.written().insert(key, Written { uid: object.uid(), status: Some(after.clone()) });
        true
    }

    /// Changes the status of an object that cannot be read, of which nothing but the status and the generation are known; why that is
    /// not possible goes to the log.
    pub async fn amend(&self, key: &Key, change: impl FnOnce(K::Status, Option<i64>) -> K::Status) {
        let amended = async {
            let Some(found) = read_status::<K, K::Status>(&self.client, key).await? else {
                return Ok(());
            };
            // What was written before is not what holds when the object can be read again.
            self.doubt(key, found.uid);
            let changed = change(found.status.unwrap_or_default(), found.generation);
            patch_status::<K>(&self.client, key, &changed).await
        };
        if let Err(error) = amended.await {
            tracing::warn!(kind = %K::kind(&()), namespace = %key.namespace, name = %key.name, %error, "cannot write a status");
        }
    }

    /// The object is gone.
    pub fn forget(&self, key: &Key) {
        self.written().remove(key);
    }

    fn doubt(&self, key: &Key, uid: Option<String>) {
        self.written().insert(key.clone(), Written { uid, status: None });
    }

    fn written(&self) -> MutexGuard<'_, HashMap<Key, Written<K::Status>>> {
        unpoisoned::lock(&self.written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use drover_crds::{WebApp, WebAppStatus};
    use http::{Request, Response};
    use kube::client::Body;
    use serde_json::json;

    type Handle = tower_test::mock::Handle<Request<Body>, Response<Body>>;

    fn statuses() -> (Statuses<WebApp>, Handle) {
        let (service, handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        (Statuses::new(Client::new(service, "default")), handle)
    }

    fn object(uid: &str, url: &str) -> serde_json::Value {
        json!({"apiVersion": "drover.dev/v1alpha1", "kind": "WebApp",
            "metadata": {"namespace": "shop", "name": "web", "uid": uid, "generation": 3},
            "spec": {"image": "shop/web:1", "ports": [{"name": "http", "port": 80}]}, "status": {"url": url}})
    }

    fn web_app(uid: &str, url: &str) -> WebApp {
        serde_json::from_value(object(uid, url)).expect("a WebApp")
    }

    fn with_url(url: &str) -> WebAppStatus {
        WebAppStatus { url: Some(url.to_owned()), ..WebAppStatus::default() }
    }

    async fn answers(handle: &mut Handle, method: &str, status: u16, body: serde_json::Value) {
        let (request, reply) = handle.next_request().await.expect("a request");
        assert_eq!(request.method(), method);
        let body = Body::from(body.to_string().into_bytes());
        reply.send_response(Response::builder().status(status).body(body).expect("a response"));
    }

    async fn url(statuses: &Statuses<WebApp>, app: &WebApp) -> Option<String> {
        statuses.of(app).await.expect("the API server answers").url
    }

    async fn write(statuses: &Statuses<WebApp>, app: &WebApp, url: &str) -> bool {
        let before = app.status.clone().expect("it has one");
        statuses.write(app, &before, &with_url(url), std::future::ready(())).await
    }

    #[tokio::test]
    async fn what_was_written_counts_more_than_what_a_watch_shows() {
        let (statuses, mut handle) = statuses();
        let seen = web_app("1", "seen");
        assert_eq!(url(&statuses, &seen).await.as_deref(), Some("seen"));
        let (written, ()) =
            tokio::join!(write(&statuses, &seen, "written"), answers(&mut handle, "PATCH", 200, object("1", "")));
        assert!(written);
        assert_eq!(url(&statuses, &seen).await.as_deref(), Some("written"));
        assert_eq!(url(&statuses, &web_app("2", "of another")).await.as_deref(), Some("of another"));
    }

    #[tokio::test]
    async fn what_a_failed_write_came_to_is_asked() {
        let (statuses, mut handle) = statuses();
        let seen = web_app("1", "seen");
        let refusal = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "", "code": 500});
        let (written, ()) =
            tokio::join!(write(&statuses, &seen, "written"), answers(&mut handle, "PATCH", 500, refusal));
        assert!(!written);
        let (url_now, ()) =
            tokio::join!(url(&statuses, &seen), answers(&mut handle, "GET", 200, object("1", "written")));
        assert_eq!(url_now.as_deref(), Some("written"));
        // Another object of that name by now.
        let (now, ()) = tokio::join!(statuses.of(&seen), answers(&mut handle, "GET", 200, object("2", "")));
        assert_eq!(now.err(), Some(Next::Await));
        let refusal = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "", "code": 500});
        let (now, ()) = tokio::join!(statuses.of(&seen), answers(&mut handle, "GET", 500, refusal));
        assert_eq!(now.err(), Some(Next::Retry));
    }

    #[tokio::test]
    async fn what_does_not_change_is_neither_told_nor_written_and_yet_remembered() {
        let (statuses, _handle) = statuses();
        let seen = web_app("1", "seen");
        let before = with_url("seen");
        let told = async { panic!("nothing changed") };
        assert!(statuses.write(&seen, &before, &before, told).await);
        assert_eq!(url(&statuses, &web_app("1", "older")).await.as_deref(), Some("seen"));
    }

    #[tokio::test]
    async fn what_was_amended_is_read_anew() {
        let (statuses, mut handle) = statuses();
        let seen = web_app("1", "seen");
        let kept = with_url("kept");
        assert!(statuses.write(&seen, &kept, &kept, std::future::ready(())).await);
        let key = Key::new("shop", "web");
        let amend = |before: WebAppStatus, generation| {
            assert_eq!((before.url.as_deref(), generation), (Some("kept"), Some(3)));
            with_url("amended")
        };
        tokio::join!(statuses.amend(&key, amend), async {
            answers(&mut handle, "GET", 200, object("1", "kept")).await;
            answers(&mut handle, "PATCH", 200, object("1", "amended")).await;
        });
        let (url_now, ()) =
            tokio::join!(url(&statuses, &seen), answers(&mut handle, "GET", 200, object("1", "amended")));
        assert_eq!(url_now.as_deref(), Some("amended"));
    }
}
