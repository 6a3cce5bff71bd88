//! What a person is told of an Environment.

use crate::news::News;
use drover_crds::condition::{READY, get};
use drover_crds::{EnvironmentStatus, ObjectFailure};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use super::status::{AppliedNow, Findings, listed};

/// What is told although no status shows it: others had changed objects, which were put back.
pub fn put_back(findings: &Findings) -> Vec<News> {
    if findings.corrected.is_empty() {
        return Vec::new();
    }
    vec![News::normal("DriftCorrected", format!("Put back what others had changed: {}", listed(&findings.corrected)))]
}

/// A commit that is applied in full now, and was not before. One that changed nothing, neither in the folder nor in the cluster, is no news:
/// where many follow one repository nearly all of its commits are such.
pub fn applied(before: &EnvironmentStatus, findings: &Findings) -> Vec<News> {
    let is_news = |now: &&AppliedNow| {
        let Some(known) = &before.applied else { return true };
        known.commit != now.commit.id.as_str() && (known.tree != now.tree || now.changed > 0)
    };
    let applied = findings.applied.as_ref().filter(is_news).map(|now| {
        let note = format!("Applied {}: {} of {} objects changed", now.commit.id.short(), now.changed, now.objects);
        News::normal("Applied", note)
    });
    applied.into_iter().collect()
}

/// What is told of between two statuses: the first thing that was not wrong before. A failure is known by its reason and subject,
/// because its sentence may speak of time; of another commit or spec it is another one.
pub fn news(before: &EnvironmentStatus, after: &EnvironmentStatus) -> Vec<News> {
    let of = |status: &EnvironmentStatus| {
        (status.observed_generation, status.source.as_ref().map(|source| source.commit.clone()))
    };
    let is_known = |failure: &ObjectFailure| {
        of(before) == of(after)
            && before.failures.iter().any(|known| known.object == failure.object && known.reason == failure.reason)
    };
    let Some(position) = after.failures.iter().position(|failure| !is_known(failure)) else { return Vec::new() };
    let failure = &after.failures[position];
    let ready = get(&after.conditions, READY);
    let says_it = |ready: &&Condition| position == 0 && (ready.status == "False" || ready.reason == failure.reason);
    vec![match ready.filter(says_it) {
        Some(ready) => News::warning(&ready.reason, &ready.message),
        None => News::warning(&failure.reason, format!("{}: {}", failure.object, failure.message)),
    }]
}

#[cfg(test)]
mod tests {
    use drover_crds::condition::{HasHead as _, Outcome};
    use drover_crds::{AppliedStatus, SourceStatus};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::branch::{CommitId, CommitInfo, TreeId};

    fn failure(object: &str, reason: &str, message: &str) -> ObjectFailure {
        ObjectFailure { object: object.into(), reason: reason.into(), message: message.into() }
    }

    /// A status at the commit `id`, where these things are wrong.
    fn status(id: char, generation: i64, outcome: &Outcome, failures: &[ObjectFailure]) -> EnvironmentStatus {
        let source = SourceStatus { commit: id.to_string().repeat(40), ..SourceStatus::default() };
        let mut status =
            EnvironmentStatus { source: Some(source), failures: failures.to_vec(), ..EnvironmentStatus::default() };
        status.conclude(outcome, Some(generation), &Time(jiff::Timestamp::UNIX_EPOCH));
        status
    }

    /// The same where `Ready` says the first of them.
    fn wrong(id: char, generation: i64, failures: &[ObjectFailure]) -> EnvironmentStatus {
        let message = format!("Applied it, but {}", failures[0].message);
        status(id, generation, &Outcome::Failed { reason: "Unhealthy".into(), message }, failures)
    }

    fn well(id: char) -> EnvironmentStatus {
        status(id, 1, &Outcome::Ready { reason: "Applied".into(), message: "all well".into() }, &[])
    }

    #[test]
    fn a_failure_is_told_once_whatever_its_sentence_and_again_for_another_subject_commit_or_spec() {
        let (web, again) =
            (failure("WebApp a/web", "Crash", "3 restarts"), failure("WebApp a/web", "Crash", "4 restarts"));
        let first = wrong('a', 1, std::slice::from_ref(&web));
        let nothing = EnvironmentStatus::default();
        assert_eq!(news(&nothing, &first), [News::warning("Unhealthy", "Applied it, but 3 restarts")]);
        let same = wrong('a', 1, std::slice::from_ref(&again));
        assert_ne!(first, same, "the status says the new sentence");
        assert_eq!(news(&first, &same), []);

        let both = wrong('a', 1, &[again.clone(), failure("WebApp a/api", "Crash", "3 restarts")]);
        assert_eq!(news(&same, &both), [News::warning("Crash", "WebApp a/api: 3 restarts")]);
        assert_eq!(news(&both, &same), [], "one was mended");
        let another_reason = wrong('a', 1, &[failure("WebApp a/web", "ImagePullBackOff", "4 restarts")]);
        assert_eq!(news(&same, &another_reason).len(), 1);
        assert_eq!(news(&same, &wrong('b', 1, std::slice::from_ref(&again))).len(), 1, "another commit");
        assert_eq!(news(&same, &wrong('a', 2, std::slice::from_ref(&again))).len(), 1, "another spec");
        assert_eq!(news(&same, &well('a')), []);
        assert_eq!(news(&well('a'), &same).len(), 1, "it came back");
    }

    #[test]
    fn what_ready_does_not_speak_of_is_told_with_its_object_and_a_war_although_all_is_applied() {
        let waits = Outcome::InProgress { reason: "Progressing".into(), message: "waiting for another".into() };
        let told = news(&well('a'), &status('a', 1, &waits, &[failure("ConfigMap a/broken", "Broken", "it broke")]));
        assert_eq!(told, [News::warning("Broken", "ConfigMap a/broken: it broke")]);

        let war = [failure("ConfigMap a/fought", "Contested", "it is fought over")];
        let message = "Applied it, but it is fought over".to_owned();
        let at_war = status('a', 1, &Outcome::Ready { reason: "Contested".into(), message: message.clone() }, &war);
        assert_eq!(news(&well('a'), &at_war), [News::warning("Contested", message)]);
        assert_eq!(news(&at_war, &at_war), []);
    }

    #[test]
    fn a_commit_is_told_once_and_what_is_put_back_each_time() {
        let id = "a".repeat(40);
        let commit = CommitInfo {
            id: CommitId::parse(&id).expect("40 digits"),
            tree: TreeId::parse(&id).expect("40 digits"),
            message: "Ship it".into(),
            author: "Ada".into(),
            time: jiff::Timestamp::UNIX_EPOCH,
        };
        let now = AppliedNow { commit, tree: id.clone(), objects: 4, variables: None, changed: 2, healthy: true };
        let findings =
            Findings { applied: Some(now), corrected: vec!["ConfigMap shop/a".into()], ..Findings::default() };
        let corrected = News::normal("DriftCorrected", "Put back what others had changed: ConfigMap shop/a");
        assert_eq!(put_back(&findings), [corrected]);
        assert_eq!(put_back(&Findings::default()), []);
        let told = applied(&EnvironmentStatus::default(), &findings);
        assert_eq!(told, [News::normal("Applied", "Applied aaaaaaaaaaaa: 2 of 4 objects changed")]);
        let told = |commit: &str, tree: &str, changed: usize| {
            let known = AppliedStatus { commit: commit.into(), tree: tree.into(), ..AppliedStatus::default() };
            let before = EnvironmentStatus { applied: Some(known), ..EnvironmentStatus::default() };
            let now = findings.applied.clone().map(|now| AppliedNow { changed, ..now });
            applied(&before, &Findings { applied: now, ..Findings::default() }).len()
        };
        assert_eq!(told(&id, &id, 2), 0, "it was told");
        assert_eq!(told("b", &id, 0), 0, "another commit that changes nothing for it");
        assert_eq!([told("b", &id, 1), told("b", "b", 0)], [1, 1], "what others changed is put back; another folder");
    }
}
