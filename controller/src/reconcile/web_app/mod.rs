//! `WebApp`: a web server, its volumes and its routes.
//!
//! 1. [`dereference`]: what a decision needs besides the spec, read as the namespace's account;
//! 2. [`validate`](mod@validate): the spec, with every default filled in (pure);
//! 3. [`build`]: the children (pure);
//! 4. [`apply`]: the release written down, the children sent;
//! 5. [`status`]: what a person reads, and [`news`]: what a person is told (pure).
//!
//! [`drover_core::release`] says what comes next (pure), [`progress`] does it. A reconcile never waits, not for a registry either (that is
//! [`Registry`]'s own work): it does what is to be done, and is called again by the event that changes something, or after a time
//! that it names.

mod apply;
mod children;
mod deletion;
mod dereference;
mod progress;

use std::collections::BTreeMap;

use drover_core::news::News;
use drover_core::release::{Wanted, news, status};
use drover_core::render::Object;
use drover_core::trouble::Trouble;
use drover_core::workload::build;
use drover_core::workload::takeover::Kept;
use drover_core::workload::validate::{App, Facts, Image, ImageUser, Invalid, PodRelease, Shrinking, validate};
use drover_crds::{ANNOTATION_COMMIT, ANNOTATION_RECONCILE_AT, ANNOTATION_RESTARTED_AT};
use drover_crds::{Key, Owner, OwnerKind, WebApp, WebAppStatus};
use kube::ResourceExt as _;

use self::progress::{Ended, Work};
use crate::cluster::Cluster;
use crate::driver::Next;
use crate::registry::Registry;
use crate::turn::{self, Draft, Gone, It, Kind};

/// The children of `app` as a first release would have them, without a cluster and without a registry: for `drover render`.
pub fn build_all(app: &WebApp, namespace: &str) -> Result<Vec<Object>, Invalid> {
    let namespace = app.namespace().unwrap_or_else(|| namespace.to_owned());
    let identity = App { namespace, name: app.name_any(), uid: app.uid() };
    let image = Image { reference: app.spec.image.clone(), user: ImageUser::Unknown };
    let pods = PodRelease { number: 1, commit: app.annotations().get(ANNOTATION_COMMIT).cloned() };
    let facts = Facts {
        image: &image,
        pods: &pods,
        restarted_at: app.annotations().get(ANNOTATION_RESTARTED_AT).map(String::as_str),
        claims: &BTreeMap::new(),
        shrinking: Shrinking::Refuse,
        kept: &Kept::default(),
    };
    validate(&identity, &app.spec, &facts).map(|valid| build::build(&valid))
}

/// Makes the turns of WebApps.
pub struct WebApps {
    registry: Registry,
}

impl WebApps {
    /// Whose images are looked up in `registry`.
    pub fn new(registry: Registry) -> Self {
        Self { registry }
    }
}

impl Kind for WebApps {
    type Object = WebApp;
    type Status = WebAppStatus;
    type Memory = ();

    const OWNER: OwnerKind = OwnerKind::WebApp;
    const ACTION: &'static str = "Release";

    async fn turn(
        &self,
        it: &It<'_, Self>,
        (): &mut (),
        draft: &mut Draft<WebAppStatus>,
    ) -> Result<turn::Ended, Trouble> {
        let definition = it.definition().await.inspect_err(|error| {
            tracing::warn!(owner = %it.owner, %error, "cannot read the definition of WebApps");
        });
        let Ok(Some(definition)) = definition else { return Ok(turn::Ended::Unsaid(Next::Retry)) };
        let Key { namespace, name } = it.key().clone();
        let mut work = Work {
            cluster: it.cluster,
            registry: &self.registry,
            acting: &it.acting,
            owner: it.owner,
            app: App { namespace, name, uid: it.object.uid() },
            wanted: Wanted {
                spec: &it.object.spec,
                commit: it.annotation(ANNOTATION_COMMIT),
                asked: it.annotation(ANNOTATION_RECONCILE_AT),
            },
            definition,
            restarted_at: it.annotation(ANNOTATION_RESTARTED_AT),
            now: it.now(),
            status: &mut draft.status,
        };
        let Ended { outcome, url, next } = work.run().await?;
        status::address(&mut draft.status, url, &outcome);
        Ok(turn::Ended::Said { outcome, next })
    }

    fn show(status: &mut WebAppStatus, _: &Owner, trouble: Option<&Trouble>) {
        if let Some(trouble) = trouble {
            status::stuck(status, trouble);
        }
    }

    fn news(before: &WebAppStatus, after: &WebAppStatus) -> Vec<News> {
        news(before, after)
    }

    async fn clean_up(&self, gone: &Gone<'_, Self>) -> Result<(), Trouble> {
        self.registry.forget(&gone.owner.key);
        Ok(deletion::clean_up(gone.cluster, gone.owner).await?)
    }

    async fn left_behind(&self, cluster: &Cluster) -> Vec<Key> {
        deletion::left_behind(cluster).await
    }
}
