//! Waits for an object to become what a person asked for.

use std::fmt::Debug;
use std::time::Duration;

use futures::StreamExt as _;
use kube::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use serde::de::DeserializeOwned;

use super::Error;
use super::session::Session;
use crate::cluster::{Refusal, refusal};

/// Watches one object until `decide` gives an answer; `None` when the time is up first. `decide` sees every state of the
/// object that the watch tells of, and `None` while it is absent. `action` completes "you may not …".
pub async fn until<K, T>(
    session: &Session,
    api: Api<K>,
    name: &str,
    action: &str,
    limit: Duration,
    mut decide: impl FnMut(Option<&K>) -> Option<T>,
) -> Result<Option<T>, Error>
where
    K: kube::Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let looking = async {
        let mut states = std::pin::pin!(watcher::watch_object(api, name).default_backoff());
        while let Some(state) = states.next().await {
            match state {
                Ok(object) => {
                    if let Some(answer) = decide(object.as_ref()) {
                        return Ok(Some(answer));
                    }
                }
                Err(error) => judge(session, &error, action)?,
            }
        }
        Ok(None)
    };
    tokio::time::timeout(limit, looking).await.unwrap_or(Ok(None))
}

/// Whether a watch that failed may be tried again: not when the API server will say no for ever.
pub fn judge(session: &Session, error: &watcher::Error, action: &str) -> Result<(), Error> {
    match error {
        watcher::Error::InitialListFailed(error) | watcher::Error::WatchStartFailed(error) => match error {
            kube::Error::SerdeError(_) => Err(session.explain(error, action)),
            error => match refusal(error) {
                Some(Refusal::Unauthorized | Refusal::Forbidden | Refusal::NotFound) => {
                    Err(session.explain(error, action))
                }
                _ => Ok(()),
            },
        },
        _ => Ok(()),
    }
}
