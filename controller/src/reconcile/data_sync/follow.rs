//! The repository of a git source: followed as an Environment's is, so that a push becomes a sync at once.

use std::time::Duration;

use drover_core::sync::Followed;
use drover_core::trouble::{Mend, Trouble};
use drover_crds::{DEFAULT_SERVICE_ACCOUNT, DataSync, Owner};
use kube::Api;

use super::super::repository::{self, Dereferenced, Wish};
use super::DataSyncs;
use crate::cluster::Cluster;
use crate::git::{Head, Repositories};
use crate::turn::It;

/// What the fields of the source stand below.
const FIELD: &str = "spec.source.git";
/// How often it is looked whether a person has mended a Secret.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// What the spec says of its repository; `None` where the source is another, or nothing is to be synced.
fn wish(sync: &DataSync) -> Option<Wish<'_>> {
    let git = sync.spec.source.git.as_ref().filter(|_| sync.spec.suspend != Some(true))?;
    Some(Wish {
        field: FIELD,
        url: &git.url,
        reference: &git.reference,
        interval: git.interval,
        secret_ref: git.secret_ref.as_ref(),
        webhook: git.webhook.as_ref(),
    })
}

/// What is known of the repository, and after which time to look again although nobody says that there is news.
pub(super) async fn follow(
    it: &It<'_, DataSyncs>,
    repositories: &Repositories,
    memory: &mut Option<Dereferenced>,
) -> Result<(Followed, Option<Duration>), Trouble> {
    let Some(wish) = wish(it.object) else {
        repositories.unsubscribe(it.owner);
        *memory = None;
        return Ok((Followed::Nothing, None));
    };
    let whose = (it.owner, &it.object.metadata);
    match repository::follow(repositories, &it.acting, whose, &wish, memory).await {
        Ok(()) => {}
        // What is published stays, and what else there is to be done is done.
        Err(Trouble { reason, sentence: message, mended_by: Mend::Person, .. }) => {
            return Ok((Followed::Failing { reason, message, last: None }, Some(LOOK_AGAIN)));
        }
        Err(trouble) => return Err(trouble),
    }
    Ok(match repositories.head(it.owner) {
        Head::Pending => (Followed::Pending, None),
        Head::At { commit, .. } => (Followed::At(commit.id.to_string()), None),
        Head::Failed { error, last_good, .. } => {
            // A wrong password is corrected in the Secret: it is read again at the next look.
            let look_again = error.is_terminal().then_some(LOOK_AGAIN);
            if let Some(dereferenced) = memory.as_mut().filter(|_| look_again.is_some()) {
                dereferenced.expire();
            }
            let last = last_good.map(|commit| commit.id.to_string());
            (Followed::Failing { reason: error.label().to_owned(), message: error.below(FIELD), last }, look_again)
        }
    })
}

/// Reads the Secrets of a DataSync again and follows its repository with what they say now: a webhook came whose proof the known token
/// does not make, and the token may have been changed since.
pub async fn refresh(cluster: &Cluster, repositories: &Repositories, owner: &Owner) {
    let api: Api<DataSync> = Api::namespaced(cluster.client(), &owner.key.namespace);
    let Ok(Some(sync)) = api.get_opt(&owner.key.name).await else { return };
    let Some(wish) = wish(&sync) else { return };
    let acting = cluster.acting_as(&owner.key.namespace, DEFAULT_SERVICE_ACCOUNT);
    repository::refresh(repositories, &acting, (owner, &sync.metadata), &wish).await;
}
