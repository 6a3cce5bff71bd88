//! What a kind brings along to be driven.

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use kube::Resource;
use kube::core::NamespaceResourceScope;
use serde::de::DeserializeOwned;

/// Namespace and name of an object.
pub type Key = (String, String);

/// When an object wants to be looked at again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// When something happens that concerns it.
    Await,
    /// After that time, or earlier when something happens.
    After(Duration),
    /// It failed for a reason that may pass: after a pause that grows with each failure.
    Retry,
}

/// What a kind brings along to be driven.
pub trait Reconciler: Send + Sync + 'static {
    /// The kind.
    type Kind: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + Debug
        + Send
        + Sync
        + 'static;

    /// Brings the cluster closer to what the object asks for.
    fn reconcile(&self, object: Arc<Self::Kind>) -> impl Future<Output = Next> + Send;

    /// The object does not exist (any more): looks after what it left.
    fn gone(&self, namespace: &str, name: &str) -> impl Future<Output = Next> + Send;

    /// Objects that left something behind, although they may be gone.
    fn left_behind(&self) -> impl Future<Output = Vec<Key>> + Send;

    /// The object exists but cannot be read: what a person is told, as its status.
    fn unreadable(&self, namespace: &str, name: &str, error: &str) -> impl Future<Output = ()> + Send;
}
