//! The tag that an app follows, as its registry sees it now.

use drover_core::release::{Sight, Wanted};
use drover_core::workload::App;
use drover_crds::{AppSpec, ImagePullPolicy, Owner};

use super::dereference;
use crate::cluster::{Acting, ApiError};
use crate::registry::{self, Pointing, Registry, has_digest};

/// What is to be known of it before a turn begins.
pub struct Following {
    /// Where the tag points; `None` where none is followed.
    pub sight: Option<Sight>,
    /// The digest that it asks for, as far as that is known.
    pub digest: Option<String>,
}

/// Where the tag points that the app follows; `None` where it follows none. When that changes the app is called again.
pub async fn sight<S: AppSpec>(
    acting: &Acting,
    registry: &Registry,
    owner: &Owner,
    app: &App,
    wanted: &Wanted<'_, S>,
) -> Result<Option<Sight>, ApiError> {
    let spec = wanted.spec.pod();
    let can_be_followed = spec.image_pull_policy != Some(ImagePullPolicy::Never) && !has_digest(&spec.image);
    if spec.image_policy.is_none() || !can_be_followed {
        registry.unfollow(owner);
        return Ok(None);
    }
    let credentials = dereference::credentials(acting, app, spec).await?;
    let Wanted { commit, asked, .. } = *wanted;
    let wanted = registry::Wanted { image: &spec.image, credentials: &credentials, commit, asked };
    Ok(Some(match registry.follow(owner, &wanted) {
        Pointing::Asking => Sight::Asking,
        Pointing::At(digest) => Sight::At(digest),
        Pointing::Lost { error, ago } => Sight::Lost { trouble: error.trouble(None), ago },
    }))
}
