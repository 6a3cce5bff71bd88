//! What there is to see, from the objects: pure, and the JSON of `drover status -o json`.

use std::collections::HashMap;

use drover_core::errand::Progress;
use drover_core::schedule::Schedule;
use drover_crds::condition;
use drover_crds::{
    AppliedStatus, DataSyncStatus, DatabaseStatus, EnvironmentSpec, EnvironmentStatus, ImageStatus, Job, LABEL_OWNER,
    LastSync, ObjectFailure, Owner, OwnerKind, PublishedSet, QueueProcessorStatus, QueueSourceStatus, QueueStatus,
    ReleaseStatus, ReplicasStatus, RunningJob, SourceStatus, UptimeStatus, WebAppStatus,
};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::follows;

/// How far each running Job is, by namespace and name.
pub type Jobs = HashMap<(String, String), Progress>;

/// How an object is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum State {
    /// As its spec asks.
    Ready,
    /// Asleep, and what is new begins when it wakes: until then nothing is to be done or waited for.
    Waiting,
    /// On its way.
    Working,
    /// Not as asked; drover tries again.
    Failed,
    /// Not as asked; only a person can change that.
    Stalled,
    /// The controller has said nothing about this spec yet.
    New,
    /// This version of the command cannot read it.
    Unreadable,
}

/// An object's state with the controller's words for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Health {
    /// In one word.
    pub state: State,
    /// One CamelCase word.
    pub reason: String,
    /// One sentence.
    pub message: String,
}

/// Everything that is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct View {
    /// Whether all of it is ready, as far as it is awake.
    pub ready: bool,
    /// Environments by namespace and name, with what they applied.
    pub environments: Vec<EnvironmentView>,
    /// What no shown Environment applied.
    #[serde(flatten)]
    pub parts: Parts,
}

/// What a system is made of.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Parts {
    /// WebApps.
    pub web_apps: Vec<WebAppView>,
    /// QueueProcessors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub queue_processors: Vec<QueueProcessorView>,
    /// DataSyncs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub data_syncs: Vec<DataSyncView>,
    /// Databases.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub databases: Vec<DatabaseView>,
}

/// The objects that there are, of each kind.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// Environments.
    pub environments: Vec<DynamicObject>,
    /// WebApps.
    pub web_apps: Vec<DynamicObject>,
    /// QueueProcessors.
    pub queue_processors: Vec<DynamicObject>,
    /// DataSyncs.
    pub data_syncs: Vec<DynamicObject>,
    /// Databases.
    pub databases: Vec<DynamicObject>,
}

/// An Environment.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EnvironmentView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How it is.
    #[serde(flatten)]
    pub health: Health,
    /// What it follows, in words.
    pub follows: String,
    /// Why nothing is fetched, while it is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended: Option<String>,
    /// The commit at the head of what it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<SourceStatus>,
    /// The commit that is applied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied: Option<AppliedStatus>,
    /// The first line of the applied commit's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub applied_message: Option<String>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<ObjectFailure>,
    /// Which of its objects are on their way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub waiting_for: Vec<String>,
    /// The path of its webhook's address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook_path: Option<String>,
    /// What it applied.
    #[serde(flatten)]
    pub parts: Parts,
}

/// A WebApp.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WebAppView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How it is.
    #[serde(flatten)]
    pub health: Health,
    /// The newest release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub release: Option<ReleaseStatus>,
    /// The release that serves, when it is not the newest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serving: Option<i64>,
    /// Its pods.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<ReplicasStatus>,
    /// Where the tag points that it follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<ImageStatus>,
    /// Whether it is awake.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime: Option<UptimeStatus>,
    /// Until when it is asleep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asleep_until: Option<Time>,
    /// Where it answers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// What cuts requests on their way to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited: Option<String>,
    /// Which of its routes lead nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// What it reads of ConfigMaps and Secrets and is not there any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
    /// Why its front lets nobody in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidden: Option<String>,
    /// Which of its certificates end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expiring: Option<String>,
    /// Which of its certificates cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unfit: Option<String>,
    /// What the next clock change does to its jobs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_change: Option<String>,
    /// When its jobs run next that have a schedule, the next one first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scheduled: Vec<Scheduled>,
}

/// A QueueProcessor.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QueueProcessorView {
    /// What it has as any app has it.
    #[serde(flatten)]
    pub app: WebAppView,
    /// The numbers of its queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<QueueStatus>,
    /// Whether its queue can be asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<QueueSourceStatus>,
    /// Why its workers hold messages that others could work on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// Which of its workers take nothing from the queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub not_connected: Option<String>,
    /// What the broker gave up on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub given_up: Option<String>,
}

/// A job that runs by a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Scheduled {
    /// Its name.
    pub job: String,
    /// When Kubernetes begins it next.
    pub next: Time,
}

/// A DataSync.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DataSyncView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How it is.
    #[serde(flatten)]
    pub health: Health,
    /// The files that apps see.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<PublishedSet>,
    /// The last sync that succeeded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_sync: Option<LastSync>,
    /// The sync that runs now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningJob>,
    /// How far it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub progress: Option<Progress>,
    /// When its schedule comes next.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<Time>,
    /// What the next clock change does to its schedule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clock_change: Option<String>,
}

/// A Database.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DatabaseView {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// How it is.
    #[serde(flatten)]
    pub health: Health,
    /// The Secret that says how to connect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_name: Option<String>,
}

/// The Environment that applied the object, among these.
fn environment_of<'a>(
    environments: &'a mut [EnvironmentView],
    object: &DynamicObject,
) -> Option<&'a mut EnvironmentView> {
    let label = object.labels().get(LABEL_OWNER)?;
    environments.iter_mut().find(|environment| {
        let owner = Owner::new(OwnerKind::Environment, &*environment.namespace, &*environment.name);
        *label == owner.label()
    })
}

impl View {
    /// Sorts the objects of the other kinds below the Environments that applied them. `now` is what schedules are counted from.
    pub fn of(objects: &Objects, now: Timestamp) -> Self {
        let mut environments: Vec<EnvironmentView> = objects.environments.iter().map(environment).collect();
        environments.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
        let sorted = |objects: &[DynamicObject]| {
            let mut objects = objects.to_vec();
            objects.sort_by_key(|object| (object.namespace(), object.name_any()));
            objects
        };
        let mut parts = Parts::default();
        for app in sorted(&objects.web_apps) {
            let of = environment_of(&mut environments, &app);
            of.map_or(&mut parts, |environment| &mut environment.parts).web_apps.push(web_app(&app, now));
        }
        for each in sorted(&objects.queue_processors) {
            let of = environment_of(&mut environments, &each);
            of.map_or(&mut parts, |environment| &mut environment.parts)
                .queue_processors
                .push(queue_processor(&each, now));
        }
        for sync in sorted(&objects.data_syncs) {
            let of = environment_of(&mut environments, &sync);
            of.map_or(&mut parts, |environment| &mut environment.parts).data_syncs.push(data_sync(&sync));
        }
        for each in sorted(&objects.databases) {
            let of = environment_of(&mut environments, &each);
            of.map_or(&mut parts, |environment| &mut environment.parts).databases.push(database(&each));
        }
        Self { ready: false, environments, parts }.judged()
    }

    /// Only the objects of that name, if there are any.
    pub fn only(mut self, name: &str) -> Option<Self> {
        for environment in self.environments.iter_mut().filter(|environment| environment.name != name) {
            self.parts.take(std::mem::take(&mut environment.parts));
        }
        self.environments.retain(|environment| environment.name == name);
        self.parts.retain(name);
        (!self.is_empty()).then(|| self.judged())
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.names().next().is_none()
    }

    /// The names of everything in it.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.states().map(|((_, _, name), _)| name)
    }

    /// The namespaces and Jobs of the syncs that run now.
    pub fn running(&self) -> impl Iterator<Item = (&str, &str)> {
        let syncs = self.all_parts().flat_map(|parts| &parts.data_syncs);
        syncs.filter_map(|sync| Some((&*sync.namespace, &*sync.running.as_ref()?.job)))
    }

    /// Notes how far these Jobs are.
    pub fn note(&mut self, jobs: &Jobs) {
        let environments = self.environments.iter_mut().map(|environment| &mut environment.parts);
        for sync in environments.chain([&mut self.parts]).flat_map(|parts| &mut parts.data_syncs) {
            let job = sync.running.as_ref().map(|running| (sync.namespace.clone(), running.job.clone()));
            sync.progress = job.and_then(|job| jobs.get(&job).copied());
        }
    }

    fn all_parts(&self) -> impl Iterator<Item = &Parts> {
        self.environments.iter().map(|environment| &environment.parts).chain([&self.parts])
    }

    /// Every object's kind, namespace, name and health, for one line each.
    pub fn states(&self) -> impl Iterator<Item = ((OwnerKind, &str, &str), &Health)> {
        let environments =
            self.environments.iter().map(|e| ((OwnerKind::Environment, &*e.namespace, &*e.name), &e.health));
        environments.chain(self.all_parts().flat_map(Parts::states))
    }

    fn judged(mut self) -> Self {
        let ready = self.states().all(|(_, health)| matches!(health.state, State::Ready | State::Waiting));
        self.ready = ready;
        self
    }
}

impl Parts {
    /// Every object's kind, namespace, name and health.
    pub fn states(&self) -> impl Iterator<Item = ((OwnerKind, &str, &str), &Health)> {
        let apps = self.web_apps.iter().map(|app| (OwnerKind::WebApp, app));
        let apps = apps.chain(self.queue_processors.iter().map(|each| (OwnerKind::QueueProcessor, &each.app)));
        let apps = apps.map(|(kind, app)| ((kind, &*app.namespace, &*app.name), &app.health));
        let syncs = self.data_syncs.iter().map(|s| ((OwnerKind::DataSync, &*s.namespace, &*s.name), &s.health));
        let databases = self.databases.iter().map(|d| ((OwnerKind::Database, &*d.namespace, &*d.name), &d.health));
        apps.chain(syncs).chain(databases)
    }

    fn take(&mut self, other: Self) {
        let Self { web_apps, queue_processors, data_syncs, databases } = other;
        self.web_apps.extend(web_apps);
        self.queue_processors.extend(queue_processors);
        self.data_syncs.extend(data_syncs);
        self.databases.extend(databases);
    }

    fn retain(&mut self, name: &str) {
        self.web_apps.retain(|app| app.name == name);
        self.queue_processors.retain(|each| each.app.name == name);
        self.data_syncs.retain(|sync| sync.name == name);
        self.databases.retain(|database| database.name == name);
    }
}

fn environment(object: &DynamicObject) -> EnvironmentView {
    let spec: Result<EnvironmentSpec, _> = part(object, "spec");
    let status: Result<EnvironmentStatus, _> = part(object, "status");
    let unreadable = spec.as_ref().err().or(status.as_ref().err()).map(unreadable);
    let status = status.unwrap_or_default();
    let applied_message = status.applied.as_ref().and_then(|applied| {
        let head = status.source.iter().map(|head| (&head.commit, &head.message));
        let mut known = head.chain(status.history.iter().map(|entry| (&entry.commit, &entry.message)));
        known
            .find(|(commit, message)| **commit == applied.commit && !message.is_empty())
            .map(|(_, message)| message.clone())
    });
    let spec = spec.ok();
    EnvironmentView {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        health: unreadable.unwrap_or_else(|| health(object, status.observed_generation, &status.conditions)),
        follows: spec
            .as_ref()
            .map(|spec| follows(&spec.source.reference, &spec.source.url, spec.source.path.as_deref()))
            .unwrap_or_default(),
        suspended: spec
            .filter(|spec| spec.suspend == Some(true))
            .map(|spec| spec.suspend_reason.unwrap_or_else(|| "no reason is given".to_owned())),
        head: status.source,
        applied: status.applied,
        applied_message,
        failures: status.failures,
        waiting_for: status.waiting_for,
        webhook_path: status.webhook_path,
        parts: Parts::default(),
    }
}

fn web_app(object: &DynamicObject, now: Timestamp) -> WebAppView {
    let status: Result<WebAppStatus, _> = part(object, "status");
    let unreadable = status.as_ref().err().map(unreadable);
    app(object, status.unwrap_or_default(), unreadable, now)
}

fn queue_processor(object: &DynamicObject, now: Timestamp) -> QueueProcessorView {
    let status: Result<QueueProcessorStatus, _> = part(object, "status");
    let unreadable = status.as_ref().err().map(unreadable);
    let QueueProcessorStatus { observed_generation, conditions, rollout, queue, source } = status.unwrap_or_default();
    let said = |name| condition::get(&conditions, name).map(|condition| condition.message.clone());
    let held = said(condition::MESSAGES_HELD);
    let (not_connected, given_up) = (said(condition::WORKERS_NOT_CONNECTED), said(condition::DEAD_LETTERS));
    let status = WebAppStatus { observed_generation, conditions, rollout, url: None, tls: None };
    QueueProcessorView { app: app(object, status, unreadable, now), queue, source, held, not_connected, given_up }
}

/// What there is to see of any kind whose pods come in releases.
fn app(object: &DynamicObject, status: WebAppStatus, unreadable: Option<Health>, now: Timestamp) -> WebAppView {
    let said = |name| condition::get(&status.conditions, name).map(|condition| condition.message.clone());
    WebAppView {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        health: unreadable.unwrap_or_else(|| health(object, status.observed_generation, &status.conditions)),
        limited: said(condition::EXPOSE_LIMITED),
        unavailable: said(condition::ROUTES_UNAVAILABLE),
        missing: said(condition::SETTINGS_MISSING),
        hidden: said(condition::ADDRESSES_HIDDEN),
        expiring: said(condition::CERTIFICATE_EXPIRING),
        unfit: said(condition::CERTIFICATE_INVALID),
        clock_change: said(condition::CLOCK_CHANGE),
        scheduled: scheduled(object, now),
        release: status.rollout.release,
        serving: status.rollout.serving,
        replicas: status.rollout.replicas,
        image: status.rollout.image,
        uptime: status.rollout.uptime,
        asleep_until: status.rollout.asleep_until,
        url: status.url,
    }
}

fn scheduled(object: &DynamicObject, now: Timestamp) -> Vec<Scheduled> {
    let jobs = object.data.pointer("/spec/jobs").cloned().unwrap_or_default();
    let jobs: Vec<Job> = serde_json::from_value(jobs).unwrap_or_default();
    let jobs = jobs.iter().filter_map(|job| {
        let schedule = Schedule::read(job.schedule.as_deref()?, job.time_zone.as_deref()).ok()?;
        Some(Scheduled { job: job.name.clone(), next: Time(schedule.next(now)?) })
    });
    let mut jobs: Vec<Scheduled> = jobs.collect();
    jobs.sort_by_key(|job| job.next.0);
    jobs
}

fn data_sync(object: &DynamicObject) -> DataSyncView {
    let status: Result<DataSyncStatus, _> = part(object, "status");
    let unreadable = status.as_ref().err().map(unreadable);
    let status = status.unwrap_or_default();
    DataSyncView {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        health: unreadable.unwrap_or_else(|| health(object, status.observed_generation, &status.conditions)),
        published: status.published,
        last_sync: status.last_sync,
        running: status.running,
        progress: None,
        next: status.next,
        clock_change: condition::get(&status.conditions, condition::CLOCK_CHANGE).map(|told| told.message.clone()),
    }
}

fn database(object: &DynamicObject) -> DatabaseView {
    let status: Result<DatabaseStatus, _> = part(object, "status");
    let unreadable = status.as_ref().err().map(unreadable);
    let status = status.unwrap_or_default();
    DatabaseView {
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        health: unreadable.unwrap_or_else(|| health(object, status.observed_generation, &status.conditions)),
        secret_name: status.secret_name,
    }
}

/// `spec` or `status`; an absent status is an empty one.
fn part<T: DeserializeOwned>(object: &DynamicObject, field: &str) -> Result<T, serde_json::Error> {
    let value = object.data.get(field).filter(|value| !value.is_null());
    serde_json::from_value(value.cloned().unwrap_or_else(|| serde_json::json!({})))
}

fn unreadable(error: &serde_json::Error) -> Health {
    Health {
        state: State::Unreadable,
        reason: "Unreadable".to_owned(),
        message: format!(
            "this version of drover's command line cannot read it ({error}): use the version of the controller"
        ),
    }
}

fn health(object: &DynamicObject, observed: Option<i64>, conditions: &[Condition]) -> Health {
    let told = |state, condition: &Condition| Health {
        state,
        reason: condition.reason.clone(),
        message: condition.message.clone(),
    };
    let Some(ready) = condition::get(conditions, condition::READY) else {
        return Health {
            state: State::New,
            reason: "NotSeen".to_owned(),
            message: "no controller has looked at it yet".to_owned(),
        };
    };
    if object.metadata.generation > observed.or(ready.observed_generation) {
        return Health {
            state: State::Working,
            reason: "SpecChanged".to_owned(),
            message: "its spec changed, and the controller has not looked at it since".to_owned(),
        };
    }
    let stalled = condition::get(conditions, condition::STALLED).is_some_and(|c| c.status == "True");
    match (ready.status.as_str(), stalled) {
        ("True", _) => told(State::Ready, ready),
        (_, true) => told(State::Stalled, ready),
        _ if ready.reason == condition::WAITS_FOR_WINDOW => told(State::Waiting, ready),
        ("False", false) => told(State::Failed, ready),
        _ => told(State::Working, ready),
    }
}
