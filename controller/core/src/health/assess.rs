//! Whether an object does what it should, by the rules of kstatus (`sigs.k8s.io/cli-utils/pkg/kstatus`).

use drover_crds::condition::WAITS_FOR_WINDOW;
use serde_json::Value;

use super::builtin;
use super::fields::{condition, number, text};
use super::verdict::Health;

/// Judges a live object of any kind. First what holds for every kind (being deleted, a status of an older generation, the
/// conditions `Stalled` and `Reconciling`), then the rules of the built-in kinds, then the condition `Ready`. A kind that
/// says nothing about itself is current.
///
/// It differs from kstatus in four places, each because an `Environment` waits for the answer: a Job that runs is in
/// progress; a claim that waits for its first pod is current, and so is an app that is asleep, whatever release it wakes with; a Deployment
/// whose pods the API server refuses says so.
pub fn assess(object: &Value) -> Health {
    if !text(object, "/metadata/deletionTimestamp").is_empty() {
        return Health::in_progress("being deleted");
    }
    let generation = number(object, "/metadata/generation");
    let is_older = |observed: Option<i64>| matches!((observed, generation), (Some(seen), Some(now)) if seen < now);
    let observed = number(object, "/status/observedGeneration");
    // What definitions give a new object, so that nobody takes its empty status for a good one.
    if observed.is_some_and(|observed| observed < 0) {
        return Health::in_progress("its controller has not looked at it yet");
    }
    if is_older(observed) {
        return Health::in_progress("its controller has not seen the latest change yet");
    }
    if let Some(stalled) = condition(object, "Stalled").filter(|stalled| stalled.is("True")) {
        return Health::failed(stalled.reason(), stalled.message());
    }
    let api_version = text(object, "/apiVersion");
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    if let Some(reconciling) = condition(object, "Reconciling").filter(|reconciling| reconciling.is("True")) {
        let sleeps = group == drover_crds::GROUP && reconciling.reason() == WAITS_FOR_WINDOW;
        return if sleeps { Health::Current } else { Health::in_progress(reconciling.message()) };
    }
    if let Some(health) = builtin::assess(group, text(object, "/kind"), object) {
        return health;
    }
    match condition(object, "Ready") {
        Some(ready) if is_older(ready.observed_generation()) => {
            Health::in_progress("its controller has not seen the latest change yet")
        }
        Some(ready) if !ready.is("True") => Health::in_progress(ready.message()),
        // drover always writes a status.
        None if group == drover_crds::GROUP => Health::in_progress("drover has not looked at it yet"),
        Some(_) | None => Health::Current,
    }
}
