//! `QueueProcessor`: workers that take messages from a queue.
//!
//! 1. [`source`]: the queue that is asked, by [`Queues`], as work of its own, and what is known of it;
//! 2. [`queue::wanted`]: how many workers that asks for (pure);
//! 3. [`rollout`]: their releases, as of all kinds that run pods; what only a QueueProcessor does in one is in [`workers`];
//! 4. [`queue::note`]: what a person reads (pure).

mod source;
mod workers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use drover_core::news::News;
use drover_core::queue::{self, Terms};
use drover_core::release::{Uptime, Wanted, status};
use drover_core::render::Object;
use drover_core::trouble::Trouble;
use drover_core::uptime::{Windows, Word};
use drover_core::worker::{self, WorkerChildren};
use drover_core::workload::pods::{self, AssetSets, DataSet, Errands, Facts, Image, ImageUser, PodRelease, Shrinking};
use drover_core::workload::{App, Invalid};
use drover_crds::{
    ANNOTATION_ASLEEP_UNTIL, ANNOTATION_AWAKE_UNTIL, ANNOTATION_COMMIT, ANNOTATION_HOLD_IMAGE, ANNOTATION_RECONCILE_AT,
    ANNOTATION_RESTARTED_AT, Key, Owner, OwnerKind, QueueProcessor, QueueProcessorSpec, QueueProcessorStatus,
};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;

use self::workers::Workers;
use crate::cluster::inventory::Inventories;
use crate::cluster::{AUTOSCALER, Cluster};
use crate::driver::Next;
use crate::owned::{self, Owned, Parent};
use crate::queues::{Queues, Waits};
use crate::registry::Registry;
use crate::rollout::{self, Rolling, Since, dereference};
use crate::settings::Settings;
use crate::turn::{self, Draft, Gone, It, Kind, TURN};

/// How often a queue is asked, where nothing else is said.
const POLLING: Duration = Duration::from_secs(10);

/// The children of `processor` as a first release would have them, without a cluster, a registry and a broker, and with what is known of
/// the data that it mounts: for `drover render`.
pub fn build_all(
    processor: &QueueProcessor,
    namespace: &str,
    data_sets: &BTreeMap<String, DataSet>,
) -> Result<Vec<Object>, Invalid> {
    let namespace = processor.namespace().unwrap_or_else(|| namespace.to_owned());
    let kind = OwnerKind::QueueProcessor;
    let identity = App { kind, namespace, name: processor.name_any(), uid: processor.uid() };
    let image = Image { reference: processor.spec.pod.image.clone(), user: ImageUser::Unknown, origin: None };
    let release = PodRelease { number: 1, commit: processor.annotations().get(ANNOTATION_COMMIT).cloned() };
    let facts = Facts {
        image: &image,
        pods: &release,
        restarted_at: processor.annotations().get(ANNOTATION_RESTARTED_AT).map(String::as_str),
        claims: &BTreeMap::new(),
        shrinking: Shrinking::Refuse,
        data_sets,
        asset_sets: &AssetSets::new(),
        own_sets: &BTreeMap::new(),
        settings: &pods::Settings::default(),
        copies: &pods::Copies::default(),
    };
    processor.spec.pod.uptime.as_ref().map(Windows::of).transpose()?;
    let spec = scaled(&processor.spec, |terms| terms.least);
    worker::validate(&identity, &spec, &facts).map(|valid| worker::build(&valid, false))
}

/// The spec, which says how many workers run where the queue decides that.
fn scaled(spec: &QueueProcessorSpec, count: impl FnOnce(Terms) -> i32) -> QueueProcessorSpec {
    let terms = spec.scaling.as_ref().map(Terms::of);
    QueueProcessorSpec { replicas: terms.map(count).or(spec.replicas), ..spec.clone() }
}

/// Makes the turns of QueueProcessors.
pub struct QueueProcessors {
    registry: Registry,
    inventories: Arc<Inventories>,
    settings: Settings,
    queues: Queues,
    errands: Option<Errands>,
}

impl QueueProcessors {
    /// Whose images are looked up in `registry`, whose children are written down in `inventories`, who are told by `settings`, whose queues
    /// are asked by `queues`, and whose jobs wait for their databases with the image of `errands`.
    pub fn new(
        registry: Registry,
        inventories: Arc<Inventories>,
        settings: Settings,
        queues: Queues,
        errands: Option<Errands>,
    ) -> Self {
        Self { registry, inventories, settings, queues, errands }
    }
}

impl Kind for QueueProcessors {
    type Object = QueueProcessor;
    type Status = QueueProcessorStatus;
    /// Since when what it reads is as it is.
    type Memory = Since;

    const OWNER: OwnerKind = OwnerKind::QueueProcessor;
    const ACTION: &'static str = "Release";

    async fn turn(
        &self,
        it: &It<'_, Self>,
        since: &mut Since,
        draft: &mut Draft<QueueProcessorStatus>,
    ) -> Result<turn::Ended, Trouble> {
        let kinds = WorkerChildren::KINDS.in_order().map(|child| (child.group, child.kind));
        if !it.sees(kinds.into_iter().chain([AUTOSCALER, ("batch", "Job")])).await {
            return Ok(turn::Ended::Unsaid(Next::Later(TURN)));
        }
        let Some(definition) = it.definition().await? else { return Ok(turn::Ended::Unsaid(Next::Retry)) };
        let (now, Key { namespace, name }) = (it.now(), it.key().clone());
        let app = App { kind: OwnerKind::QueueProcessor, namespace, name, uid: it.object.uid() };
        let deployment = dereference::deployment(&it.acting, &app).await?;
        let word = Word::read(it.annotation(ANNOTATION_AWAKE_UNTIL), it.annotation(ANNOTATION_ASLEEP_UNTIL));
        let asked = &it.object.spec;
        let current = replicas(deployment.as_ref());
        let (sight, unseen) = match &asked.source {
            None => {
                self.queues.forget(it.owner);
                (None, None)
            }
            Some(named) => {
                let (question, unseen) =
                    source::question(&it.acting, &self.settings, it.owner, &app, &named.activemq).await?;
                let every = asked.scaling.as_ref().and_then(|scaling| scaling.polling_interval);
                let terms = asked.scaling.as_ref().map(Terms::of).filter(|_| is_awake(asked, &word, now.0));
                let waits = Waits { terms, current, ready: ready(deployment.as_ref()) };
                let sight = self.queues.watch(it.owner, question, every.map_or(POLLING, Into::into), waits);
                queue::note(&mut draft.status, asked, &sight.told, it.generation(), &now);
                (Some(sight), unseen)
            }
        };
        if sight.is_none() {
            queue::note(&mut draft.status, asked, &queue::Told::NotYet, it.generation(), &now);
        }
        let spec = scaled(asked, |terms| match &sight {
            Some(sight) => queue::wanted(sight.seen, sight.idle_seconds, current, terms),
            None => current.unwrap_or(terms.least).clamp(terms.least, terms.most),
        });
        let owned = Owned { cluster: it.cluster, inventories: &self.inventories, acting: &it.acting, owner: it.owner };
        let parent = Parent { owned, definition };
        let mut rolling = Rolling {
            workload: Workers {
                parent,
                app: &app,
                errands: self.errands.as_ref(),
                deployment,
                scaled: queue::idle(asked),
                proven: false,
            },
            cluster: it.cluster,
            registry: &self.registry,
            acting: &it.acting,
            settings: &self.settings,
            owner: it.owner,
            app: &app,
            wanted: Wanted {
                spec: &spec,
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
        rollout::note_missing(&mut draft.status.conditions, rolling.missing.as_ref(), it.generation(), &now);
        let told = pods::clock_change(&asked.pod.jobs, now.0);
        told.note(&mut draft.status.conditions, it.generation(), &now);
        let rollout::Ended { outcome, next, .. } = ended?;
        let release = draft.status.rollout.release.as_ref();
        let has_origin = release.is_some_and(|release| release.built_from.is_some());
        if let Some(applied) = has_origin.then(|| it.applied_by()).flatten() {
            status::compare(&mut draft.status.rollout, &applied);
        }
        let next = unseen.map_or(next, |unseen| next.sooner(unseen));
        let outcome = match &sight {
            Some(sight) => queue::suspect(outcome, &draft.status, asked, &sight.told),
            None => outcome,
        };
        Ok(turn::Ended::Said { outcome, next: next.by(told.again, now.0) })
    }

    fn show(status: &mut QueueProcessorStatus, _: &Owner, trouble: Option<&Trouble>) {
        if let Some(trouble) = trouble {
            status::stuck(&mut status.rollout, trouble);
        }
    }

    fn news(before: &QueueProcessorStatus, after: &QueueProcessorStatus) -> Vec<News> {
        queue::news(before, after)
    }

    async fn clean_up(&self, gone: &Gone<'_, Self>) -> Result<(), Trouble> {
        self.registry.forget(gone.owner);
        self.queues.forget(gone.owner);
        owned::clean_up_children(gone.cluster, &self.inventories, gone.owner, WorkerChildren::rank).await
    }

    async fn left_behind(&self, _: &Cluster) -> Vec<Key> {
        self.inventories.keys(OwnerKind::QueueProcessor)
    }
}

/// How many pods run by the Deployment, where there is one.
fn replicas(deployment: Option<&Deployment>) -> Option<i32> {
    deployment.map(|deployment| deployment.spec.as_ref().and_then(|spec| spec.replicas).unwrap_or(1))
}

/// How many workers of the Deployment are ready; those that are about to end do not count.
fn ready(deployment: Option<&Deployment>) -> i64 {
    deployment.and_then(|deployment| deployment.status.as_ref()?.ready_replicas).unwrap_or(0).into()
}

/// Whether workers of that spec are to run now: who sleeps waits for no messages.
fn is_awake(spec: &QueueProcessorSpec, word: &Word, now: Timestamp) -> bool {
    let windows = spec.pod.uptime.as_ref().and_then(|uptime| Windows::of(uptime).ok());
    windows.is_none_or(|windows| !windows.judge(word, now).asleep)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(more: &Value) -> QueueProcessorSpec {
        let mut all = json!({"image": "w:1"});
        all.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        serde_json::from_value(all).expect("a spec")
    }

    #[test]
    fn a_queue_decides_how_many_run_and_else_the_spec_does() {
        let source = json!({"activemq": {"url": "http://amq:8161", "queue": "a"}});
        let of_queue = spec(&json!({"source": source, "scaling": {"minReplicas": 2, "maxReplicas": 8}}));
        assert_eq!(scaled(&of_queue, |terms| terms.most).replicas, Some(8));
        assert_eq!(scaled(&spec(&json!({"replicas": 3})), |_| 8).replicas, Some(3));
        assert_eq!(scaled(&spec(&json!({"source": source})), |_| 8).replicas, None);
    }

    #[test]
    fn who_sleeps_waits_for_no_messages() {
        let awake_at =
            |spec: &QueueProcessorSpec, word: &Word, time: &str| is_awake(spec, word, time.parse().expect("a time"));
        let (noon, night) = ("2026-11-27T12:00:00Z", "2026-11-27T23:00:00Z");
        let by_day = spec(&json!({"uptime": {"windows": [{"from": "08:00", "to": "22:00"}]}}));
        let nothing = Word::default();
        assert!(awake_at(&by_day, &nothing, noon) && !awake_at(&by_day, &nothing, night));
        assert!(awake_at(&by_day, &Word::read(Some("2026-11-28T02:00:00Z"), None), night));
        assert!(awake_at(&spec(&json!({})), &nothing, night));
    }

    #[test]
    fn what_is_rendered_begins_with_the_least_number_of_workers() {
        let source = json!({"activemq": {"url": "http://amq:8161", "queue": "a"}});
        let spec = spec(&json!({"source": source, "scaling": {"minReplicas": 2, "maxReplicas": 8}}));
        let children = build_all(&QueueProcessor::new("reduce", spec), "shop", &BTreeMap::new()).expect("valid");
        let deployment = children.iter().find(|child| child.kind() == "Deployment").expect("a Deployment");
        assert_eq!(deployment.json()["spec"]["replicas"], 2);
    }
}
