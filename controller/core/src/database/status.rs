//! What a person reads of a Database. The time comes in.

use std::time::Duration;

use drover_crds::condition::{self, Outcome, READY};
use drover_crds::{DatabaseStatus, connection_secret};
use k8s_openapi::api::apps::v1::StatefulSet;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

use super::ValidatedDatabase;
use super::said::said;
use crate::health::{Patience, diagnose};
use crate::news::News;
use crate::restore;

/// How often the server's pod is looked at while it is not ready: what keeps it from starting is no event of its StatefulSet's.
const LOOK: Duration = Duration::from_secs(10);

/// What is there of a server.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// What makes its pod.
    pub server: Option<StatefulSet>,
    /// Its pods.
    pub pods: Vec<Pod>,
}

impl Seen {
    /// Whether the pod that answers is one of the newest template. A StatefulSet may be late to say that a pod is gone.
    pub fn serves(&self) -> bool {
        if !self.container().is_some_and(|container| container.ready) {
            return false;
        }
        let Some(server) = &self.server else { return false };
        let Some(status) = &server.status else { return false };
        let is_seen = status.observed_generation >= server.metadata.generation;
        is_seen && status.updated_replicas == Some(1) && status.ready_replicas == Some(1)
    }

    /// The server's container.
    fn container(&self) -> Option<&ContainerStatus> {
        let alive = |pod: &&Pod| pod.metadata.deletion_timestamp.is_none();
        self.pods.iter().filter(alive).find_map(|pod| pod.status.as_ref()?.container_statuses.as_ref()?.first())
    }

    /// What it said when it last ended by itself, while it has not come up since.
    fn last_words(&self) -> Option<&str> {
        let container = self.container().filter(|container| container.started != Some(true))?;
        let states = [container.state.as_ref(), container.last_state.as_ref()];
        let ended = states.into_iter().flatten().find_map(|state| state.terminated.as_ref())?;
        ended.message.as_deref()
    }
}

/// What the conditions say, and after which time to look again although no event comes. `now` is in seconds since 1970.
pub fn conclude(
    database: &ValidatedDatabase,
    status: &mut DatabaseStatus,
    seen: &Seen,
    now: i64,
) -> (Outcome, Option<Duration>) {
    status.secret_name = Some(connection_secret(&database.app.name));
    if seen.serves() {
        let (name, version) = (database.engine.own().name, &database.version);
        let message = format!("{name} {version} answers in database {} as {}", database.database, database.user);
        return (Outcome::Ready { reason: "Serving".into(), message }, None);
    }
    if let Some(said) = seen.last_words().and_then(|words| said(words, database.engine)) {
        let (reason, message) = (said.reason.to_owned(), format!("The server does not start: {}", said.sentence));
        let outcome =
            if said.is_final { Outcome::Stalled { reason, message } } else { Outcome::Failed { reason, message } };
        return (outcome, Some(LOOK));
    }
    if let Some(outcome) = restore::pending(status, database.init.is_some()) {
        return (outcome, Some(LOOK));
    }
    let container = seen.container();
    let running = container.and_then(|container| container.state.as_ref()?.running.as_ref());
    // Before the server takes connections its start sets it up, or recovers what an unclean stop left: its probes wait for that, and so do
    // people.
    if let Some(running) = running
        && container.is_some_and(|container| container.started == Some(false))
    {
        let since = running.started_at.as_ref().map(|at| format!(" since {}", at.0)).unwrap_or_default();
        let message = format!(
            "The server starts{since}: after an unclean stop it recovers first, which takes as long as there is to recover"
        );
        return (Outcome::InProgress { reason: "Starting".into(), message }, Some(LOOK));
    }
    let outcome = match diagnose(&seen.pods, now, Patience::default()) {
        Some(found) if found.definite => Outcome::Failed { reason: found.reason, message: sentence(&found.message) },
        Some(found) => Outcome::InProgress { reason: found.reason, message: sentence(&found.message) },
        None => Outcome::InProgress { reason: "Starting".into(), message: "The server is on its way".to_owned() },
    };
    (outcome, Some(LOOK))
}

fn sentence(found: &str) -> String {
    format!("The server does not answer: {found}")
}

/// What a person is told of between two statuses: that it serves, that it does not.
pub fn news(before: &DatabaseStatus, after: &DatabaseStatus) -> Vec<News> {
    let ready = |status: &DatabaseStatus| {
        condition::get(&status.conditions, READY).map(|ready| (ready.status.clone(), ready.reason.clone()))
    };
    let Some((status, reason)) = ready(after).filter(|now| ready(before).as_ref() != Some(now)) else {
        return Vec::new();
    };
    let message = condition::get(&after.conditions, READY).map(|ready| ready.message.clone()).unwrap_or_default();
    match status.as_str() {
        "True" => vec![News::normal(&reason, message)],
        "False" => vec![News::warning(&reason, message)],
        _ => Vec::new(),
    }
}
