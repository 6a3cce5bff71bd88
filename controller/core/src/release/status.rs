//! What a person reads of an app and its releases. Time comes in as a value.

use std::collections::BTreeSet;
use std::time::Duration;

use drover_crds::condition::{Outcome, SCHEDULED_DOWN, WAITS_FOR_WINDOW};
use drover_crds::{
    AppSpec, BuiltFrom, JobMoment, Problem, ReleaseOutcome, ReleaseRecord, ReleaseStatus, ReleaseStep, ReplicasStatus,
    RolloutStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::record::{Release, Standing, Wanted};
use super::rollout::{Observation, Rollout};
use super::uptime::is_waking;
use crate::plan::Contested;
use crate::trouble::Trouble;
use crate::workload::pods::{Applied, Origin};

mod jobs;

use jobs::{AFTER_DEPLOY, BEFORE_DEPLOY, failed_in, jobs_of_another, of_which_schema, unfinished};
pub use jobs::{has_begun, newer_waits, note_jobs};

/// How many releases a status remembers.
const HISTORY: usize = 10;

/// The reasons of `Ready` while the pods of a release are looked at, which quotes what hinders them.
const REPLACING: &str = "Replacing";
const DEGRADED: &str = "Degraded";
const UNAVAILABLE: &str = "Unavailable";
const PROBATION: &str = "Probation";
const ROLLOUT: &str = "Rollout";

/// The reason of `Ready` where no pod runs because there is nothing to do.
const IDLE: &str = "Idle";

/// Whether a condition of that reason quotes the release's problem.
pub fn quotes(reason: &str, problem: &Problem) -> bool {
    let quoting = [REPLACING, DEGRADED, UNAVAILABLE, PROBATION, ROLLOUT, BEFORE_DEPLOY, AFTER_DEPLOY];
    reason == problem.reason || quoting.contains(&reason)
}

/// The outcome that is recorded for a release.
pub fn outcome_of(status: &RolloutStatus, number: i64) -> Option<ReleaseOutcome> {
    status.history.iter().find(|r| r.number == number).map(|r| r.outcome)
}

/// Whether objects of that release were sent, as far as the status tells.
pub fn was_applied(status: &RolloutStatus, number: i64) -> bool {
    let on_its_way = status.release.as_ref().filter(|r| r.number == number).map(|r| r.step);
    match on_its_way {
        Some(
            ReleaseStep::Apply
            | ReleaseStep::Rollout
            | ReleaseStep::Probation
            | ReleaseStep::AfterDeploy
            | ReleaseStep::Restore
            | ReleaseStep::Live,
        ) => true,
        Some(ReleaseStep::ResolveImage | ReleaseStep::PullImage | ReleaseStep::BeforeDeploy) => false,
        None => outcome_of(status, number) == Some(ReleaseOutcome::Live),
    }
}

/// The newest release before `newest` that became live.
pub fn last_live(status: &RolloutStatus, newest: i64) -> impl Iterator<Item = i64> {
    status.history.iter().filter(move |r| r.number < newest && r.outcome == ReleaseOutcome::Live).map(|r| r.number)
}

/// The release that was put back in the place of that one.
pub fn put_back(status: &RolloutStatus, number: i64) -> Option<i64> {
    status.history.iter().find(|r| r.number == number).and_then(|r| r.put_back)
}

/// What that release was last seen to stand for.
pub fn standing<'a, S: AppSpec>(status: &'a RolloutStatus, release: &'a Release<S>) -> Standing<'a> {
    let written = release.standing();
    match status.release.as_ref().filter(|r| r.number == release.number) {
        Some(seen) => {
            let (replicas, uptime) =
                seen.replicas.map_or((written.replicas, written.uptime), |replicas| (replicas, seen.uptime.as_ref()));
            Standing { commit: seen.commit.as_deref(), replicas, uptime }
        }
        None => written,
    }
}

/// The release stands for what the app asks for now.
pub fn stand_for<S: AppSpec>(status: &mut RolloutStatus, wanted: &Wanted<'_, S>) {
    if let Some(release) = &mut status.release {
        release.commit = wanted.commit.map(str::to_owned);
        release.replicas = Some(wanted.spec.replicas());
        release.uptime.clone_from(&wanted.spec.pod().uptime);
    }
}

fn remember(status: &mut RolloutStatus, outcome: ReleaseOutcome, put_back: Option<i64>, now: &Time) {
    let Some(release) = &status.release else { return };
    let record = ReleaseRecord {
        number: release.number,
        commit: release.commit.clone(),
        image: release.image.clone(),
        outcome,
        put_back,
        at: Some(now.clone()),
    };
    status.history.retain(|r| r.number != record.number);
    status.history.push(record);
    status.history.sort_by_key(|r| std::cmp::Reverse(r.number));
    if status.history.len() > HISTORY {
        status.history.remove(least_needed(&status.history));
    }
}

/// Which of these releases, newest first, is forgotten: the oldest whose image a newer one served with, because what changes every hour, such
/// as a setting, must not push out the images that can be gone back to; else the oldest. The newest live one, which can be put back, never is.
fn least_needed(history: &[ReleaseRecord]) -> usize {
    let is_live = |record: &ReleaseRecord| record.outcome == ReleaseOutcome::Live;
    let served_again = |at: &usize| {
        let record = &history[*at];
        is_live(record) && history[..*at].iter().any(|newer| is_live(newer) && newer.image == record.image)
    };
    let last = history.len() - 1;
    let oldest = if history.iter().position(is_live) == Some(last) { last - 1 } else { last };
    (0..=last).rev().find(served_again).unwrap_or(oldest)
}

/// A release begins: nothing but its number and the image as the spec names it are known.
pub fn begin(status: &mut RolloutStatus, number: i64, commit: Option<&str>, image: &str, now: &Time) {
    if status.release.as_ref().is_some_and(|r| r.number == number && r.step == ReleaseStep::ResolveImage) {
        // It could not be resolved before; when it began stays.
        if let Some(release) = &mut status.release {
            release.commit = commit.map(str::to_owned);
            image.clone_into(&mut release.image);
        }
        return;
    }
    if let Some(previous) = status.release.as_ref().map(|r| r.number) {
        match outcome_of(status, previous) {
            Some(ReleaseOutcome::Live) => status.serving = Some(previous),
            Some(_) => {}
            None => remember(status, ReleaseOutcome::Superseded, None, now),
        }
    }
    let uptime = status.release.as_ref().and_then(|before| before.uptime.clone());
    status.release = Some(ReleaseStatus {
        number,
        commit: commit.map(str::to_owned),
        replicas: None,
        uptime,
        image: image.to_owned(),
        built_from: None,
        step: ReleaseStep::ResolveImage,
        started_at: Some(now.clone()),
        problem: None,
        jobs: Vec::new(),
        last_before_deploy: None,
        unavailable_seconds: None,
        unavailable_since: None,
    });
}

/// Makes `release` the one that the status speaks of, in the step that is known of it.
pub fn resume<S: AppSpec>(status: &mut RolloutStatus, release: &Release<S>, now: &Time) {
    let number = release.number;
    let unresolved = |r: &ReleaseStatus| r.step == ReleaseStep::ResolveImage;
    if status.release.as_ref().is_some_and(|r| r.number == number && !unresolved(r)) {
        return;
    }
    let started_at = status.release.as_ref().filter(|r| r.number == number).and_then(|r| r.started_at.clone());
    let step = match outcome_of(status, number) {
        Some(ReleaseOutcome::Live) => ReleaseStep::Live,
        Some(ReleaseOutcome::Failed) if release.lacks(JobMoment::BeforeDeploy) => ReleaseStep::BeforeDeploy,
        Some(ReleaseOutcome::Failed) if release.failed_at(JobMoment::AfterDeploy) => ReleaseStep::AfterDeploy,
        Some(ReleaseOutcome::Failed) => ReleaseStep::Rollout,
        Some(ReleaseOutcome::Superseded) | None => ReleaseStep::PullImage,
    };
    if step == ReleaseStep::Live && status.serving == Some(number) {
        status.serving = None;
    }
    let uptime = status.release.as_ref().and_then(|before| before.uptime.clone());
    status.release = Some(ReleaseStatus {
        number,
        commit: release.data.commit.clone(),
        replicas: None,
        uptime,
        image: release.data.image.clone(),
        built_from: release.data.origin.as_ref().map(built_from),
        step,
        started_at: started_at.or_else(|| Some(now.clone())),
        problem: None,
        jobs: Vec::new(),
        last_before_deploy: None,
        unavailable_seconds: None,
        unavailable_since: None,
    });
}

/// What is said of an image's origin before it is known what git has.
pub fn built_from(origin: &Origin) -> BuiltFrom {
    BuiltFrom { revision: origin.revision.clone(), repository: origin.repository.clone(), git_is_at: None }
}

/// Notes where git is, if the image of the newest release was built from another commit.
pub fn compare(status: &mut RolloutStatus, applied: &Applied) {
    let Some(built) = status.release.as_mut().and_then(|release| release.built_from.as_mut()) else { return };
    let origin = Origin { revision: built.revision.clone(), repository: built.repository.clone() };
    built.git_is_at = origin.is_another_than(applied).then(|| applied.commit.clone());
}

/// The release goes on to `step`.
pub fn advance(status: &mut RolloutStatus, step: ReleaseStep) {
    if let Some(release) = &mut status.release {
        release.step = step;
    }
}

/// What hinders the release now.
pub fn hinder(status: &mut RolloutStatus, problem: Option<Problem>) {
    if let Some(release) = &mut status.release {
        release.problem = problem;
    }
}

/// A release that is on its way cannot go on. One that ended keeps what is said of it.
pub fn stuck(status: &mut RolloutStatus, trouble: &Trouble) {
    let ended = status.release.as_ref().is_none_or(|r| outcome_of(status, r.number).is_some());
    if !ended {
        let problem = Problem { reason: trouble.reason.clone(), message: trouble.to_string(), ..Default::default() };
        hinder(status, Some(problem));
    }
}

/// The release failed in `step`; `restore` is put back.
pub fn fail(status: &mut RolloutStatus, step: ReleaseStep, problem: Problem, restore: Option<i64>, now: &Time) {
    remember(status, ReleaseOutcome::Failed, restore, now);
    if let Some(release) = &mut status.release {
        release.step = if restore.is_some() { ReleaseStep::Restore } else { step };
        release.problem = Some(problem);
    }
    if restore.is_some() {
        status.serving = None;
    }
}

/// The release serves.
pub fn live(status: &mut RolloutStatus, now: &Time) {
    remember(status, ReleaseOutcome::Live, None, now);
    status.serving = None;
    if let Some(release) = &mut status.release {
        release.step = ReleaseStep::Live;
        release.problem = None;
    }
}

/// The last good release serves again.
pub fn restored(status: &mut RolloutStatus, serving: i64) {
    status.serving = Some(serving);
    if let Some(step) = status.release.as_ref().map(failed_in) {
        advance(status, step);
    }
}

/// Notes the numbers of the Deployment, and for how long nothing served while the release was brought out.
pub fn count(status: &mut RolloutStatus, seen: &Observation, now: &Time) {
    let Observation { desired, ready, updated, .. } = *seen;
    status.replicas = Some(ReplicasStatus { desired, ready, updated, summary: format!("{ready}/{desired}") });
    let served_before = status.history.iter().any(|r| r.outcome == ReleaseOutcome::Live);
    let Some(release) = &mut status.release else { return };
    let at = |seconds: i64| jiff::Timestamp::from_second(seconds).map_or_else(|_| now.clone(), Time);
    if ready == 0 && desired > 0 && served_before {
        // The Deployment's own word is exact; before the release began it was another's matter.
        let began = release.started_at.as_ref().map_or(i64::MIN, |t| t.0.as_second());
        let since = seen.down_since.filter(|s| *s >= began || release.step == ReleaseStep::Live).map(at);
        release.unavailable_since.get_or_insert_with(|| since.unwrap_or_else(|| now.clone()));
    } else if let Some(since) = release.unavailable_since.take() {
        let since = since.0.as_second();
        let end = seen.up_since.filter(|up| *up >= since).unwrap_or(now.0.as_second());
        if release.step != ReleaseStep::Live {
            *release.unavailable_seconds.get_or_insert(0) += (end - since).max(0);
        }
    }
}

/// What a reconcile came to, for the conditions.
#[derive(Clone, Copy, Debug)]
pub struct Reached<'a> {
    /// Whether the newest release is marked as failed.
    pub failed: bool,
    /// What became of the pods of what is applied.
    pub rollout: &'a Rollout,
    /// drover chose the user because the image runs as root.
    pub assumed_user: bool,
    /// Secrets that have changed since the release which goes on serving began: its pods read them when they start anew.
    pub changed_secrets: &'a BTreeSet<&'a str>,
    /// "asleep until …", while it is.
    pub asleep: Option<&'a str>,
    /// Why no pod runs where none does, of an app that is scaled by what there is to do.
    pub scaled: Option<&'a str>,
}

/// What is said of the app.
pub fn outcome(status: &RolloutStatus, reached: Reached<'_>) -> Outcome {
    // Where a release was live before, the user is not what is wrong.
    let assumed_user = reached.assumed_user && !status.history.iter().any(|r| r.outcome == ReleaseOutcome::Live);
    let reached = Reached { assumed_user, ..reached };
    let Some(release) = &status.release else {
        return Outcome::InProgress { reason: "Starting".into(), message: "The first release begins".into() };
    };
    let number = release.number;
    let replicas = status.replicas.clone().unwrap_or_default();
    if reached.failed {
        return failure(status, release, reached);
    }
    let hindrance = match reached.rollout {
        Rollout::Progressing(Some(problem)) | Rollout::Failing(problem) => sentence(problem, reached.assumed_user),
        _ => String::new(),
    };
    match release.step {
        ReleaseStep::Live => {
            let commit =
                release.commit.as_deref().map(|c| format!(" ({})", c.get(..12).unwrap_or(c))).unwrap_or_default();
            let pods = format!("{} of {} pods ready", replicas.ready, replicas.desired);
            if let Some(asleep) = reached.asleep {
                let message = format!("Release {number}{commit} is {asleep}");
                Outcome::Ready { reason: SCHEDULED_DOWN.into(), message }
            } else if let Some(why) = reached.scaled.filter(|_| replicas.desired == 0) {
                let message = format!("Release {number}{commit} is live; {why}");
                Outcome::Ready { reason: IDLE.into(), message }
            } else if replicas.desired == 0 {
                let message = format!("Release {number}{commit} is switched off: replicas is 0");
                Outcome::Ready { reason: "SwitchedOff".into(), message }
            } else if *reached.rollout == Rollout::Complete {
                let held = status.image.as_ref().and_then(|image| image.hold.as_ref());
                let held = held.map(|held| format!("; {}", held.message)).unwrap_or_default();
                let message = format!("Release {number}{commit} is live: {pods}{held}{}", of_which_schema(release));
                Outcome::Ready { reason: "Live".into(), message }
            } else if is_waking(status) && *reached.rollout == Rollout::Progressing(None) {
                Outcome::InProgress {
                    reason: "Waking".into(),
                    message: format!("Release {number}{commit} wakes: {pods}"),
                }
            } else if reached.scaled.is_some()
                && *reached.rollout == Rollout::Progressing(None)
                && replicas.updated >= replicas.desired
            {
                let message = format!("Release {number}{commit} is live and scaled: {pods}");
                Outcome::Ready { reason: "Scaling".into(), message }
            } else if replicas.ready >= replicas.desired {
                let message = format!(
                    "Release {number}{commit} is live; its pods are being replaced: {} of {} new{hindrance}",
                    replicas.updated, replicas.desired
                );
                Outcome::InProgress { reason: REPLACING.into(), message }
            } else if replicas.ready > 0 {
                let message = format!("Release {number}{commit} is live, but only {pods}{hindrance}");
                Outcome::InProgress { reason: DEGRADED.into(), message }
            } else {
                let message = format!("Release {number}{commit} was live, but no pod is ready now{hindrance}");
                Outcome::Failed { reason: UNAVAILABLE.into(), message }
            }
        }
        ReleaseStep::ResolveImage => Outcome::InProgress {
            reason: "ResolveImage".into(),
            message: format!("Release {number}: the registry is asked for its image {}", release.image),
        },
        _ if let Some(asleep) = reached.asleep => Outcome::InProgress {
            reason: WAITS_FOR_WINDOW.into(),
            message: format!(
                "Release {number} waits for its window: the app is {asleep}, and the release becomes live when its pods have served"
            ),
        },
        // It is as its spec asks, and yet nothing is known of the release.
        _ if let Some(why) = reached.scaled.filter(|_| *reached.rollout == Rollout::Off) => Outcome::Ready {
            reason: IDLE.into(),
            message: format!("Release {number} has not run; {why}, and it becomes live when one has run"),
        },
        _ if *reached.rollout == Rollout::Off => Outcome::Ready {
            reason: "SwitchedOff".into(),
            message: format!(
                "Release {number} is switched off: replicas is 0; it has not run, so it becomes live when replicas is raised and its pods serve"
            ),
        },
        ReleaseStep::PullImage => Outcome::InProgress {
            reason: "PullImage".into(),
            message: format!("Release {number}: its image is pulled to the node before the running pod stops"),
        },
        ReleaseStep::BeforeDeploy => {
            let waits = release.problem.as_ref().map(|problem| sentence(problem, false)).unwrap_or_default();
            let serving = status.serving.map(|good| format!("; release {good} goes on serving")).unwrap_or_default();
            let job = unfinished(release, JobMoment::BeforeDeploy);
            Outcome::InProgress {
                reason: BEFORE_DEPLOY.into(),
                message: format!("Release {number}: {job} runs before its pods start{waits}{serving}"),
            }
        }
        ReleaseStep::AfterDeploy => {
            let waits = release.problem.as_ref().map(|problem| sentence(problem, false)).unwrap_or_default();
            let job = unfinished(release, JobMoment::AfterDeploy);
            Outcome::InProgress {
                reason: AFTER_DEPLOY.into(),
                message: format!("Release {number}: its pods serve, and {job} runs before it is live{waits}"),
            }
        }
        ReleaseStep::Probation => Outcome::InProgress {
            reason: PROBATION.into(),
            message: format!(
                "Release {number} is on probation: {} of {} pods are new, and must serve for the time of health.probation before it is live{hindrance}",
                replicas.updated, replicas.desired
            ),
        },
        ReleaseStep::Apply | ReleaseStep::Rollout | ReleaseStep::Restore => {
            let message = format!(
                "Release {number} is rolling out: {} of {} new pods, {} ready{hindrance}",
                replicas.updated, replicas.desired, replicas.ready
            );
            Outcome::InProgress { reason: ROLLOUT.into(), message }
        }
    }
}

/// The same, where others change the app's objects again and again and nothing worse is to be said.
pub fn contested(outcome: Outcome, contested: Option<&str>) -> Outcome {
    match (outcome, contested) {
        (Outcome::Ready { message, .. }, Some(first)) => {
            Outcome::Ready { reason: Contested::REASON.into(), message: format!("{message}, but {first}") }
        }
        (outcome, _) => outcome,
    }
}

/// The same, where what the app reads has changed and begins a release in a moment: what is ready now is ready for what was.
pub fn about_to_change(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Ready { message, .. } => Outcome::InProgress {
            reason: "SettingsChanged".into(),
            message: format!(
                "{message}; what it reads of ConfigMaps and Secrets has changed, and a release of it begins in a moment"
            ),
        },
        outcome => outcome,
    }
}

fn failure(status: &RolloutStatus, release: &ReleaseStatus, reached: Reached<'_>) -> Outcome {
    let number = release.number;
    let why = release.problem.as_ref().map(|p| sentence(p, reached.assumed_user)).unwrap_or_default();
    let good = status.serving.or_else(|| last_live(status, number).next());
    let gap = match (release.unavailable_since.as_ref(), release.unavailable_seconds) {
        (Some(since), _) => format!("; nothing serves since {}", since.0),
        (None, Some(seconds)) => format!("; nothing served for {seconds} s"),
        (None, None) => String::new(),
    };
    let off = *reached.rollout == Rollout::Off || reached.asleep.is_some();
    let why_off = match (reached.asleep, reached.scaled) {
        (Some(asleep), _) => format!("it is {asleep}"),
        (None, Some(why)) => why.to_owned(),
        (None, None) => "it is switched off: replicas is 0".to_owned(),
    };
    let put_back = put_back(status, number);
    let (step, serving) = match (release.step, good) {
        (_, _) if off => (format!("{:?}", failed_in(release)), format!("; {why_off}")),
        (ReleaseStep::Restore, Some(good)) => {
            (format!("{:?}", failed_in(release)), format!("; release {good} is being put back"))
        }
        (step, Some(good)) if put_back == Some(good) => {
            (format!("{step:?}"), format!("; release {good} was put back and serves"))
        }
        (step, Some(good)) => (format!("{step:?}"), format!("; release {good} goes on serving")),
        (step, None) => (format!("{step:?}"), "; no earlier release can be put back".to_owned()),
    };
    let secrets: Vec<&str> = reached.changed_secrets.iter().copied().collect();
    let anew = match (good, secrets.as_slice()) {
        (None, _) | (_, []) => String::new(),
        (Some(_), [one]) => format!(", and when its pods restart they read the Secret {one} as it is now"),
        (Some(_), several) => {
            format!(", and when its pods restart they read the Secrets {} as they are now", several.join(", "))
        }
    };
    // A pull's own sentence says what to do.
    let advice = if release.step == ReleaseStep::PullImage { "" } else { "; push a correction" };
    let schema = jobs_of_another(release, good);
    let message = format!("Release {number} failed in step {step}{why}{serving}{schema}{anew}{gap}{advice}");
    let reason = release.problem.as_ref().map_or_else(|| "ReleaseFailed".to_owned(), |p| p.reason.clone());
    if release.step == ReleaseStep::Restore && !off {
        // drover is still at work.
        return Outcome::Failed { reason, message };
    }
    Outcome::Stalled { reason, message }
}

/// `: pod: message`, with a hint where drover's own choice may be the cause.
fn sentence(problem: &Problem, assumed_user: bool) -> String {
    let unnamed = problem.pod.as_ref().filter(|pod| !problem.message.contains(*pod));
    let pod = unnamed.map(|pod| format!("pod {pod}: ")).unwrap_or_default();
    let crashed = matches!(problem.reason.as_str(), "CrashLoopBackOff" | "Error" | "StartError" | "RunContainerError");
    let hint = if assumed_user && crashed {
        " (the image names no user but root, so it runs as user 1000: if it has to write beside its code, set runAs.user or allowRoot)"
    } else {
        ""
    };
    format!(": {pod}{}{hint}", problem.message.trim_end_matches('.'))
}

/// Notes the address of the first route. Where there is none, the one of before stays until the app is as its spec asks.
pub fn address(noted: &mut Option<String>, url: Option<String>, outcome: &Outcome) {
    if url.is_some() || matches!(outcome, Outcome::Ready { .. }) {
        *noted = url;
    }
}

/// How long to wait before looking at pods again while a release is on its way: often at first, then seldom, and always often while
/// new pods take requests that they may be failing.
pub fn pace(status: &RolloutStatus, failed: bool, now: &Time) -> Duration {
    if failed && status.release.as_ref().is_none_or(|r| r.step != ReleaseStep::Restore) {
        return Duration::from_mins(1);
    }
    let began =
        status.release.as_ref().and_then(|r| r.started_at.as_ref()).map_or(now.0.as_second(), |t| t.0.as_second());
    let elapsed = u64::try_from(now.0.as_second() - began).unwrap_or(0);
    let on_probation = status.release.as_ref().is_some_and(|r| r.step == ReleaseStep::Probation);
    Duration::from_secs((elapsed / 8).clamp(2, if on_probation { 5 } else { 30 }))
}

#[cfg(test)]
mod tests;
