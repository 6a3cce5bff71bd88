//! Sets of files of an image.

use super::*;
use crate::release::asset_sets;

fn with_assets(change: &Value) -> WebAppSpec {
    let mut all = json!({"jobs": [{"name": "migrate", "at": "BeforeDeploy", "command": ["migrate"]}],
        "assets": [{"name": "static", "path": "/static", "command": ["collect"]}]});
    for (name, value) in change.as_object().into_iter().flatten() {
        all[name] = value.clone();
    }
    spec(&all)
}

impl Story {
    /// A release of that image, whose assets and whose job end so; the sets that the front looks at then, as the numbers of the releases
    /// that first made them.
    fn serve(&mut self, letter: char, ends: &str, is_live: bool) -> Vec<i64> {
        self.release_of(&with_assets(&json!({})), letter, ends, is_live);
        self.sets()
    }

    fn sets(&self) -> Vec<i64> {
        let all = asset_sets(&self.releases, self.live.last().copied());
        let first = |set: &String| {
            let of = |release: &&Release<WebAppSpec>| release.data.jobs[0].content == *set;
            self.releases.iter().filter(of).map(|release| release.number).min().expect("a release made it")
        };
        all.get("static").into_iter().flatten().map(first).collect()
    }

    fn made(&self) -> &PlannedJob {
        &self.newest().data.jobs[0]
    }
}

#[test]
fn a_name_comes_from_the_live_release_then_from_newer_and_older_ones_and_four_are_kept() {
    let mut story = Story::default();
    assert_eq!(story.serve('a', "", false), [1], "the front knows of it before it is there");
    story.releases.clear();
    assert_eq!(story.serve('a', "++", true), [1]);
    assert_eq!(story.serve('b', "++", true), [2, 1]);
    assert_eq!(story.serve('c', "++", false), [2, 3, 1], "the third failed with its pods");
    assert_eq!(story.serve('d', "-", false), [2, 3, 1], "the fourth's files could not be made");
    assert_eq!(story.serve('e', "++", true), [5, 3, 2, 1]);
    assert_eq!(story.serve('f', "++", true), [6, 5, 3, 2]);
    assert_eq!(story.made().assets.as_ref().map(|assets| assets.keep.len()), Some(3));
}

#[test]
fn what_makes_them_comes_before_the_jobs_and_once_for_what_it_does() {
    let mut story = Story::default();
    let begun = story.release_of(&with_assets(&json!({})), 'a', "++", true);
    assert!(begun[0].starts_with("web-assets-static-") && begun[1].starts_with("web-migrate-"), "{begun:?}");
    // How the app itself is run makes no other files.
    let same = with_assets(&json!({"command": ["serve"], "resources": {"limits": {"cpu": "1"}}}));
    assert_eq!(story.release_of(&same, 'a', "", true), Vec::<String>::new());
    assert_eq!(story.sets(), [1]);
    let again = story.release_of(&with_assets(&json!({"env": [{"name": "A", "value": "c"}]})), 'a', "++", true);
    assert_eq!(again.len(), 2, "another environment may make others");
    assert_eq!(story.sets(), [3, 1]);
}

#[test]
fn a_set_whose_making_failed_is_made_by_another_job() {
    let mut story = Story::default();
    let first = story.release_of(&with_assets(&json!({})), 'a', "-", false);
    assert_eq!(story.sets(), Vec::<i64>::new());
    let second = story.release_of(&with_assets(&json!({})), 'a', "++", true);
    assert_ne!(first[0], second[0]);
    assert_eq!(story.sets(), [1], "of the same name");
}

#[test]
fn a_release_that_goes_back_runs_no_job_and_makes_only_files_that_are_gone() {
    let mut story = Story::default();
    for letter in ['a', 'b', 'c', 'd', 'e'] {
        story.serve(letter, "++", true);
    }
    assert_eq!(story.sets(), [5, 4, 3, 2]);
    let back = story.release_of(&with_assets(&json!({})), 'b', "", true);
    assert_eq!((back.len(), story.newest().goes_back()), (0, true), "they are there");
    assert_eq!(story.sets(), [2, 5, 4, 3], "and come first again");
    let job = story.releases.last().expect("the first").data.jobs[0].job.clone();
    let back = story.release_of(&with_assets(&json!({})), 'a', "+", true);
    assert!(back.len() == 1 && back[0] != job, "its Job ended long ago, and its files are gone: {back:?}");
    assert!(story.newest().goes_back());
    assert_eq!(story.newest().data.last_run.as_ref().map(|last| last.release), Some(5), "whose schema it is");
    assert_eq!(story.sets(), [1, 2, 5, 4]);
}

#[test]
fn what_a_record_calls_a_set_is_the_name_of_no_other_folder() {
    let mut story = Story::default();
    story.serve('a', "++", true);
    let made = &mut story.releases[0].data.jobs[0];
    made.assets.as_mut().expect("assets").keep =
        vec!["../x".into(), "a;b".into(), "ABCDEF0123".into(), "00000000aa".into()];
    let sets = asset_sets(&story.releases, Some(1));
    assert_eq!(sets["static"], [story.made().content.as_str(), "00000000aa"]);
}
