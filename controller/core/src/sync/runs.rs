//! What a Job that syncs says of itself.

use std::collections::BTreeSet;

use drover_crds::{ANNOTATION_ASKED, ANNOTATION_RECONCILE_AT, COMPONENT_SYNC};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Volume};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::freshness::moment;
use super::published::SETS;
use crate::errand::{Outcome, SyncResult, is_set_id};
use crate::health::{Patience, diagnose};
use crate::workload::build::metadata;

/// A sync, as its Job shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The Job.
    pub job: String,
    /// When the Job was made.
    pub since: Option<Time>,
    /// Which request it is for; `None` for one of the schedule.
    pub asked: Option<String>,
    /// When that was asked for, where a person or an app did.
    pub asked_at: Option<Time>,
    /// How it ended; `None` while it runs.
    pub end: Option<End>,
    /// What keeps its pod from working, while it runs.
    pub trouble: Option<String>,
}

/// How a sync ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// When.
    pub at: Time,
    /// What it came to; what did not succeed as a reason and a sentence.
    pub result: Result<SyncResult, (String, String)>,
}

/// What `job` and those of `pods` that are its say of a sync. `now` is in seconds since 1970.
pub fn run(job: &Job, pods: &[Pod], now: i64) -> Run {
    let name = job.metadata.name.clone().unwrap_or_default();
    let is_its = |pod: &&Pod| {
        let labels = pod.metadata.labels.as_ref();
        labels.and_then(|labels| labels.get("batch.kubernetes.io/job-name")) == Some(&name)
    };
    let own: Vec<Pod> = pods.iter().filter(is_its).cloned().collect();
    let annotation = |name: &str| job.metadata.annotations.as_ref().and_then(|all| all.get(name));
    let ended = ended(job);
    let trouble =
        if ended.is_some() { None } else { diagnose(&own, now, Patience::default()).map(|found| found.message) };
    Run {
        since: job.metadata.creation_timestamp.clone(),
        asked: annotation(ANNOTATION_ASKED).cloned(),
        asked_at: annotation(ANNOTATION_RECONCILE_AT).and_then(|at| moment(at)).map(Time),
        end: ended.map(|(at, why)| End { at, result: result(&name, &own, why, now) }),
        trouble,
        job: name,
    }
}

/// When it ended, and where it failed, in the Job controller's own words: its reason and its sentence.
pub(crate) fn ended(job: &Job) -> Option<(Time, Option<(String, String)>)> {
    let conditions = job.status.as_ref()?.conditions.iter().flatten();
    conditions.filter(|condition| condition.status == "True").find_map(|condition| {
        let at = condition.last_transition_time.clone()?;
        match condition.type_.as_str() {
            "Complete" => Some((at, None)),
            "Failed" => {
                let words =
                    (condition.reason.clone().unwrap_or_default(), condition.message.clone().unwrap_or_default());
                Some((at, Some(words)))
            }
            _ => None,
        }
    })
}

/// What the errand said at its end, or what ended it.
fn result(job: &str, pods: &[Pod], why: Option<(String, String)>, now: i64) -> Result<SyncResult, (String, String)> {
    // The last one: a pod whose node went away may have been replaced.
    let mut pods: Vec<&Pod> = pods.iter().collect();
    pods.sort_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|at| at.0));
    let last = pods.last();
    let container = last.and_then(|pod| pod.status.as_ref()?.container_statuses.as_ref()?.first());
    let terminated = container.and_then(|container| container.state.as_ref()?.terminated.as_ref());
    let said = terminated.and_then(|terminated| terminated.message.as_deref()).unwrap_or_default();
    match SyncResult::read(said) {
        Ok(result) if matches!(result.outcome, Outcome::Published | Outcome::Unchanged) => Ok(result),
        Ok(result) => Err((result.reason, result.message)),
        Err(unbelievable) => {
            if let Some((reason, _)) = &why
                && reason == "DeadlineExceeded"
            {
                let sentence =
                    format!("Job {job} was ended because it took longer than spec.timeout: raise it, or sync less");
                return Err(("TimedOut".to_owned(), sentence));
            }
            let found = last.and_then(|pod| diagnose(std::slice::from_ref(*pod), now, Patience::over()));
            // That a container ended with an error says less than what is missing.
            if let Some(found) = found.filter(|found| found.reason != "Error") {
                return Err((found.reason, found.message));
            }
            let code = terminated.map(|terminated| format!(", exit code {}", terminated.exit_code)).unwrap_or_default();
            let more = why.map(|(_, message)| format!(" ({message})")).unwrap_or_default();
            let sentence = format!(
                "{unbelievable} in Job {job}{code}{more}: `kubectl logs job/{job}` shows what it wrote, and `drover sync` tries again"
            );
            Err(("NoResult".to_owned(), sentence))
        }
    }
}

/// The sets on the claim that these pods mount, those that have ended left out, in order.
pub fn sets_in_use(pods: &[Pod], claim: &str) -> Vec<String> {
    let mut sets = BTreeSet::new();
    for pod in pods {
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
        let Some(spec) = pod.spec.as_ref().filter(|_| !["Succeeded", "Failed"].contains(&phase)) else { continue };
        let is_its = |volume: &&Volume| {
            volume.persistent_volume_claim.as_ref().is_some_and(|mounted| mounted.claim_name == claim)
        };
        let volumes: BTreeSet<&str> =
            spec.volumes.iter().flatten().filter(is_its).map(|volume| volume.name.as_str()).collect();
        let mounts = spec.containers.iter().flat_map(|container| container.volume_mounts.iter().flatten());
        let folders =
            mounts.filter(|mount| volumes.contains(mount.name.as_str())).filter_map(|m| m.sub_path.as_deref());
        let inside = folders.filter_map(|folder| folder.strip_prefix(SETS)?.strip_prefix('/')?.split('/').next());
        sets.extend(inside.map(str::to_owned).filter(|set| is_set_id(set)));
    }
    sets.into_iter().collect()
}

/// The selector that finds a DataSync's Jobs, and their pods, in a namespace.
pub fn selector(instance: &str) -> String {
    metadata::selector_of(instance, COMPONENT_SYNC)
}
