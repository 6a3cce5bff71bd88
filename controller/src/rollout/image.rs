//! The image of a release, as the registry knows it.

use drover_core::release::Wanted;
use drover_core::trouble::Trouble;
use drover_core::workload::App;
use drover_core::workload::pods::{Image, ImageUser};
use drover_crds::{AppSpec, ImagePullPolicy, Owner};

use super::dereference;
use crate::cluster::Acting;
use crate::registry::{self, Answer, Registry, has_digest};

/// The image `reference` as the registry knows it now; `None` until it has answered for the first time. None is asked where nothing
/// would be learnt.
pub async fn resolved<S: AppSpec>(
    acting: &Acting,
    registry: &Registry,
    owner: &Owner,
    app: &App,
    wanted: &Wanted<'_, S>,
    reference: &str,
) -> Result<Option<Image>, Trouble> {
    let spec = wanted.spec.pod();
    let user_is_said = spec.allow_root.is_some() || spec.run_as.is_some_and(|r| r.user.is_some());
    if spec.image_pull_policy == Some(ImagePullPolicy::Never) || (has_digest(&spec.image) && user_is_said) {
        return Ok(Some(Image { reference: reference.to_owned(), user: ImageUser::Unknown, origin: None }));
    }
    let credentials = dereference::credentials(acting, app, spec).await?;
    let Wanted { commit, asked, .. } = *wanted;
    let wanted = registry::Wanted { image: reference, credentials: &credentials, commit, asked };
    match registry.look_up(owner, &wanted) {
        Answer::Known(resolved) => {
            let user = ImageUser::Known(resolved.user.unwrap_or_default());
            Ok(Some(Image { reference: resolved.reference, user, origin: resolved.origin }))
        }
        Answer::Asking { before: None } => Ok(None),
        // Until it is known that something has changed, what is said of it stays.
        Answer::Asking { before: Some(error) } => Err(error.trouble(None)),
        Answer::Failed { error, again } => Err(error.trouble(Some(again))),
    }
}
