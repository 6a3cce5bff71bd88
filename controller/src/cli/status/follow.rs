//! `drover status -w`: shown anew whenever something changes.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::time::Duration;

use drover_crds::{Key, OwnerKind};
use futures::stream::{BoxStream, StreamExt as _};
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt as _, watcher as watch_all};

use super::view::{Health, Objects, View};
use super::{Status, api_of, progress, select, shown, text};
use crate::cli::global::Format;
use crate::cli::session::Session;
use crate::cli::{Error, Verdict, output, watch};
use crate::clock;

/// Changes that come together are shown together.
const SETTLE: Duration = Duration::from_millis(150);
/// Ages on a terminal grow stale.
const AGES: Duration = Duration::from_secs(10);
/// An errand says once a second how far it is.
const PROGRESS: Duration = Duration::from_secs(1);

/// Runs until the process is ended, or the API server says no for ever.
pub async fn follow(session: &Session, command: &Status, format: Format) -> Result<Verdict, Error> {
    let all = command.all_namespaces;
    let mut environments = Collection::new(OwnerKind::Environment, session, all);
    let mut apps = Collection::new(OwnerKind::WebApp, session, all);
    let mut processors = Collection::new(OwnerKind::QueueProcessor, session, all);
    let mut syncs = Collection::new(OwnerKind::DataSync, session, all);
    let mut databases = Collection::new(OwnerKind::Database, session, all);
    let screen = format == Format::Text && std::io::stdout().is_terminal();
    let (mut last, mut is_syncing) = (BTreeMap::new(), false);
    loop {
        let wake = tokio::select! {
            event = environments.next(session) => event?,
            event = apps.next(session) => event?,
            event = processors.next(session) => event?,
            event = syncs.next(session) => event?,
            event = databases.next(session) => event?,
            () = tokio::time::sleep(if is_syncing { PROGRESS } else { AGES }), if screen => true,
        };
        let complete = [environments.complete, apps.complete, processors.complete, syncs.complete, databases.complete];
        if !(wake && complete.into_iter().all(|complete| complete)) {
            continue;
        }
        // Take in what else comes now.
        let settled = tokio::time::sleep(SETTLE);
        tokio::pin!(settled);
        loop {
            tokio::select! {
                event = environments.next(session) => { event?; }
                event = apps.next(session) => { event?; }
                event = processors.next(session) => { event?; }
                event = syncs.next(session) => { event?; }
                event = databases.next(session) => { event?; }
                () = &mut settled => break,
            }
        }
        let objects = Objects {
            environments: environments.objects(),
            web_apps: apps.objects(),
            queue_processors: processors.objects(),
            data_syncs: syncs.objects(),
            databases: databases.objects(),
        };
        let view = View::of(&objects, clock::now());
        let mut view = if command.name.is_some() { select(session, command, view)? } else { view };
        view.note(&progress::read(&session.client(), &view).await);
        is_syncing = view.running().next().is_some();
        let changed = changes(&mut last, &view);
        match format {
            Format::Text if screen => {
                output::print(&format!("\x1b[H\x1b[2J{}", shown(&view, command, session, format)))?;
            }
            Format::Text => output::print(&changed)?,
            Format::Json => {
                let line = serde_json::to_string(&view).unwrap_or_default();
                output::print(&format!("{line}\n"))?;
            }
            Format::Yaml => output::print(&format!("---\n{}", output::structured(&view, format)))?,
        }
    }
}

/// One line for each object whose health is not what it was.
fn changes(last: &mut BTreeMap<String, Option<Health>>, view: &View) -> String {
    let mut lines = String::new();
    let mut now = BTreeMap::new();
    for ((kind, namespace, name), health) in view.states() {
        let key = format!("{kind} {namespace}/{name}");
        if last.get(&key) != Some(&Some(health.clone())) {
            lines.push_str(&text::line(kind, namespace, name, health));
            lines.push('\n');
        }
        now.insert(key, Some(health.clone()));
    }
    for gone in last.keys().filter(|key| !now.contains_key(*key)) {
        lines.push_str(gone);
        lines.push_str(" is gone\n");
    }
    *last = now;
    lines
}

/// The objects of one kind, kept current by a watch.
struct Collection {
    kind: OwnerKind,
    events: BoxStream<'static, watcher::Result<Event<DynamicObject>>>,
    now: BTreeMap<Key, DynamicObject>,
    arriving: BTreeMap<Key, DynamicObject>,
    complete: bool,
}

impl Collection {
    fn new(kind: OwnerKind, session: &Session, all: bool) -> Self {
        let events = watch_all(api_of(kind, session, all), watcher::Config::default()).default_backoff().boxed();
        Self { kind, events, now: BTreeMap::new(), arriving: BTreeMap::new(), complete: false }
    }

    fn objects(&self) -> Vec<DynamicObject> {
        self.now.values().cloned().collect()
    }

    /// Takes in one event; whether there is something new to show.
    async fn next(&mut self, session: &Session) -> Result<bool, Error> {
        let event = match self.events.next().await {
            Some(Ok(event)) => event,
            Some(Err(error)) => {
                watch::judge(session, &error, &format!("watch the {}s", self.kind))?;
                return Ok(false);
            }
            // A watch never ends; if it did, waiting for it would spin.
            None => return std::future::pending().await,
        };
        let key = |object: &DynamicObject| Key::of(&object.metadata);
        match event {
            Event::Init => self.arriving.clear(),
            Event::InitApply(object) => {
                self.arriving.insert(key(&object), object);
            }
            Event::InitDone => {
                self.now = std::mem::take(&mut self.arriving);
                self.complete = true;
                return Ok(true);
            }
            Event::Apply(object) => {
                self.now.insert(key(&object), object);
                return Ok(true);
            }
            Event::Delete(object) => {
                self.now.remove(&key(&object));
                return Ok(true);
            }
        }
        Ok(false)
    }
}
