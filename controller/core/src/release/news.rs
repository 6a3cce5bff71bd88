//! What a person is told of, between two statuses.

use drover_crds::{AppStatus, ReleaseOutcome, ReleaseStep, UptimeState, condition};

use super::status::outcome_of;
use crate::news::{News, Tone};
use crate::plan::Contested;

/// What a person should be told of, between two statuses: releases that ended, a release that was put back, a followed tag
/// that went out of sight, a refusal, an app that falls asleep or wakes.
pub fn news<S: AppStatus>(before: &S, after: &S) -> Vec<News> {
    let ready = |status: &S| condition::get(status.conditions(), condition::READY).cloned();
    let message = ready(after).map(|c| c.message).unwrap_or_default();
    let mut news = Vec::new();
    for record in after.rollout().history.iter().rev() {
        if outcome_of(before.rollout(), record.number) == Some(record.outcome) {
            continue;
        }
        let (tone, reason) = ending(record.outcome);
        let current = after.rollout().release.as_ref().is_some_and(|r| r.number == record.number);
        let note =
            if current && !message.is_empty() { message.clone() } else { format!("Release {} ended", record.number) };
        news.push(News { tone, reason: reason.to_owned(), note });
    }
    let restoring = |s: &S| s.rollout().release.as_ref().is_some_and(|r| r.step == ReleaseStep::Restore);
    if restoring(before) && !restoring(after) && after.rollout().serving.is_some() {
        news.push(News::normal("ReleaseRestored", message.clone()));
    }
    let unseen = |s: &S| s.rollout().image.as_ref().and_then(|image| image.problem.clone());
    if let Some(problem) = unseen(after).filter(|now| unseen(before).is_none_or(|before| before.reason != now.reason)) {
        news.push(News::warning(problem.reason, problem.message));
    }
    let contested = ready(after).filter(|ready| ready.reason == Contested::REASON);
    if let Some(contested) = contested.filter(|now| ready(before).is_none_or(|before| before.message != now.message)) {
        news.push(News::warning(contested.reason, contested.message));
    }
    let stalled = condition::get(after.conditions(), condition::STALLED);
    if let Some(stalled) = stalled
        && news.is_empty()
        && ready(before).map(|c| c.message) != Some(message)
    {
        news.push(News::warning(&stalled.reason, &stalled.message));
    }
    let sleeps = |s: &S| s.rollout().uptime.as_ref().is_some_and(|uptime| uptime.state == UptimeState::Asleep);
    if let Some(uptime) = after.rollout().uptime.clone().filter(|_| sleeps(before) != sleeps(after)) {
        news.push(News::normal(if sleeps(after) { "Asleep" } else { "Awake" }, uptime.message));
    }
    let failed = |s: &S| s.rollout().uptime.as_ref().and_then(|uptime| uptime.problem.clone());
    if let Some(problem) = failed(after).filter(|_| failed(before) != failed(after)) {
        news.push(News::warning(problem.reason, problem.message));
    }
    news
}

/// The word for how a release ended.
fn ending(outcome: ReleaseOutcome) -> (Tone, &'static str) {
    match outcome {
        ReleaseOutcome::Live => (Tone::Normal, "ReleaseLive"),
        ReleaseOutcome::Failed => (Tone::Warning, "ReleaseFailed"),
        ReleaseOutcome::Superseded => (Tone::Normal, "ReleaseSuperseded"),
    }
}
