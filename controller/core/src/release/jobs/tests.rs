use drover_crds::{OwnerKind, WebAppSpec};
use rstest::rstest;
use serde_json::json;

use super::*;
use crate::release::{JobEnd, ReleaseData};
use crate::workload::pods::{ImageUser, PodRelease};

mod assets;
mod once;

fn app() -> App {
    App { kind: OwnerKind::WebApp, namespace: "shop".into(), name: "web".into(), uid: Some("u".into()) }
}

fn settings(secret: &str) -> Settings {
    serde_json::from_value(json!({"secrets": {"login": secret}})).expect("settings")
}

/// An app with a job at each moment, one by a schedule and one by hand.
fn spec(change: &Value) -> WebAppSpec {
    let mut whole = json!({
        "image": "web:1", "ports": [{"name": "http", "port": 8080}],
        "env": [{"name": "A", "value": "b"}],
        "volumes": [{"name": "data", "mounts": [{"mountPath": "/data"}], "claim": {"resources": {"requests": {"storage": "1Gi"}}}}],
        "jobs": [
            {"name": "migrate", "at": "BeforeDeploy", "command": ["migrate"]},
            {"name": "tick", "schedule": "* * * * *", "command": ["tick"]},
            {"name": "warm", "at": "AfterDeploy", "command": ["warm"]},
            {"name": "console", "command": ["sh"]},
        ],
    });
    for (name, value) in change.as_object().into_iter().flatten() {
        whole[name] = value.clone();
    }
    serde_json::from_value(whole).expect("a spec")
}

fn image(letter: char) -> String {
    format!("web:1@sha256:{}", letter.to_string().repeat(64))
}

/// Releases in the making: each is planned after those before it.
#[derive(Default)]
struct Story {
    /// The newest first.
    releases: Vec<Release<WebAppSpec>>,
    live: Vec<i64>,
    /// What the claims remember.
    ran_once: RanOnce,
}

impl Story {
    fn plan(&self, spec: &WebAppSpec, letter: char, secret: &str, is_held: bool) -> JobPlan {
        let (number, image) = (i64::try_from(self.releases.len()).expect("few") + 1, image(letter));
        let (app, settings) = (app(), settings(secret));
        let live = self.live.last().copied();
        let (pods, assets) = (&spec.pod, &spec.assets[..]);
        let (image, settings, ran_once) = (&image[..], &settings, &self.ran_once);
        let beginning = Beginning { app: &app, number, pods, assets, live, image, settings, ran_once, is_held };
        beginning.plan(&self.releases, |number| self.live.contains(&number))
    }

    /// A release of that image; `ends` says how its jobs end that it runs itself: `+` and `-` in their order, and no more of them begins.
    fn release(&mut self, letter: char, ends: &str, is_live: bool) -> Vec<String> {
        self.release_of(&spec(&json!({})), letter, ends, is_live)
    }

    fn release_of(&mut self, spec: &WebAppSpec, letter: char, ends: &str, is_live: bool) -> Vec<String> {
        let plan = self.plan(spec, letter, "a", false);
        let number = i64::try_from(self.releases.len()).expect("few") + 1;
        let mut all = plan.ends;
        let mut ends = ends.chars();
        let mut begun = Vec::new();
        for job in &plan.jobs {
            if all.get(&job.job).is_some() {
                continue;
            }
            let Some(end) = ends.next() else { break };
            let outcome = if end == '+' { JobOutcome::Succeeded } else { JobOutcome::Failed };
            let end = JobEnd { outcome, release: number, started_at: None, finished_at: None, problem: None };
            if job.once && outcome == JobOutcome::Succeeded {
                self.ran_once = std::mem::take(&mut self.ran_once).with(&job.name, None);
            }
            all.note(&job.job, end);
            begun.push(job.job.clone());
        }
        let data = ReleaseData {
            spec: spec.clone(),
            image: image(letter),
            user: ImageUser::Unknown,
            origin: None,
            settings: Some(settings("a")),
            commit: None,
            pods: PodRelease::default(),
            asked: None,
            jobs: plan.jobs,
            last_run: plan.last_run,
        };
        self.releases.insert(0, Release { number, data, ends: all });
        if is_live {
            self.live.push(number);
        }
        begun
    }

    fn newest(&self) -> &Release<WebAppSpec> {
        &self.releases[0]
    }
}

#[test]
fn those_with_a_moment_run_in_the_order_of_the_spec_under_names_of_what_they_are() {
    let mut story = Story::default();
    let begun = story.release('a', "++", true);
    assert_eq!(begun.len(), 2);
    assert!(begun[0].starts_with("web-migrate-") && begun[1].starts_with("web-warm-"), "{begun:?}");
    assert_eq!(story.newest().jobs_at(JobMoment::AfterDeploy).map(|job| &*job.name).collect::<Vec<_>>(), ["warm"]);
    assert!(!story.newest().lacks(JobMoment::BeforeDeploy));
}

#[test]
fn the_same_image_that_reads_the_same_runs_nothing_again() {
    let mut story = Story::default();
    story.release('a', "++", true);
    // Another route, another number of pods, more memory.
    assert!(story.release('a', "", true).is_empty());
    let other = json!({"resources": {"limits": {"memory": "1Gi"}}, "singleton": true, "health": {"path": "/"}, "imagePullSecrets": [{"name": "pull"}]});
    assert!(story.release_of(&spec(&other), 'a', "", true).is_empty());
    let larger = json!({"volumes": [{"name": "data", "mounts": [{"mountPath": "/data"}], "claim": {"resources": {"requests": {"storage": "2Gi"}}}}]});
    assert!(story.release_of(&spec(&larger), 'a', "", true).is_empty());
    // It counts as done by the release that ran it.
    let end = story.newest().ends.get(&story.newest().data.jobs[0].job).expect("taken over");
    assert_eq!((end.release, end.outcome), (1, JobOutcome::Succeeded));
    assert_eq!(story.release('b', "++", true).len(), 2, "another image");
}

#[rstest]
#[case::env(json!({"env": [{"name": "A", "value": "c"}]}), 2)]
#[case::mounts(json!({"volumes": []}), 2)]
#[case::user(json!({"runAs": {"user": 5}}), 2)]
#[case::its_command(json!({"jobs": [{"name": "migrate", "at": "BeforeDeploy", "command": ["migrate", "-v"]}]}), 1)]
#[case::its_deadline(json!({"jobs": [{"name": "migrate", "at": "BeforeDeploy", "command": ["migrate"], "deadline": "2h"}]}), 0)]
#[case::its_moment(json!({"jobs": [{"name": "migrate", "at": "AfterDeploy", "command": ["migrate"]}]}), 0)]
#[case::a_new_one(json!({"jobs": [{"name": "new", "at": "BeforeDeploy", "command": ["migrate"]}]}), 1)]
fn another_reading_is_another_run(#[case] change: Value, #[case] begun: usize) {
    let mut story = Story::default();
    story.release('a', "++", true);
    assert_eq!(story.release_of(&spec(&change), 'a', "++", true).len(), begun, "{change}");
}

#[test]
fn changed_settings_are_another_run() {
    let mut story = Story::default();
    story.release('a', "++", true);
    let [same, other] = ["a", "b"].map(|secret| story.plan(&spec(&json!({})), 'a', secret, false));
    assert_eq!(same.jobs, story.newest().data.jobs);
    assert!(other.jobs.iter().zip(&same.jobs).all(|(one, other)| one.job != other.job));
    assert_eq!(other.ends, JobEnds::default());
}

#[test]
fn what_failed_is_tried_again_by_another_job_and_what_succeeded_is_not() {
    let jobs = json!({"jobs": [
        {"name": "first", "at": "BeforeDeploy", "command": ["first"]},
        {"name": "migrate", "at": "BeforeDeploy", "command": ["migrate"]},
    ]});
    let (spec, mut story) = (spec(&jobs), Story::default());
    let first = story.release_of(&spec, 'a', "+-", false);
    assert!(story.newest().failed_at(JobMoment::BeforeDeploy));
    let again = story.release_of(&spec, 'a', "-", false);
    assert_eq!(again.len(), 1);
    let once_more = story.release_of(&spec, 'a', "+", true);
    assert_eq!(once_more.len(), 1);
    assert!(first[1] != again[0] && again[0] != once_more[0] && first[1] != once_more[0]);
    assert!(story.release_of(&spec, 'a', "", true).is_empty());
}

/// The first migrates, the second does and fails, and the image of the first comes back in git.
#[test]
fn a_release_that_goes_back_runs_none_and_says_whose_ran_last() {
    for second_is_live in [false, true] {
        let mut story = Story::default();
        story.release('a', "++", true);
        assert_eq!(story.release('b', "++", second_is_live).len(), 2);
        assert!(story.release('a', "", true).is_empty());
        assert!(story.newest().goes_back());
        assert_eq!(story.newest().data.last_run.as_ref().map(|last| last.release), Some(2));
        // Also with other settings, and once more.
        assert!(story.plan(&spec(&json!({})), 'a', "b", false).jobs.is_empty());
        story.release('a', "", true);
        assert_eq!(story.newest().data.last_run.as_ref().map(|last| last.release), Some(2));
        // Forward again: that image's own are done; those of a new one run.
        assert!(story.release('b', "", true).is_empty());
        assert!(!story.newest().goes_back());
        assert_eq!(story.release('c', "++", true).len(), 2);
    }
}

#[test]
fn a_failed_migration_counts_as_the_last_that_ran() {
    let mut story = Story::default();
    story.release('a', "++", true);
    assert_eq!(story.release('b', "-", false).len(), 1);
    assert!(story.release('a', "", true).is_empty());
    assert_eq!(story.newest().data.last_run.as_ref().map(|last| last.release), Some(2));
}

#[test]
fn an_image_whose_jobs_never_began_was_no_step_forward() {
    let mut story = Story::default();
    story.release('a', "++", true);
    // Overtaken before its first job began.
    assert!(story.release('b', "", false).is_empty());
    let plan = story.plan(&spec(&json!({})), 'a', "b", false);
    assert_eq!((plan.jobs.len(), plan.last_run.map(|last| last.release)), (2, Some(1)));
}

#[test]
fn what_was_never_live_is_nothing_to_go_back_to() {
    let mut story = Story::default();
    story.release('a', "-", false);
    story.release('b', "++", true);
    assert_eq!(story.release('a', "+", false).len(), 1);
}

#[test]
fn jobs_that_come_to_an_app_which_serves_already_run() {
    let mut story = Story::default();
    let without = json!({"jobs": []});
    story.release_of(&spec(&without), 'a', "", true);
    story.release_of(&spec(&without), 'b', "", true);
    assert_eq!(story.release('b', "++", true).len(), 2);
}

#[test]
fn an_image_that_a_person_holds_runs_none() {
    let mut story = Story::default();
    story.release('a', "++", true);
    story.release('b', "", false);
    let plan = story.plan(&spec(&json!({})), 'a', "b", true);
    assert_eq!((plan.jobs.len(), plan.last_run.map(|last| last.release)), (0, Some(1)));
}

#[test]
fn ends_are_read_as_they_were_written_and_nothing_else_is_one() {
    let mut story = Story::default();
    story.release('a', "+-", false);
    let record = story.newest().to_record(&app());
    assert_eq!(Release::from_record(&app(), &record).as_ref(), Some(story.newest()));
    for other in ["", "[]", "{\"web-migrate-1\": 5}", "yes"] {
        assert_eq!(JobEnds::parse(other), JobEnds::default());
    }
    assert_eq!(JobEnds::default().annotation(), None);
}
