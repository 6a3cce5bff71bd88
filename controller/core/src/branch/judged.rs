//! What the status says already, so that a new process neither says it again nor takes it for news.

use drover_crds::{AppliedStatus, Environment, EnvironmentStatus, condition};

use super::depends::is_held_back;
use super::{AppliedNow, Brought, CommitInfo, Findings, TreeId};
use crate::plan::Occasion;

/// Whether the status says what became of the spec as it is now: a spec that an older version could not read was seen, and never acted upon.
pub fn speaks_of(status: &EnvironmentStatus, environment: &Environment) -> bool {
    let ready = condition::get(&status.conditions, condition::READY);
    status.observed_generation == environment.metadata.generation
        && ready.is_none_or(|ready| ready.reason != condition::UNREADABLE)
}

/// Whether the status says already what became of the commit at the head.
pub fn judged_before(environment: &Environment, status: &EnvironmentStatus, findings: &Findings) -> bool {
    let Some((head, _)) = &findings.head else { return false };
    status.observed_generation == environment.metadata.generation
        && status.source.as_ref().is_some_and(|source| source.commit == head.id.as_str())
}

/// Whether the commit was applied in full before, with these variables: then whatever differs now was changed by others, and the drift
/// policy decides.
pub fn occasion(
    environment: &Environment,
    status: &EnvironmentStatus,
    commit: &CommitInfo,
    brought: &Brought,
) -> Occasion {
    let same_variables = |applied: &&AppliedStatus| applied.variables == brought.hash;
    let applied = status.applied.as_ref().filter(same_variables).map(|applied| applied.commit.as_str());
    if applied == Some(commit.id.as_str()) && was_acted_upon(status, environment) {
        Occasion::Watch
    } else {
        Occasion::Commit
    }
}

/// Whether what is to be applied was applied in full before, at whatever commit: the same files, variables and spec. Where many follow one
/// repository most commits are such, and wait for nothing.
pub fn in_force(environment: &Environment, status: &EnvironmentStatus, tree: &TreeId, brought: &Brought) -> bool {
    standing(environment, status, tree.as_str(), brought.hash.as_ref()).is_some()
}

/// Whether the status says already that this is applied, healthy or not.
pub fn is_told(environment: &Environment, status: &EnvironmentStatus, now: &AppliedNow) -> bool {
    let told = standing(environment, status, &now.tree, now.variables.as_ref());
    told.is_some_and(|told| told.commit == now.commit.id.as_str())
}

/// What is applied, where that is of these files and variables, and of the spec as it is now.
fn standing<'a>(
    environment: &Environment,
    status: &'a EnvironmentStatus,
    tree: &str,
    variables: Option<&String>,
) -> Option<&'a AppliedStatus> {
    let applied = status.applied.as_ref()?;
    let is_same = applied.tree == tree && applied.variables.as_ref() == variables;
    (is_same && was_acted_upon(status, environment)).then_some(applied)
}

/// Whether what the spec is now was acted upon: one that waits for others was seen, and was not.
fn was_acted_upon(status: &EnvironmentStatus, environment: &Environment) -> bool {
    let ready = condition::get(&status.conditions, condition::READY);
    speaks_of(status, environment) && ready.is_none_or(|ready| !is_held_back(&ready.reason))
}

#[cfg(test)]
mod tests {
    use drover_crds::condition::{HasHead as _, Outcome};
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn environment(generation: i64) -> Environment {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "drover.dev/v1alpha1", "kind": "Environment",
            "metadata": {"namespace": "shop", "name": "prod", "generation": generation},
            "spec": {"source": {"url": "https://h/a.git", "ref": {"branch": "prod"}}},
        }))
        .expect("an Environment")
    }

    /// What was said of generation 1, where commit `a` is applied.
    fn said(reason: &str) -> EnvironmentStatus {
        let applied = AppliedStatus { commit: "a".repeat(40), ..AppliedStatus::default() };
        let mut status = EnvironmentStatus { applied: Some(applied), ..EnvironmentStatus::default() };
        let outcome = Outcome::Failed { reason: reason.into(), message: String::new() };
        status.conclude(&outcome, Some(1), &Time(jiff::Timestamp::UNIX_EPOCH));
        status
    }

    #[test]
    fn a_status_speaks_of_the_spec_that_was_read() {
        assert!(speaks_of(&said("Conflict"), &environment(1)));
        assert!(!speaks_of(&said("Conflict"), &environment(2)), "the spec is another");
        assert!(!speaks_of(&said(condition::UNREADABLE), &environment(1)), "nobody acted upon it");
        assert!(!speaks_of(&EnvironmentStatus::default(), &environment(1)), "nobody looked at it");
    }

    #[test]
    fn only_a_commit_that_was_applied_with_these_variables_and_this_spec_is_merely_watched() {
        let (status, brought) = (said("Applied"), Brought::new(Some(1)));
        let of = |generation, id, brought: &Brought| {
            occasion(&environment(generation), &status, &CommitInfo::of_digit(id), brought)
        };
        assert_eq!(of(1, 'a', &brought), Occasion::Watch);
        let mut other = Brought::new(Some(1));
        other.hash = Some("h".into());
        assert_eq!([of(1, 'b', &brought), of(2, 'a', &brought), of(1, 'a', &other)], [Occasion::Commit; 3]);
        let held = said("AwaitingDependency");
        assert_eq!(
            occasion(&environment(1), &held, &CommitInfo::of_digit('a'), &brought),
            Occasion::Commit,
            "the spec was not acted upon"
        );
    }

    #[test]
    fn what_is_applied_is_told_once_for_each_commit_and_spec() {
        let mut status = said("Progressing");
        let commit = CommitInfo::of_digit('a');
        status.applied.as_mut().expect("it is applied").tree = commit.tree.to_string();
        let now = AppliedNow {
            tree: commit.tree.to_string(),
            commit,
            objects: 1,
            variables: None,
            changed: 1,
            healthy: false,
        };
        assert!(is_told(&environment(1), &status, &now));
        assert!(!is_told(&environment(2), &status, &now), "of a spec that nobody acted upon");
        assert!(!is_told(&environment(1), &status, &AppliedNow { commit: CommitInfo::of_digit('b'), ..now.clone() }));
        assert!(!is_told(&environment(1), &status, &AppliedNow { variables: Some("h".into()), ..now }));
    }

    #[test]
    fn files_that_are_applied_wait_for_nothing_at_whatever_commit_they_are() {
        let tree = |digit| CommitInfo::of_digit(digit).tree;
        let mut status = said("Applied");
        status.applied.as_mut().expect("it is applied").tree = tree('a').to_string();
        let (brought, mut other) = (Brought::new(Some(1)), Brought::new(Some(1)));
        other.hash = Some("h".into());
        assert!(in_force(&environment(1), &status, &tree('a'), &brought));
        assert!(!in_force(&environment(1), &status, &tree('b'), &brought), "other files");
        assert!(!in_force(&environment(2), &status, &tree('a'), &brought), "another spec");
        assert!(!in_force(&environment(1), &status, &tree('a'), &other), "other variables");
        let applied = status.applied.take();
        let held = EnvironmentStatus { applied, ..said("AwaitingDependency") };
        assert!(!in_force(&environment(1), &held, &tree('a'), &brought), "a spec that was not acted upon");
    }
}
