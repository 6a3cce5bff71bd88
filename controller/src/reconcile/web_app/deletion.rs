//! What happens to the children of a WebApp that is gone.
//!
//! Neither owner references nor finalizers are used: the first would delete the children when the definition of WebApps is
//! deleted, the second would make a deletion hang while no controller runs. Its children are deleted here, as soon as a
//! controller sees that the WebApp is gone, also one that was not running then. Each child says under which definition it was
//! applied: under another one nobody knows whether the WebApp was deleted or only its definition.

use drover_core::render::ObjectKey;
use drover_crds::{ANNOTATION_DEFINITION, DEFAULT_SERVICE_ACCOUNT, Key, Owner, OwnerKind};

use super::children::{children, parents};
use crate::cluster::discovery::Kind;
use crate::cluster::{Acting, ApiError, Cluster, Sight, definition, namespace_is_going};

/// Group and kind of every child, what serves first.
const CHILDREN: [(&str, &str); 7] = [
    ("networking.k8s.io", "Ingress"),
    ("apps", "Deployment"),
    ("", "Service"),
    ("policy", "PodDisruptionBudget"),
    ("networking.k8s.io", "NetworkPolicy"),
    ("", "ServiceAccount"),
    ("", "PersistentVolumeClaim"),
];

/// Deletes the children, except claims that are retained. What cannot be deleted now keeps nothing else from going: it would
/// serve on.
pub async fn clean_up(cluster: &Cluster, owner: &Owner) -> Result<(), ApiError> {
    let Some(definition) = definition(&cluster.client(), &OwnerKind::WebApp.definition()).await? else {
        tracing::warn!(%owner, "the definition of WebApps is being deleted: their children stay");
        return Ok(());
    };
    if namespace_is_going(&cluster.client(), &owner.key.namespace).await? {
        return Ok(());
    }
    let acting = cluster.acting_as(&owner.key.namespace, DEFAULT_SERVICE_ACCOUNT);
    let (mut deleted, mut left, mut failed) = (0, 0, None);
    for child in CHILDREN {
        if let Err(error) = watch(cluster, child).await {
            failed.get_or_insert(error);
            continue;
        }
        for (key, live) in children(cluster.index(), owner) {
            if (key.group.as_str(), key.kind.as_str()) != child || live.deleting || live.prune_disabled {
                continue;
            }
            match delete_under(&acting, &definition, &key, &live.uid).await {
                Ok(true) => deleted += 1,
                Ok(false) => left += 1,
                Err(error) => {
                    failed.get_or_insert(error);
                }
            }
        }
    }
    if left > 0 {
        tracing::warn!(%owner, left, "the definition of WebApps was deleted and made anew: the children of before stay");
    }
    if deleted > 0 {
        tracing::info!(%owner, deleted, "a WebApp was deleted, and its children with it");
    }
    failed.map_or(Ok(()), Err)
}

/// Deletes a child, unless it was applied under another definition of WebApps; then this is `false`.
async fn delete_under(acting: &Acting, definition: &str, key: &ObjectKey, uid: &str) -> Result<bool, ApiError> {
    let under = acting.annotation(key, ANNOTATION_DEFINITION).await?;
    if under.is_some_and(|under| under != definition) {
        return Ok(false);
    }
    acting.delete(key, uid).await?;
    Ok(true)
}

/// WebApps whose children are there, whether they themselves still are or not.
pub async fn left_behind(cluster: &Cluster) -> Vec<Key> {
    for child in CHILDREN {
        if let Err(error) = watch(cluster, child).await {
            tracing::warn!(%error, "cannot look for children of deleted WebApps");
        }
    }
    parents(cluster.index())
}

async fn watch(cluster: &Cluster, (group, kind): (&str, &str)) -> Result<(), ApiError> {
    let key = ObjectKey { group: group.into(), kind: kind.into(), namespace: None, name: String::new() };
    let known = cluster.kinds().known().await.map_err(|error| ApiError::of(error, "discover", &key, None))?;
    let found: Option<Kind> = known.preferred(group, kind).cloned();
    match found {
        Some(found) if cluster.watch(&found).await == Sight::Complete => Ok(()),
        // Without a sight of the children nothing is known of them, which is not the same as that there are none.
        _ => Err(ApiError::Unavailable {
            object: kind.to_owned(),
            message: "drover cannot watch this kind now".to_owned(),
        }),
    }
}
