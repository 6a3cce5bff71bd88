//! What a person reads of an Environment. The time comes in.

use std::time::Duration;

use crate::health::Health;
use crate::plan::Contested;
use crate::render::ObjectKey;
use crate::trouble::Trouble;
use drover_crds::condition::{self, Outcome};
use drover_crds::{
    AppliedStatus, DriftPolicy, Environment, EnvironmentStatus, HistoryEntry, ObjectFailure, Owner, SourceStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::CommitInfo;

/// How many failures and releases a status holds.
const FAILURES: usize = 10;
const HISTORY: usize = 20;

/// How often objects of kinds that drover may not watch are looked at.
pub const BLIND_POLL: Duration = Duration::from_secs(300);
/// The same while they are not healthy yet.
const BLIND_WAIT: Duration = Duration::from_secs(15);

/// What a reconcile came to know, for the status.
#[derive(Clone, Debug, Default)]
pub struct Findings {
    /// The commit at the head of what is followed.
    pub head: Option<(CommitInfo, Time)>,
    /// The commit that is applied in full now.
    pub applied: Option<AppliedNow>,
    /// Applied objects that failed.
    pub failures: Vec<ObjectFailure>,
    /// Applied objects that are on their way.
    pub waiting_for: Vec<String>,
    /// Kinds that drover may not watch.
    pub blind: Vec<String>,
    /// Objects that others had changed, put back.
    pub corrected: Vec<String>,
    /// Objects that others change again and again.
    pub contested: Vec<ObjectFailure>,
    /// When to look at those again.
    pub again: Option<Duration>,
    /// Where this repository's webhook is taken.
    pub webhook_path: Option<String>,
}

impl Findings {
    /// An applied object is not as asked; of many, as many as a status holds are noted.
    pub fn note(&mut self, object: &ObjectKey, health: &Health) {
        match health {
            Health::InProgress { .. } if self.waiting_for.len() < FAILURES => self.waiting_for.push(object.to_string()),
            Health::Failed { reason, message } if self.failures.len() < FAILURES => {
                let (object, reason, message) = (object.to_string(), reason.clone(), message.clone());
                self.failures.push(ObjectFailure { object, reason, message });
            }
            _ => {}
        }
    }

    /// When to look again although no event comes: at what others change again and again, and after `poll` at what may not be watched.
    pub fn look(&self, poll: Duration) -> Option<Duration> {
        self.again.into_iter().chain((!self.blind.is_empty()).then_some(poll)).min()
    }
}

/// A commit that is applied in full.
#[derive(Clone, Debug)]
pub struct AppliedNow {
    /// The commit.
    pub commit: CommitInfo,
    /// The id of the folder that is followed.
    pub tree: String,
    /// How many objects it wants.
    pub objects: usize,
    /// A keyed hash of the variables that other objects brought.
    pub variables: Option<String>,
    /// By this turn: after a crash in the middle of a commit, only what was left to do.
    pub changed: usize,
    /// Whether all are as asked.
    pub healthy: bool,
}

/// What a reconcile that met no failure came to.
pub enum Reached {
    /// The first commit is on its way.
    Fetching,
    /// `suspend: true`.
    Suspended,
    /// A newer commit came while this one was being applied.
    Superseded,
    /// Everything is applied.
    Applied {
        /// The first object that is not healthy.
        unhealthy: Option<(String, Health)>,
        /// Objects that others changed, and that are left alone as the drift policy says.
        drifted: Vec<String>,
        /// Objects that left git and stay until a person decides, each with a sentence.
        held: Vec<String>,
    },
}

impl Reached {
    /// Whether all of the commit is done: nothing is on its way, nothing failed, and nothing waits for the next commit or a person.
    pub fn is_done(&self, findings: &Findings) -> bool {
        let Self::Applied { unhealthy: None, drifted, held } = self else { return false };
        drifted.is_empty() && held.is_empty() && findings.contested.is_empty() && findings.failures.is_empty()
    }

    /// Whether all of the commit is applied, and nothing is known but that objects are on their way.
    pub fn is_on_its_way(&self, findings: &Findings) -> bool {
        let under_way = matches!(self, Self::Applied { unhealthy: Some((_, Health::InProgress { .. })), .. });
        under_way && findings.contested.is_empty() && findings.failures.is_empty()
    }
}

/// What a turn that met no trouble came to, and after which time to look again although no event comes.
pub fn conclude(environment: &Environment, reached: &Reached, findings: &Findings) -> (Outcome, Option<Duration>) {
    match reached {
        Reached::Fetching => {
            let message = format!("Fetching {}", environment.spec.source.url);
            (Outcome::InProgress { reason: "Fetching".into(), message }, None)
        }
        Reached::Superseded => {
            let message = "A newer commit came while one was being applied".to_owned();
            (Outcome::InProgress { reason: "Superseded".into(), message }, Some(Duration::ZERO))
        }
        Reached::Suspended => {
            let why = environment.spec.suspend_reason.as_deref();
            let message = format!(
                "Suspended{}: nothing is fetched or changed until `suspend` is removed",
                why.map(|why| format!(" ({why})")).unwrap_or_default()
            );
            (Outcome::Ready { reason: "Suspended".into(), message }, None)
        }
        Reached::Applied { unhealthy, drifted, held } => {
            let commit = findings.applied.as_ref().map(|a| a.commit.id.short()).unwrap_or_default();
            let objects = findings.applied.as_ref().map_or(0, |a| a.objects);
            match unhealthy {
                Some((object, Health::Failed { message, .. })) => {
                    let message = format!("Applied {commit}, but {object} failed: {message}");
                    (Outcome::Failed { reason: condition::UNHEALTHY.into(), message }, findings.look(BLIND_WAIT))
                }
                Some((object, Health::InProgress { message })) => {
                    let message = format!("Applied {commit}; waiting for {object}: {message}");
                    (Outcome::InProgress { reason: condition::PROGRESSING.into(), message }, findings.look(BLIND_WAIT))
                }
                _ if !held.is_empty() => {
                    let message = format!("Applied {commit}, but {}", listed(held));
                    (Outcome::Ready { reason: "RemovalHeld".into(), message }, findings.look(BLIND_POLL))
                }
                _ if !findings.contested.is_empty() => {
                    let wars: Vec<String> = findings.contested.iter().map(|war| war.message.clone()).collect();
                    let message = format!("Applied {commit}, but {}", listed(&wars));
                    (Outcome::Ready { reason: Contested::REASON.into(), message }, findings.look(BLIND_POLL))
                }
                _ if !drifted.is_empty() && environment.spec.drift == Some(DriftPolicy::Report) => {
                    let message = format!("Applied {commit}, but others changed {}", listed(drifted));
                    (Outcome::Ready { reason: "Drifted".into(), message }, findings.look(BLIND_POLL))
                }
                _ => {
                    let message = match objects {
                        1 => format!("Applied {commit}: its object is there and healthy"),
                        _ => format!("Applied {commit}: all {objects} objects are there and healthy"),
                    };
                    (Outcome::Ready { reason: "Applied".into(), message }, findings.look(BLIND_POLL))
                }
            }
        }
    }
}

/// The first few words of a list.
pub fn listed(words: &[String]) -> String {
    match words {
        [a, b, c, rest @ ..] if !rest.is_empty() => format!("{a}, {b}, {c} and {} more", rest.len()),
        words => words.join(", "),
    }
}

/// Notes what a turn came to know.
pub fn note(status: &mut EnvironmentStatus, findings: &Findings, generation: Option<i64>, now: &Time) {
    if findings.blind.is_empty() {
        condition::clear(&mut status.conditions, condition::DRIFT_WATCH);
    } else {
        let kinds = findings.blind.join(", ");
        let message = format!(
            "drover may not watch {kinds}, so changes of these are seen only every five minutes: an administrator can add them to the ClusterRole drover-watch"
        );
        condition::set(
            &mut status.conditions,
            condition::DRIFT_WATCH,
            "False",
            "MayNotWatch",
            &message,
            generation,
            now,
        );
    }
    if let Some((commit, fetched_at)) = &findings.head {
        // A new process fetches it once more, and that is no news.
        let before = status.source.take().filter(|before| before.commit == commit.id.as_str());
        status.source = Some(SourceStatus {
            commit: commit.id.to_string(),
            message: commit.message.clone(),
            author: commit.author.clone(),
            fetched_at: before.and_then(|before| before.fetched_at).or_else(|| Some(fetched_at.clone())),
        });
    }
    status.webhook_path.clone_from(&findings.webhook_path);
    status.failures = findings.failures.iter().chain(&findings.contested).take(FAILURES).cloned().collect();
    status.waiting_for.clone_from(&findings.waiting_for);
    if let Some(applied) = &findings.applied {
        apply(status, applied, now);
    }
}

/// What ended the turn of `owner` stands before what else is wrong; what has no subject of its own is about the owner.
pub fn show(status: &mut EnvironmentStatus, owner: &Owner, trouble: Option<&Trouble>) {
    let Some(Trouble { reason, sentence, each, .. }) = trouble else { return };
    let own = ObjectFailure { object: owner.to_string(), reason: reason.clone(), message: sentence.clone() };
    let first = if each.is_empty() { std::slice::from_ref(&own) } else { each };
    status.failures.splice(0..0, first.iter().take(FAILURES).cloned());
    status.failures.truncate(FAILURES);
}

fn apply(status: &mut EnvironmentStatus, applied: &AppliedNow, now: &Time) {
    let commit = &applied.commit;
    let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    let same = status.applied.as_ref().filter(|a| a.commit == commit.id.as_str() && a.tree == applied.tree);
    let same = same.filter(|a| a.variables == applied.variables);
    match same {
        // Drift that was put back is no new release.
        Some(same) if same.objects == count(applied.objects) => {}
        _ => {
            status.applied = Some(AppliedStatus {
                commit: commit.id.to_string(),
                short: commit.id.short().to_owned(),
                tree: applied.tree.clone(),
                at: Some(now.clone()),
                objects: count(applied.objects),
                variables: applied.variables.clone(),
            });
        }
    }
    if status.history.first().is_none_or(|newest| newest.commit != commit.id.as_str()) {
        let entry = HistoryEntry {
            commit: commit.id.to_string(),
            message: commit.message.clone(),
            applied_at: Some(now.clone()),
            healthy_at: None,
        };
        status.history.insert(0, entry);
        status.history.truncate(HISTORY);
    }
    if let Some(newest) = status.history.first_mut()
        && applied.healthy
        && newest.healthy_at.is_none()
    {
        newest.healthy_at = Some(now.clone());
    }
}

#[cfg(test)]
mod tests {
    use crate::trouble::Mend;
    use drover_crds::OwnerKind;

    use super::*;

    fn at(seconds: i64) -> Time {
        Time(jiff::Timestamp::from_second(seconds).expect("a time"))
    }

    fn findings(id: char, healthy: bool) -> Findings {
        Findings {
            head: Some((CommitInfo::of_digit(id), at(1))),
            applied: Some(AppliedNow {
                commit: CommitInfo::of_digit(id),
                tree: format!("tree-{id}"),
                objects: 4,
                variables: None,
                changed: 2,
                healthy,
            }),
            ..Findings::default()
        }
    }

    fn noted(before: &EnvironmentStatus, findings: &Findings, seconds: i64) -> EnvironmentStatus {
        let mut status = before.clone();
        note(&mut status, findings, Some(1), &at(seconds));
        status
    }

    #[test]
    fn the_same_findings_give_the_same_status() {
        let first = noted(&EnvironmentStatus::default(), &findings('a', true), 10);
        let second = noted(&first, &findings('a', true), 99);
        assert_eq!(first, second, "nothing is written while nothing changes");
        let again = Findings { head: Some((CommitInfo::of_digit('a'), at(77))), ..findings('a', true) };
        assert_eq!(first, noted(&first, &again, 99), "a new process fetched it again");
    }

    #[test]
    fn history_notes_when_a_commit_was_applied_and_when_it_became_healthy() {
        let applied = noted(&EnvironmentStatus::default(), &findings('a', false), 10);
        let healthy = noted(&applied, &findings('a', true), 20);
        assert_eq!(healthy.history.len(), 1);
        assert_eq!(healthy.history[0].applied_at, Some(at(10)));
        assert_eq!(healthy.history[0].healthy_at, Some(at(20)));
        let newer = noted(&healthy, &findings('b', false), 30);
        assert_eq!(newer.history.iter().map(|h| &h.commit[..1]).collect::<Vec<_>>(), ["b", "a"]);
        assert_eq!(newer.applied.expect("applied").short.len(), 12);
    }

    #[test]
    fn what_failed_is_not_merely_on_its_way() {
        let reached = |health| Reached::Applied {
            unhealthy: Some(("Deployment shop/web".to_owned(), health)),
            drifted: Vec::new(),
            held: Vec::new(),
        };
        let coming = || Health::InProgress { message: "it comes".into() };
        let mut found = findings('a', false);
        assert!(reached(coming()).is_on_its_way(&found));
        let failed = Health::Failed { reason: "CrashLoopBackOff".into(), message: "it crashes".into() };
        assert!(!reached(failed.clone()).is_on_its_way(&found));
        found.note(&ObjectKey::namespaced("apps", "Deployment", "shop", "other"), &failed);
        assert!(!reached(coming()).is_on_its_way(&found), "another one failed");
        assert!(!Reached::Fetching.is_on_its_way(&Findings::default()));
    }

    #[test]
    fn failures_are_bounded_and_leave_when_mended() {
        let owner = Owner::new(OwnerKind::Environment, "shop", "prod");
        let one = Trouble::new("Refused", "no", Mend::Time);
        let mut status = EnvironmentStatus::default();
        show(&mut status, &owner, Some(&one));
        let shown: Vec<_> = status.failures.iter().map(|f| (f.object.as_str(), f.message.as_str())).collect();
        assert_eq!(shown, [("Environment shop/prod", "no")]);
        let failure = ObjectFailure { object: "a".into(), reason: "b".into(), message: "c".into() };
        show(&mut status, &owner, Some(&Trouble { each: vec![failure.clone(); 50], ..one }));
        assert_eq!((status.failures.len(), &status.failures[9]), (10, &failure));
        let mended = noted(&status, &findings('a', true), 2);
        assert!(mended.failures.is_empty());
    }

    #[test]
    fn what_ended_a_turn_stands_before_what_else_is_wrong() {
        let key = |name: &str| ObjectKey {
            group: String::new(),
            kind: "ConfigMap".into(),
            namespace: Some("a".into()),
            name: name.into(),
        };
        let failure = |object: &str, reason: &str, message: &str| ObjectFailure {
            object: object.into(),
            reason: reason.into(),
            message: message.into(),
        };
        let mut found = findings('a', false);
        found.note(&key("coming"), &Health::InProgress { message: "it comes".into() });
        found.note(&key("broken"), &Health::Failed { reason: "Broken".into(), message: "it broke".into() });
        found.contested.push(failure("ConfigMap a/fought", Contested::REASON, "it is fought over"));
        let mut status = noted(&EnvironmentStatus::default(), &found, 1);
        assert_eq!(status.waiting_for, ["ConfigMap a/coming"]);
        let owner = Owner::new(OwnerKind::Environment, "shop", "prod");
        show(&mut status, &owner, None);
        show(&mut status, &owner, Some(&Trouble::new("Unreachable", "no answer", Mend::Event)));
        let broken = failure("ConfigMap a/broken", "Broken", "it broke");
        let expected =
            [failure("Environment shop/prod", "Unreachable", "no answer"), broken, found.contested.remove(0)];
        assert_eq!(status.failures, expected);
    }

    #[test]
    fn what_may_not_be_watched_and_what_is_contested_is_looked_at_whichever_is_earlier() {
        let (soon, late) = (Duration::from_secs(7), Duration::from_secs(600));
        let look = |blind: &[&str], again| {
            let blind = blind.iter().map(ToString::to_string).collect();
            Findings { blind, again, ..Findings::default() }.look(BLIND_POLL)
        };
        assert_eq!(look(&[], None), None);
        assert_eq!(look(&["Pod"], None), Some(BLIND_POLL));
        assert_eq!(look(&[], Some(late)), Some(late));
        assert_eq!(look(&["Pod"], Some(late)), Some(BLIND_POLL));
        assert_eq!(look(&["Pod"], Some(soon)), Some(soon));
    }
}
