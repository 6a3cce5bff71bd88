//! `WebApp`: a web server, its volumes and its routes.
//!
//! 1. [`dereference`](crate::rollout::dereference): what a decision needs besides the spec, read as the namespace's account;
//! 2. [`validate`](mod@validate): the spec, with every default filled in (pure);
//! 3. [`build`]: the children (pure);
//! 4. [`apply`]: the children written down and sent, once the release is written down ([`owned`]);
//! 5. [`status`]: what a person reads, and [`news`]: what a person is told (pure).
//!
//! [`drover_core::release`] says what comes next (pure), [`rollout`] does it, and [`web_server`] what only a WebApp knows of. A
//! reconcile never waits, not for a registry either (that is [`Registry`]'s own work): it does what is to be done, and is called again by
//! the event that changes something, or after a time that it names.

mod apply;
mod certificates;
mod front;
mod web_server;

use std::collections::BTreeMap;
use std::sync::Arc;

use drover_core::certificate;
use drover_core::front::Terms;
use drover_core::news::News;
use drover_core::release::{Uptime, Wanted, news, status};
use drover_core::render::Object;
use drover_core::trouble::Trouble;
use drover_core::uptime::{Windows, Word};
use drover_core::workload::children::Children;
use drover_core::workload::exposure::{Allowance, Shortfall};
use drover_core::workload::pods::{self, DataSet, Facts, Image, ImageUser, PodRelease, Shrinking};
use drover_core::workload::takeover::{Found, Kept, Phase};
use drover_core::workload::validate::validate;
use drover_core::workload::{App, Invalid, build};
use drover_crds::{
    ANNOTATION_ASLEEP_UNTIL, ANNOTATION_AWAKE_UNTIL, ANNOTATION_COMMIT, ANNOTATION_HOLD_IMAGE, ANNOTATION_RECONCILE_AT,
    ANNOTATION_RESTARTED_AT,
};
use drover_crds::{Assets, Key, Owner, OwnerKind, WebApp, WebAppStatus, condition};
use kube::ResourceExt as _;

use self::apply::{Due, Standing};
use self::front::Front;
use self::web_server::{Way, WebServer};
use crate::cluster::inventory::Inventories;
use crate::cluster::{AUTOSCALER, Cluster};
use crate::driver::Next;
use crate::metrics;
use crate::owned::{self, Owned, Parent};
use crate::registry::Registry;
use crate::rollout::{self, Rolling, Since};
use crate::settings::Settings;
use crate::turn::{self, Draft, Gone, It, Kind, TURN};

/// What stands for the folder of a release's files where there is no cluster.
const UNMADE: &str = "0000000000";

/// The children of `app` as a first release would have them, without a cluster and without a registry, and with what is known of the data
/// that it mounts: for `drover render`.
pub fn build_all(app: &WebApp, namespace: &str, data_sets: &BTreeMap<String, DataSet>) -> Result<Vec<Object>, Invalid> {
    let namespace = app.namespace().unwrap_or_else(|| namespace.to_owned());
    let identity = App { kind: OwnerKind::WebApp, namespace, name: app.name_any(), uid: app.uid() };
    let image = Image { reference: app.spec.pod.image.clone(), user: ImageUser::Unknown, origin: None };
    let release = PodRelease { number: 1, commit: app.annotations().get(ANNOTATION_COMMIT).cloned() };
    let unmade = |assets: &Assets| (assets.name.clone(), UNMADE.to_owned());
    let own_sets: BTreeMap<String, String> = app.spec.assets.iter().map(unmade).collect();
    let facts = Facts {
        image: &image,
        pods: &release,
        restarted_at: app.annotations().get(ANNOTATION_RESTARTED_AT).map(String::as_str),
        claims: &BTreeMap::new(),
        shrinking: Shrinking::Refuse,
        data_sets,
        asset_sets: &own_sets.iter().map(|(name, set)| (name.clone(), vec![set.clone()])).collect(),
        own_sets: &own_sets,
        settings: &pods::Settings::default(),
        copies: &pods::Copies::default(),
    };
    app.spec.pod.uptime.as_ref().map(Windows::of).transpose()?;
    validate(&identity, &app.spec, &facts, &Terms::unknown(), &Kept::default()).map(|valid| build::build(&valid))
}

/// Makes the turns of WebApps.
pub struct WebApps {
    registry: Registry,
    inventories: Arc<Inventories>,
    settings: Settings,
    allowances: Vec<Allowance>,
    terms: Terms,
}

impl WebApps {
    /// Whose images are looked up in `registry`, whose children are written down in `inventories`, who are told by `settings`, whose
    /// requests ingress controllers let through as far as `allowances` say, and whose fronts are made by `terms`.
    pub fn new(
        registry: Registry,
        inventories: Arc<Inventories>,
        settings: Settings,
        allowances: Vec<Allowance>,
        terms: Terms,
    ) -> Self {
        Self { registry, inventories, settings, allowances, terms }
    }
}

impl Kind for WebApps {
    type Object = WebApp;
    type Status = WebAppStatus;
    /// Since when what it reads is as it is.
    type Memory = Since;

    const OWNER: OwnerKind = OwnerKind::WebApp;
    const ACTION: &'static str = "Release";

    async fn turn(
        &self,
        it: &It<'_, Self>,
        since: &mut Since,
        draft: &mut Draft<WebAppStatus>,
    ) -> Result<turn::Ended, Trouble> {
        let kinds = Children::KINDS.in_order().map(|child| (child.group, child.kind));
        if !it.sees(kinds.into_iter().chain([AUTOSCALER, ("batch", "Job")])).await {
            return Ok(turn::Ended::Unsaid(Next::Later(TURN)));
        }
        let definition = it.definition().await.inspect_err(|error| {
            tracing::warn!(owner = %it.owner, %error, "cannot read the definition of WebApps");
        });
        let Ok(Some(definition)) = definition else { return Ok(turn::Ended::Unsaid(Next::Retry)) };
        let (now, Key { namespace, name }) = (it.now(), it.key().clone());
        let app = App { kind: OwnerKind::WebApp, namespace, name, uid: it.object.uid() };
        let owned = Owned { cluster: it.cluster, inventories: &self.inventories, acting: &it.acting, owner: it.owner };
        let workload = WebServer {
            parent: Parent { owned, definition },
            app: &app,
            now: &now,
            found: Found::default(),
            due: Due { phase: Phase::Done, proven: false, front: Standing::Absent },
            allowances: &self.allowances,
            way: Way::default(),
            terms: &self.terms,
            watched: &self.settings,
            front: Front::default(),
            away: None,
        };
        let word = Word::read(it.annotation(ANNOTATION_AWAKE_UNTIL), it.annotation(ANNOTATION_ASLEEP_UNTIL));
        let mut rolling = Rolling {
            workload,
            cluster: it.cluster,
            registry: &self.registry,
            acting: &it.acting,
            settings: &self.settings,
            owner: it.owner,
            app: &app,
            wanted: Wanted {
                spec: &it.object.spec,
                commit: it.annotation(ANNOTATION_COMMIT),
                asked: it.annotation(ANNOTATION_RECONCILE_AT),
                digest: None,
                settings: None,
            },
            hold: it.annotation(ANNOTATION_HOLD_IMAGE),
            word: &word,
            uptime: Uptime::default(),
            still_asleep: None,
            lingers: false,
            restarted_at: it.annotation(ANNOTATION_RESTARTED_AT),
            now: &now,
            status: &mut draft.status.rollout,
            missing: None,
            settings_since: since,
        };
        let ended = Box::pin(rolling.run()).await;
        let front = std::mem::take(&mut rolling.workload.front);
        let conditions = &mut draft.status.conditions;
        match rolling.workload.way {
            Way::Unknown => {}
            Way::Open => condition::clear(conditions, condition::EXPOSE_LIMITED),
            Way::Limited(Shortfall { reason, sentence }) => {
                condition::set(conditions, condition::EXPOSE_LIMITED, "True", reason, &sentence, it.generation(), &now);
            }
        }
        rollout::note_missing(conditions, rolling.missing.as_ref(), it.generation(), &now);
        front.note(&mut draft.status, it.generation(), &now);
        let told = pods::clock_change(&it.object.spec.pod.jobs, now.0);
        told.note(&mut draft.status.conditions, it.generation(), &now);
        let certificates =
            certificates::look(&it.acting, &self.settings, it.owner, &app, &it.object.spec.tls, now.0).await;
        let ends = certificates.told.as_ref().and_then(|told| told.again);
        if let Some(told) = &certificates.told {
            told.note(&mut draft.status, it.generation(), &now);
            metrics::certificate_ends(it.owner, told.ends());
        }
        let rollout::Ended { outcome, applied, next } = ended?;
        let next = certificates.again.map_or(next, |pause| next.sooner(pause)).by(ends, now.0);
        let (outcome, next) = front.judge(outcome, next);
        let release = draft.status.rollout.release.as_ref();
        let has_origin = release.is_some_and(|release| release.built_from.is_some());
        if let Some(applied) = has_origin.then(|| it.applied_by()).flatten() {
            status::compare(&mut draft.status.rollout, &applied);
        }
        let url = applied.map_or_else(|| draft.status.url.clone(), |app| app.url());
        status::address(&mut draft.status.url, url, &outcome);
        Ok(turn::Ended::Said { outcome, next: next.by(told.again, now.0) })
    }

    fn show(status: &mut WebAppStatus, _: &Owner, trouble: Option<&Trouble>) {
        if let Some(trouble) = trouble {
            status::stuck(&mut status.rollout, trouble);
        }
    }

    fn news(before: &WebAppStatus, after: &WebAppStatus) -> Vec<News> {
        let certificates = certificate::news(&before.conditions, &after.conditions);
        news(before, after).into_iter().chain(certificates).collect()
    }

    async fn clean_up(&self, gone: &Gone<'_, Self>) -> Result<(), Trouble> {
        self.registry.forget(gone.owner);
        metrics::certificate_ends(gone.owner, None);
        owned::clean_up_children(gone.cluster, &self.inventories, gone.owner, Children::rank).await
    }

    async fn left_behind(&self, _: &Cluster) -> Vec<Key> {
        self.inventories.keys(OwnerKind::WebApp)
    }
}
