//! What drover counts, in the text format of Prometheus. No label has unbounded values: kinds, verbs and outcomes only.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use drover_crds::Owner;
use http::{Method, StatusCode};
use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::unpoisoned;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    method: String,
    code: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct KindLabels {
    kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    kind: String,
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    outcome: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DirectionLabels {
    direction: String,
}

/// Of what may be absent as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct NoLabels {}

struct Metrics {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    watch_restarts: Family<KindLabels, Counter>,
    reconciles: Family<OutcomeLabels, Counter>,
    seconds: Family<KindLabels, Histogram>,
    waiting: Family<KindLabels, Gauge>,
    leading: Gauge,
    syncs: Family<AnswerLabels, Counter>,
    lookups: Family<AnswerLabels, Counter>,
    backups: Family<AnswerLabels, Counter>,
    polls: Family<AnswerLabels, Counter>,
    scalings: Family<DirectionLabels, Counter>,
    unavailable: Gauge,
    short_of_consumers: Gauge,
    first_end: Family<NoLabels, Gauge>,
}

/// When the first certificate of each WebApp ends that has some.
static ENDS: Mutex<BTreeMap<Owner, Timestamp>> = Mutex::new(BTreeMap::new());

static METRICS: LazyLock<Metrics> = LazyLock::new(|| {
    let mut registry = Registry::with_prefix("drover");
    let requests = Family::default();
    registry.register("api_requests", "Requests to the Kubernetes API that were answered", requests.clone());
    let watch_restarts = Family::default();
    registry.register("watch_restarts", "Watches that ended with an error and began anew", watch_restarts.clone());
    let reconciles = Family::default();
    registry.register("reconciles", "Reconciles by how they ended", reconciles.clone());
    let seconds =
        Family::<KindLabels, Histogram>::new_with_constructor(|| Histogram::new(exponential_buckets(0.001, 4.0, 9)));
    registry.register_with_unit("reconcile_duration", "Time of one reconcile", Unit::Seconds, seconds.clone());
    let waiting = Family::default();
    registry.register("queue_depth", "Objects waiting to be reconciled", waiting.clone());
    let leading = Gauge::default();
    registry.register("leading", "1 while this replica writes", leading.clone());
    let syncs = Family::default();
    registry.register("git_syncs", "Questions to git servers for new commits by how they ended", syncs.clone());
    let lookups = Family::default();
    registry.register("image_lookups", "Questions to image registries by how they ended", lookups.clone());
    let backups = Family::default();
    registry.register("backups", "Backups of databases by what came of restoring them", backups.clone());
    let polls = Family::default();
    registry.register(
        "queue_polls",
        "Questions to brokers for the numbers of a queue by how they ended",
        polls.clone(),
    );
    let scalings = Family::default();
    registry.register("scalings", "Changes of a number of workers because of a queue", scalings.clone());
    let unavailable = Gauge::default();
    registry.register("queues_unavailable", "Queues that cannot be asked now", unavailable.clone());
    let short_of_consumers = Gauge::default();
    registry.register(
        "queues_short_of_consumers",
        "Queues of which the broker counts fewer consumers than workers are ready",
        short_of_consumers.clone(),
    );
    let first_end = Family::default();
    registry.register_with_unit(
        "certificate_first_end_timestamp",
        "When the first of all WebApps' certificates ends, in seconds since 1970; absent where there are none",
        Unit::Seconds,
        first_end.clone(),
    );
    Metrics {
        registry,
        requests,
        watch_restarts,
        reconciles,
        seconds,
        waiting,
        leading,
        syncs,
        lookups,
        backups,
        polls,
        scalings,
        unavailable,
        short_of_consumers,
        first_end,
    }
});

/// Counts an answered request.
pub fn request(method: &Method, code: StatusCode) {
    let labels = RequestLabels { method: method.to_string(), code: code.as_u16() };
    METRICS.requests.get_or_create(&labels).inc();
}

/// Counts a watch that began anew.
pub fn watch_restarted(kind: &str) {
    METRICS.watch_restarts.get_or_create(&KindLabels { kind: kind.to_owned() }).inc();
}

/// Counts a reconcile. `outcome` is a fixed word.
pub fn reconciled(kind: &str, outcome: &str, took: Duration) {
    let labels = OutcomeLabels { kind: kind.to_owned(), outcome: outcome.to_owned() };
    METRICS.reconciles.get_or_create(&labels).inc();
    METRICS.seconds.get_or_create(&KindLabels { kind: kind.to_owned() }).observe(took.as_secs_f64());
}

/// Counts a question to a git server. `outcome` is `ok` or the reason of a failure.
pub fn synced(outcome: &'static str) {
    METRICS.syncs.get_or_create(&AnswerLabels { outcome: outcome.to_owned() }).inc();
}

/// Counts a question to an image registry. `outcome` is `ok` or the reason of a failure.
pub fn looked_up(outcome: &'static str) {
    METRICS.lookups.get_or_create(&AnswerLabels { outcome: outcome.to_owned() }).inc();
}

/// Counts a backup that has ended. `outcome` is a fixed word.
pub fn backed_up(outcome: &'static str) {
    METRICS.backups.get_or_create(&AnswerLabels { outcome: outcome.to_owned() }).inc();
}

/// Counts a question to a broker. `outcome` is `ok` or the reason of a failure.
pub fn polled(outcome: &'static str) {
    METRICS.polls.get_or_create(&AnswerLabels { outcome: outcome.to_owned() }).inc();
}

/// Counts that there are more or fewer workers because of a queue.
pub fn scaled(more: bool) {
    let direction = if more { "out" } else { "in" }.to_owned();
    METRICS.scalings.get_or_create(&DirectionLabels { direction }).inc();
}

/// Notes how many queues cannot be asked.
pub fn queues_unavailable(count: usize) {
    METRICS.unavailable.set(i64::try_from(count).unwrap_or(i64::MAX));
}

/// Notes of how many queues the broker counts fewer consumers than workers are ready.
pub fn queues_short_of_consumers(count: usize) {
    METRICS.short_of_consumers.set(i64::try_from(count).unwrap_or(i64::MAX));
}

/// Notes when the first certificate of a WebApp ends; `None` where it has none.
pub fn certificate_ends(owner: &Owner, ends: Option<Timestamp>) {
    let mut all = unpoisoned::lock(&ENDS);
    let changed = match ends {
        Some(ends) => all.insert(owner.clone(), ends) != Some(ends),
        None => all.remove(owner).is_some(),
    };
    if changed {
        match all.values().min() {
            Some(first) => {
                METRICS.first_end.get_or_create(&NoLabels {}).set(first.as_second());
            }
            None => METRICS.first_end.clear(),
        }
    }
}

/// Notes how many objects of a kind wait.
pub fn waiting(kind: &str, count: usize) {
    let gauge = METRICS.waiting.get_or_create(&KindLabels { kind: kind.to_owned() }).clone();
    gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
}

/// Notes whether this replica writes.
pub fn leading(leads: bool) {
    METRICS.leading.set(leads.into());
}

/// All of it as text.
///
/// # Panics
/// Never: writing to a string does not fail.
pub fn text() -> String {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &METRICS.registry).expect("a string takes all text");
    text
}
