//! Jobs that run once for the app's data.

use super::*;

fn with_superuser(change: &Value) -> WebAppSpec {
    let mut all = json!({"jobs": [{"name": "superuser", "at": "AfterDeploy", "run": "Once", "command": ["create"]}]});
    for (name, value) in change.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    spec(&all)
}

fn outcome(story: &Story) -> Option<JobOutcome> {
    let release = story.newest();
    release.ends.get(&release.data.jobs[0].job).map(|end| end.outcome)
}

#[test]
fn what_succeeded_is_not_run_again_whatever_changes() {
    let mut story = Story::default();
    assert_eq!(story.release_of(&with_superuser(&json!({})), 'a', "+", true).len(), 1);
    let other = json!({"name": "superuser", "at": "AfterDeploy", "run": "Once", "command": ["create", "--other"]});
    for (letter, change) in
        [('b', json!({})), ('b', json!({"env": [{"name": "A", "value": "c"}]})), ('c', json!({"jobs": [other]}))]
    {
        let begun = story.release_of(&with_superuser(&change), letter, "", true);
        assert_eq!((begun.len(), outcome(&story)), (0, Some(JobOutcome::Succeeded)), "{letter}");
        assert!(!story.newest().goes_back() && !story.newest().lacks(JobMoment::AfterDeploy));
    }
}

#[test]
fn what_failed_is_tried_again_with_the_next_release_by_a_job_of_its_own() {
    let mut story = Story::default();
    let first = story.release_of(&with_superuser(&json!({})), 'a', "-", false);
    let second = story.release_of(&with_superuser(&json!({})), 'b', "+", true);
    assert!(first.len() == 1 && second.len() == 1 && first != second, "{first:?} {second:?}");
    assert_eq!(story.release_of(&with_superuser(&json!({})), 'c', "", true).len(), 0);
}

#[test]
fn one_that_runs_for_an_earlier_release_is_waited_for_and_not_run_beside() {
    let mut story = Story::default();
    story.release_of(&with_superuser(&json!({})), 'a', "", false);
    let running = story.newest().data.jobs[0].job.clone();
    assert_eq!(story.release_of(&with_superuser(&json!({})), 'b', "+", true), [running]);
}

#[test]
fn it_is_forgotten_with_the_claims_and_remembered_where_they_outlive_the_app() {
    let mut story = Story::default();
    let first = story.release_of(&with_superuser(&json!({})), 'a', "+", true);
    let remembered = std::mem::take(&mut story.ran_once);
    let again = story.release_of(&with_superuser(&json!({})), 'b', "+", true);
    assert!(again.len() == 1 && again != first, "the data are new, and the first one's Job is over: {again:?}");

    let mut another = Story { ran_once: remembered, ..Story::default() };
    assert_eq!(another.release_of(&with_superuser(&json!({})), 'a', "", true).len(), 0);
    assert_eq!(outcome(&another), Some(JobOutcome::Succeeded));
}

#[test]
fn it_is_no_schema_that_an_old_image_would_meet() {
    let first = json!({"name": "load", "at": "BeforeDeploy", "run": "Once", "command": ["load"]});
    let spec = with_superuser(&json!({"jobs": [first]}));
    let mut story = Story::default();
    story.release_of(&spec, 'a', "+", true);
    story.release_of(&spec, 'b', "", true);
    story.release_of(&spec, 'a', "", true);
    assert_eq!((story.newest().goes_back(), story.newest().data.last_run.clone()), (false, None));
}
