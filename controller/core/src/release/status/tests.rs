use std::collections::BTreeMap;

use drover_crds::condition::HasHead as _;
use drover_crds::{JobOutcome, WebAppStatus};

use super::*;
use crate::news::News;
use crate::release::{JobEnd, JobEnds, PlannedJob, ReleaseData, news};
use crate::workload::Invalid;
use crate::workload::pods::{ImageUser, PodRelease};

fn at(seconds: i64) -> Time {
    Time(jiff::Timestamp::from_second(seconds).expect("a time"))
}

fn crash() -> Problem {
    Problem {
        reason: "CrashLoopBackOff".into(),
        message: "the container app exits with 1".into(),
        pod: Some("web-1".into()),
        container: Some("app".into()),
        log: vec!["no such module".into()],
    }
}

fn seen(ready: i32) -> Observation {
    Observation { desired: 1, ready, available: ready, updated: 1, down_since: None, up_since: None }
}

/// A WebApp whose release 1 is live.
fn one_live() -> RolloutStatus {
    let mut status = RolloutStatus::default();
    begin(&mut status, 1, Some("aaaaaaaaaaaaaaaa"), "web:1", &at(100));
    advance(&mut status, ReleaseStep::Rollout);
    count(&mut status, &seen(0), &at(101));
    count(&mut status, &seen(1), &at(110));
    live(&mut status, &at(110));
    status
}

/// The status of a WebApp with these releases.
fn app(rollout: RolloutStatus) -> WebAppStatus {
    WebAppStatus { rollout, ..Default::default() }
}

fn said(status: &RolloutStatus, failed: bool, rollout: &Rollout) -> Outcome {
    outcome(
        status,
        Reached { failed, rollout, assumed_user: false, changed_secrets: &BTreeSet::new(), asleep: None, scaled: None },
    )
}

#[test]
fn asleep_a_release_that_served_is_as_asked_and_of_another_nothing_is_known() {
    let told = |status: &RolloutStatus, failed: bool| {
        let (rollout, changed_secrets) = (&Rollout::Off, &BTreeSet::new());
        let asleep = Some("asleep until 08:00");
        match outcome(status, Reached { failed, rollout, assumed_user: false, changed_secrets, asleep, scaled: None }) {
            Outcome::Ready { reason, message } => ("ready", reason, message),
            Outcome::InProgress { reason, message } => ("in progress", reason, message),
            Outcome::Failed { reason, message } => ("failed", reason, message),
            Outcome::Stalled { reason, message } => ("stalled", reason, message),
        }
    };
    let mut status = one_live();
    count(&mut status, &Observation::default(), &at(150));
    assert_eq!(
        told(&status, false),
        ("ready", "ScheduledDown".into(), "Release 1 (aaaaaaaaaaaa) is asleep until 08:00".into())
    );
    assert_eq!(status.release.as_ref().and_then(|release| release.unavailable_since.clone()), None);
    begin(&mut status, 2, None, "web:2", &at(200));
    advance(&mut status, ReleaseStep::Rollout);
    let (state, reason, message) = told(&status, false);
    assert_eq!((state, reason.as_str()), ("in progress", "WaitsForWindow"));
    assert!(message.starts_with("Release 2 waits for its window: the app is asleep until 08:00"), "{message}");
    fail(&mut status, ReleaseStep::Rollout, crash(), Some(1), &at(215));
    let (state, _, message) = told(&status, true);
    assert!(
        state == "stalled" && message.contains("; it is asleep until 08:00; push a correction"),
        "{state}: {message}"
    );
}

/// In the morning nothing is wrong, as long as nothing is found to be.
#[test]
fn an_app_that_wakes_is_on_its_way_unless_something_hinders_it() {
    let mut status = one_live();
    let waking = drover_crds::UptimeStatus { state: drover_crds::UptimeState::Waking, ..Default::default() };
    status.uptime = Some(waking);
    count(&mut status, &Observation { desired: 3, ..seen(0) }, &at(300));
    match said(&status, false, &Rollout::Progressing(None)) {
        Outcome::InProgress { reason, message } => {
            assert_eq!((&*reason, &*message), ("Waking", "Release 1 (aaaaaaaaaaaa) wakes: 0 of 3 pods ready"));
        }
        other => panic!("{other:?}"),
    }
    let hindered = said(&status, false, &Rollout::Progressing(Some(crash())));
    assert!(matches!(hindered, Outcome::Failed { reason, .. } if reason == "Unavailable"));
}

#[test]
fn falling_asleep_and_waking_are_told_once() {
    use drover_crds::UptimeState::{Asleep, Awake, Waking};
    let status = |state| {
        let uptime = Some(drover_crds::UptimeStatus { state, message: format!("{state:?}"), ..Default::default() });
        app(RolloutStatus { uptime, ..one_live() })
    };
    let told = |before, after| news(&status(before), &status(after));
    assert_eq!(told(Awake, Asleep), [News::normal("Asleep", "Asleep")]);
    assert_eq!(told(Asleep, Waking), [News::normal("Awake", "Waking")]);
    for (before, after) in [(Waking, Awake), (Asleep, Asleep), (Awake, Awake)] {
        assert!(told(before, after).is_empty(), "{before:?} {after:?}");
    }
}

#[test]
fn a_first_release_has_no_downtime_because_nothing_served_before() {
    let status = one_live();
    let release = status.release.as_ref().expect("a release");
    assert_eq!((release.step, release.unavailable_seconds), (ReleaseStep::Live, None));
    assert_eq!(status.history[0].outcome, ReleaseOutcome::Live);
    match said(&status, false, &Rollout::Complete) {
        Outcome::Ready { reason, message } => {
            assert_eq!(
                (reason.as_str(), message.as_str()),
                ("Live", "Release 1 (aaaaaaaaaaaa) is live: 1 of 1 pods ready")
            );
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_release_that_was_taken_back_says_why_and_for_how_long_nothing_served() {
    let mut status = one_live();
    begin(&mut status, 2, None, "web:2", &at(200));
    assert_eq!(status.serving, Some(1));
    advance(&mut status, ReleaseStep::Rollout);
    let down = Observation { down_since: Some(205), ..seen(0) };
    count(&mut status, &down, &at(207));
    fail(&mut status, ReleaseStep::Rollout, crash(), Some(1), &at(215));
    match said(&status, true, &Rollout::Progressing(None)) {
        Outcome::Failed { message, .. } => assert!(message.contains("release 1 is being put back"), "{message}"),
        other => panic!("{other:?}"),
    }
    let up = Observation { up_since: Some(225), ..seen(1) };
    count(&mut status, &up, &at(227));
    restored(&mut status, 1);
    let release = status.release.clone().expect("a release");
    assert_eq!(
        (release.step, release.unavailable_seconds, release.unavailable_since),
        (ReleaseStep::Rollout, Some(20), None)
    );
    let Outcome::Stalled { reason, message } = said(&status, true, &Rollout::Complete) else { panic!("stalled") };
    assert_eq!(reason, "CrashLoopBackOff");
    assert_eq!(
        message,
        "Release 2 failed in step Rollout: pod web-1: the container app exits with 1; release 1 was put back and serves; nothing served for 20 s; push a correction"
    );
    assert_eq!(
        (outcome_of(&status, 2), outcome_of(&status, 1)),
        (Some(ReleaseOutcome::Failed), Some(ReleaseOutcome::Live))
    );
}

#[test]
fn a_failed_release_that_comes_up_after_all_is_live() {
    let mut status = one_live();
    begin(&mut status, 2, None, "web:2", &at(200));
    fail(&mut status, ReleaseStep::Rollout, crash(), None, &at(215));
    let Outcome::Stalled { message, .. } = said(&status, true, &Rollout::Failing(crash())) else { panic!("stalled") };
    assert!(message.contains("release 1 goes on serving"), "{message}");
    live(&mut status, &at(300));
    assert_eq!((outcome_of(&status, 2), status.serving), (Some(ReleaseOutcome::Live), None));
    assert_eq!(status.release.expect("a release").problem, None);
}

#[test]
fn the_history_is_short_and_never_forgets_what_can_be_put_back() {
    let mut status = one_live();
    for number in 2..=30 {
        begin(&mut status, number, None, "web:2", &at(number * 100));
        fail(&mut status, ReleaseStep::Rollout, crash(), Some(1), &at(number * 100 + 1));
    }
    assert_eq!(status.history.len(), HISTORY);
    assert_eq!(last_live(&status, 30).collect::<Vec<_>>(), [1]);
    assert_eq!(status.history[0].number, 30);
}

#[test]
fn what_changes_every_hour_does_not_push_out_the_images_to_go_back_to() {
    let mut status = one_live();
    for number in 2..40 {
        let image = if number == 2 { "web:2" } else { "web:3" };
        begin(&mut status, number, None, image, &at(200 + number));
        live(&mut status, &at(200 + number));
    }
    let images: Vec<_> = status.history.iter().map(|record| record.image.as_str()).collect();
    assert_eq!((images.len(), &images[7..]), (HISTORY, &["web:3", "web:2", "web:1"][..]));
    assert_eq!(status.history[0].number, 39);
}

#[test]
fn an_old_pod_that_would_read_a_changed_secret_is_told() {
    let mut status = one_live();
    begin(&mut status, 2, None, "web:1", &at(200));
    advance(&mut status, ReleaseStep::Rollout);
    fail(&mut status, ReleaseStep::Rollout, crash(), None, &at(210));
    let rollout = &Rollout::Failing(crash());
    let told = |changed: &[&'static str]| {
        let changed_secrets = &changed.iter().copied().collect();
        match outcome(
            &status,
            Reached { failed: true, rollout, assumed_user: false, changed_secrets, asleep: None, scaled: None },
        ) {
            Outcome::Stalled { message, .. } => message,
            other => panic!("{other:?}"),
        }
    };
    let one = told(&["login"]);
    assert!(
        one.contains("goes on serving, and when its pods restart they read the Secret login as it is now"),
        "{one}"
    );
    assert!(told(&["a", "b"]).contains("they read the Secrets a, b as they are now"));
    assert!(!told(&[]).contains("Secret"));
}

#[test]
fn a_release_that_a_newer_one_overtook_is_superseded() {
    let mut status = one_live();
    begin(&mut status, 2, None, "web:2", &at(200));
    advance(&mut status, ReleaseStep::Rollout);
    begin(&mut status, 3, None, "web:3", &at(210));
    assert_eq!((outcome_of(&status, 2), status.serving), (Some(ReleaseOutcome::Superseded), Some(1)));
}

#[test]
fn an_image_that_cannot_be_resolved_is_a_problem_of_the_new_release_and_keeps_when_it_began() {
    let mut status = one_live();
    begin(&mut status, 2, None, "web:2", &at(200));
    let trouble = Trouble::from(Invalid::NoPort);
    stuck(&mut status, &trouble);
    begin(&mut status, 2, None, "web:2", &at(260));
    let release = status.release.clone().expect("a release");
    assert_eq!((release.started_at, release.step), (Some(at(200)), ReleaseStep::ResolveImage));
    assert_eq!(release.problem.map(|p| p.reason).as_deref(), Some("InvalidSpec"));
    // A release that ended is not blamed for what comes after it.
    let mut ended = one_live();
    stuck(&mut ended, &trouble);
    assert_eq!(ended.release.expect("a release").problem, None);
}

#[test]
fn a_crash_of_an_image_of_root_hints_at_the_user() {
    let told = |mut status: RolloutStatus| {
        begin(&mut status, 2, None, "web:2", &at(200));
        fail(&mut status, ReleaseStep::Rollout, crash(), None, &at(215));
        let changed_secrets = &BTreeSet::new();
        let reached = Reached {
            failed: true,
            rollout: &Rollout::Failing(crash()),
            assumed_user: true,
            changed_secrets,
            asleep: None,
            scaled: None,
        };
        let Outcome::Stalled { message, .. } = outcome(&status, reached) else { panic!("stalled") };
        message
    };
    assert!(told(RolloutStatus::default()).contains("runAs.user"));
    // The same user served before.
    assert!(!told(one_live()).contains("runAs.user"));
}

#[test]
fn pods_are_looked_at_often_at_first_and_seldom_later() {
    let status = one_live();
    let pause = |failed, seconds| pace(&status, failed, &at(seconds)).as_secs();
    assert_eq!((pause(false, 100), pause(false, 180), pause(false, 100_000)), (2, 10, 30));
    assert_eq!(pause(true, 100), 60);
    let mut status = status.clone();
    advance(&mut status, ReleaseStep::Probation);
    assert_eq!(pace(&status, false, &at(100_000)).as_secs(), 5);
}

#[test]
fn an_unchanged_conclusion_changes_nothing_and_news_are_told_once() {
    let before = app(one_live());
    let mut after = before.clone();
    let outcome = said(&after.rollout, false, &Rollout::Complete);
    after.conclude(&outcome, Some(1), &at(300));
    let mut again = after.clone();
    again.conclude(&outcome, Some(1), &at(400));
    assert_eq!(after, again);
    assert!(news(&after, &again).is_empty());
    let told: Vec<String> = news(&WebAppStatus::default(), &after).into_iter().map(|told| told.reason).collect();
    assert_eq!(told, ["ReleaseLive"]);
}

#[test]
fn a_live_release_whose_pods_are_replaced_or_gone_says_so() {
    let mut status = one_live();
    let on_its_way = Rollout::Progressing(Some(crash()));
    match said(&status, false, &on_its_way) {
        Outcome::InProgress { reason, .. } => assert_eq!(reason, "Replacing"),
        other => panic!("{other:?}"),
    }
    count(&mut status, &seen(0), &at(300));
    assert_eq!(status.release.as_ref().and_then(|r| r.unavailable_since.clone()), Some(at(300)));
    match said(&status, false, &on_its_way) {
        Outcome::Failed { reason, message } => {
            assert_eq!(reason, "Unavailable");
            assert!(message.contains("pod web-1"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    // That is no gap of the release: it was live.
    count(&mut status, &seen(1), &at(310));
    let release = status.release.expect("a release");
    assert_eq!((release.unavailable_since, release.unavailable_seconds), (None, None));
}

#[test]
fn a_war_is_told_once_while_the_app_is_live_and_never_instead_of_something_worse() {
    let mut before = app(one_live());
    let live = said(&before.rollout, false, &Rollout::Complete);
    before.conclude(&live, Some(1), &at(120));
    let war = "Service shop/web is changed again and again";
    let mut after = before.clone();
    after.conclude(&contested(live.clone(), Some(war)), Some(1), &at(130));
    let told: Vec<(String, String)> =
        news(&before, &after).into_iter().map(|News { reason, note, .. }| (reason, note)).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].0 == "Contested" && told[0].1.contains("is live") && told[0].1.contains(war), "{told:?}");
    assert!(news(&after, &after).is_empty(), "that was told");

    let failing = said(&after.rollout, false, &Rollout::Failing(crash()));
    assert_eq!(contested(failing.clone(), Some(war)), failing);
    assert_eq!(contested(live.clone(), None), live);
}

#[test]
fn an_app_that_is_switched_off_is_as_asked_and_neither_live_nor_failed_by_it() {
    let mut status = one_live();
    count(&mut status, &Observation { desired: 0, updated: 0, ..seen(0) }, &at(150));
    let Outcome::Ready { reason, message } = said(&status, false, &Rollout::Off) else { panic!("ready") };
    assert_eq!(
        (reason.as_str(), message.as_str()),
        ("SwitchedOff", "Release 1 (aaaaaaaaaaaa) is switched off: replicas is 0")
    );
    begin(&mut status, 2, None, "web:2", &at(200));
    advance(&mut status, ReleaseStep::Rollout);
    let Outcome::Ready { reason, message } = said(&status, false, &Rollout::Off) else { panic!("ready") };
    assert_eq!(reason, "SwitchedOff");
    assert!(message.starts_with("Release 2 is switched off: replicas is 0; it has not run"), "{message}");
    assert_eq!((outcome_of(&status, 2), last_live(&status, 2).next()), (None, Some(1)));
    // It fails once it is switched on; nothing is said to serve that is off again.
    fail(&mut status, ReleaseStep::Rollout, crash(), Some(1), &at(215));
    assert_eq!(put_back(&status, 2), Some(1));
    let Outcome::Stalled { message, .. } = said(&status, true, &Rollout::Off) else { panic!("stalled") };
    assert!(
        message.contains("in step Rollout: ") && message.contains("; it is switched off: replicas is 0;"),
        "{message}"
    );
}

#[test]
fn an_image_that_is_not_of_the_applied_commit_says_where_git_is() {
    let mut status = one_live();
    let origin = Origin { revision: "1a2b3c4".into(), repository: Some("https://git.test/shop".into()) };
    status.release.as_mut().expect("a release").built_from = Some(built_from(&origin));
    let mut compared = |commit: &str| {
        compare(&mut status, &Applied { repository: "git@git.test:shop.git".into(), commit: commit.into() });
        status.release.as_ref().and_then(|release| release.built_from.clone()?.git_is_at)
    };
    assert_eq!(compared("4d5e6f7890").as_deref(), Some("4d5e6f7890"));
    assert_eq!(compared("1a2b3c4d5e"), None, "its image has come");
}

#[test]
fn the_address_stays_while_a_new_one_is_not_known() {
    let (status, mut noted) = (one_live(), None);
    let live = said(&status, false, &Rollout::Complete);
    let failing = said(&status, false, &Rollout::Failing(crash()));
    address(&mut noted, Some("http://a/".into()), &failing);
    address(&mut noted, None, &failing);
    assert_eq!(noted.as_deref(), Some("http://a/"));
    address(&mut noted, None, &live);
    assert_eq!(noted, None, "it has no route");
}

/// A release of that number with a job at each moment, of which those have ended so.
fn with_jobs(number: i64, ends: &[(&str, JobOutcome)]) -> Release<drover_crds::WebAppSpec> {
    let planned = |name: &str, at| PlannedJob {
        name: name.into(),
        at,
        content: String::new(),
        job: format!("web-{name}-1"),
        once: false,
        assets: None,
    };
    let spec = serde_json::from_value(serde_json::json!({"image": "web:1", "ports": []})).expect("a spec");
    let mut release = Release {
        number,
        data: ReleaseData {
            spec,
            image: "web:1".into(),
            user: ImageUser::Unknown,
            origin: None,
            settings: None,
            commit: None,
            pods: PodRelease::default(),
            asked: None,
            jobs: vec![planned("migrate", JobMoment::BeforeDeploy), planned("warm", JobMoment::AfterDeploy)],
            last_run: None,
        },
        ends: JobEnds::default(),
    };
    for (name, outcome) in ends {
        let end = JobEnd {
            outcome: *outcome,
            release: number,
            started_at: Some(at(210)),
            finished_at: Some(at(220)),
            problem: None,
        };
        release.ends.note(&format!("web-{name}-1"), end);
    }
    release
}

#[test]
fn a_release_is_found_again_in_the_step_in_which_its_job_failed() {
    for (ends, step) in [
        (&[("migrate", JobOutcome::Failed)][..], ReleaseStep::BeforeDeploy),
        (&[("migrate", JobOutcome::Succeeded), ("warm", JobOutcome::Failed)][..], ReleaseStep::AfterDeploy),
        (&[("migrate", JobOutcome::Succeeded)][..], ReleaseStep::Rollout),
    ] {
        let mut status = one_live();
        begin(&mut status, 2, None, "web:2", &at(200));
        fail(&mut status, step, crash(), None, &at(230));
        status.release = None;
        resume(&mut status, &with_jobs(2, ends), &at(240));
        assert_eq!(status.release.as_ref().map(|release| release.step), Some(step));
        assert_eq!(was_applied(&status, 2), step != ReleaseStep::BeforeDeploy);
    }
}

#[test]
fn the_status_tells_where_each_job_stands() {
    let mut status = one_live();
    begin(&mut status, 2, None, "web:2", &at(200));
    let told = |status: &RolloutStatus| -> Vec<_> {
        let jobs = &status.release.as_ref().expect("a release").jobs;
        jobs.iter().map(|job| (job.started_at.clone().map(|at| at.0.as_second()), job.outcome)).collect()
    };
    note_jobs(&mut status, &with_jobs(1, &[]), &BTreeMap::new());
    assert!(told(&status).is_empty(), "those of another release");
    note_jobs(&mut status, &with_jobs(2, &[]), &BTreeMap::new());
    assert_eq!(told(&status), [(None, None), (None, None)]);
    assert!(!has_begun(&status, "web-migrate-1"));
    note_jobs(&mut status, &with_jobs(2, &[]), &[("web-migrate-1".to_owned(), Some(at(210)))].into());
    note_jobs(&mut status, &with_jobs(2, &[]), &BTreeMap::new());
    assert_eq!(told(&status), [(Some(210), None), (None, None)], "what was seen once stays");
    assert!(has_begun(&status, "web-migrate-1"));
    advance(&mut status, ReleaseStep::BeforeDeploy);
    let Outcome::InProgress { reason, message } = said(&status, false, &Rollout::Progressing(None)) else {
        panic!("on its way")
    };
    assert_eq!(reason, "BeforeDeploy");
    assert_eq!(
        message,
        "Release 2: its job migrate (Job web-migrate-1) runs before its pods start; release 1 goes on serving"
    );
    assert!(matches!(
        newer_waits(Outcome::InProgress { reason, message }),
        Outcome::InProgress { message, .. } if message.ends_with("a newer release waits for its end")
    ));
    note_jobs(&mut status, &with_jobs(2, &[("migrate", JobOutcome::Succeeded)]), &BTreeMap::new());
    assert_eq!(told(&status), [(Some(210), Some(JobOutcome::Succeeded)), (None, None)]);
}

#[test]
fn a_release_whose_job_failed_after_its_pods_says_so_when_the_last_is_back() {
    let mut status = one_live();
    begin(&mut status, 2, None, "web:2", &at(200));
    advance(&mut status, ReleaseStep::AfterDeploy);
    let ends = [("migrate", JobOutcome::Succeeded), ("warm", JobOutcome::Failed)];
    note_jobs(&mut status, &with_jobs(2, &ends), &BTreeMap::new());
    fail(&mut status, ReleaseStep::AfterDeploy, crash(), Some(1), &at(230));
    let Outcome::Failed { message, .. } = said(&status, true, &Rollout::Progressing(None)) else { panic!("at work") };
    assert!(message.contains("failed in step AfterDeploy") && message.contains("release 1 is being put back"));
    restored(&mut status, 1);
    let Outcome::Stalled { message, .. } = said(&status, true, &Rollout::Complete) else { panic!("stalled") };
    assert_eq!(
        message,
        "Release 2 failed in step AfterDeploy: pod web-1: the container app exits with 1; release 1 was put back and serves; the last BeforeDeploy jobs were those of release 2; push a correction"
    );
}
