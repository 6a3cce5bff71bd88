use super::*;
use rstest::rstest;

fn problem() -> Problem {
    Problem { reason: "CrashLoopBackOff".into(), message: "it crashes".into(), ..Default::default() }
}

fn state() -> State {
    State { newest: Some(4), last_good: Some(3), step: ReleaseStep::Apply, ..State::none_yet() }
}

fn before() -> State {
    State { step: ReleaseStep::BeforeDeploy, ..state() }
}

fn after(jobs: Jobs) -> State {
    let (applied, rollout) = (Some(4), Rollout::Complete);
    State { step: ReleaseStep::AfterDeploy, after: jobs, applied, rollout, ..state() }
}

#[rstest]
#[case::first(State { newest: None, ..state() }, Step::Resolve { number: 1 })]
#[case::changed(State { superseded: true, ..state() }, Step::Resolve { number: 5 })]
#[case::changed_after_failure(State { superseded: true, failed: true, ..state() }, Step::Resolve { number: 5 })]
#[case::nothing_to_pull(State { step: ReleaseStep::PullImage, ..state() }, Step::Apply { release: 4 })]
#[case::pull(
    State { step: ReleaseStep::PullImage, pull: Pull::Needed { node: "a".into() }, ..state() },
    Step::StartPull { node: "a".into() }
)]
#[case::pulling(State { step: ReleaseStep::PullImage, pull: Pull::Running, ..state() }, Step::AwaitPull)]
#[case::pulled(State { step: ReleaseStep::PullImage, pull: Pull::Done, ..state() }, Step::Apply { release: 4 })]
#[case::pull_failed(
    State { step: ReleaseStep::PullImage, recreate: true, pull: Pull::Failed(problem()), ..state() },
    Step::Fail { step: ReleaseStep::PullImage, problem: problem(), restore: None }
)]
#[case::after_a_failed_pull_the_old_stays(
    State { step: ReleaseStep::PullImage, failed: true, recreate: true, ..state() },
    Step::Apply { release: 3 }
)]
#[case::rolling(State { applied: Some(4), ..state() }, Step::AwaitRollout)]
#[case::up(State { applied: Some(4), rollout: Rollout::Complete, ..state() }, Step::Live)]
#[case::down(
    State { applied: Some(4), rollout: Rollout::Failing(problem()), ..state() },
    Step::Fail { step: ReleaseStep::Rollout, problem: problem(), restore: None }
)]
#[case::down_and_nothing_serves(
    State { applied: Some(4), harm: Harm::Felt, rollout: Rollout::Failing(problem()), ..state() },
    Step::Fail { step: ReleaseStep::Rollout, problem: problem(), restore: Some(3) }
)]
#[case::a_job_comes_first(State { step: ReleaseStep::PullImage, before: Jobs::Due, ..state() }, Step::Prepare)]
#[case::after_the_pull(
    State { step: ReleaseStep::PullImage, before: Jobs::Due, pull: Pull::Running, ..state() },
    Step::AwaitPull
)]
#[case::prepared(
    State { before: Jobs::Due, ground: Ground::Prepared, ..before() },
    Step::RunJob { at: JobMoment::BeforeDeploy }
)]
#[case::no_job_while_switched_off(State { before: Jobs::Due, ground: Ground::Off, ..before() }, Step::Rest)]
#[case::one_that_has_begun_goes_on_while_switched_off(
    State { before: Jobs::Running, ground: Ground::Off, ..before() },
    Step::AwaitJob { at: JobMoment::BeforeDeploy }
)]
#[case::its_job_runs(
    State { before: Jobs::Running, ground: Ground::Prepared, ..before() },
    Step::AwaitJob { at: JobMoment::BeforeDeploy }
)]
#[case::it_can_never_begin(
    State { before: Jobs::Hopeless(problem()), ground: Ground::Prepared, ..before() },
    Step::GiveUpJob { at: JobMoment::BeforeDeploy, problem: problem() }
)]
#[case::its_jobs_are_done(before(), Step::Apply { release: 4 })]
#[case::its_job_failed(
    State { before: Jobs::Failed(problem()), harm: Harm::Felt, ..before() },
    Step::Fail { step: ReleaseStep::BeforeDeploy, problem: problem(), restore: None }
)]
#[case::after_a_failed_job_the_old_stays(State { failed: true, ..before() }, Step::Apply { release: 3 })]
#[case::after_the_first_failed_job_nothing_is_sent(State { failed: true, last_good: None, ..before() }, Step::Rest)]
#[case::a_newer_one_waits_for_a_job_that_runs(
    State { superseded: true, before: Jobs::Running, ..before() },
    Step::AwaitJob { at: JobMoment::BeforeDeploy }
)]
#[case::also_where_its_step_was_lost(
    State { superseded: true, before: Jobs::Running, step: ReleaseStep::PullImage, ..before() },
    Step::AwaitJob { at: JobMoment::BeforeDeploy }
)]
#[case::but_not_for_one_that_has_not_begun(
    State { superseded: true, before: Jobs::Waiting, ..before() },
    Step::CancelJob { at: JobMoment::BeforeDeploy }
)]
#[case::nor_for_one_that_is_not_there(
    State { superseded: true, before: Jobs::Due, ..before() },
    Step::Resolve { number: 5 }
)]
#[case::one_that_failed_meanwhile_is_told(
    State { superseded: true, before: Jobs::Failed(problem()), ..before() },
    Step::Fail { step: ReleaseStep::BeforeDeploy, problem: problem(), restore: None }
)]
#[case::and_then_the_newer_one_begins(
    State { superseded: true, failed: true, before: Jobs::Failed(problem()), ..before() },
    Step::Resolve { number: 5 }
)]
#[case::jobs_after_the_pods(after(Jobs::Due), Step::RunJob { at: JobMoment::AfterDeploy })]
#[case::one_of_them_runs(after(Jobs::Running), Step::AwaitJob { at: JobMoment::AfterDeploy })]
#[case::none_while_switched_off(State { rollout: Rollout::Off, ..after(Jobs::Due) }, Step::Rest)]
#[case::none_while_the_pods_come_up(
    State { rollout: Rollout::Progressing(None), ..after(Jobs::Due) },
    Step::AwaitRollout
)]
#[case::one_of_them_failed(
    after(Jobs::Failed(problem())),
    Step::Fail { step: ReleaseStep::AfterDeploy, problem: problem(), restore: Some(3) }
)]
#[case::and_nothing_is_to_be_put_back(
    State { last_good: None, failed: true, ..after(Jobs::Failed(problem())) },
    Step::Rest
)]
#[case::they_are_done(after(Jobs::Done), Step::Live)]
#[case::pods_that_healed_are_not_live_without_them(
    State { failed: true, step: ReleaseStep::Rollout, ..after(Jobs::Due) },
    Step::RunJob { at: JobMoment::AfterDeploy }
)]
#[case::put_back_none_runs(
    State { failed: true, put_back: Some(3), applied: Some(3), ..after(Jobs::Due) },
    Step::Rest
)]
#[case::on_probation(State { step: ReleaseStep::Probation, ..state() }, Step::Apply { release: 4 })]
#[case::served_and_ended(
    State {
        step: ReleaseStep::Probation, applied: Some(4), harm: Harm::Felt,
        rollout: Rollout::Failing(problem()), ..state()
    },
    Step::Fail { step: ReleaseStep::Rollout, problem: problem(), restore: Some(3) }
)]
#[case::down_and_nothing_to_put_back(
    State { applied: Some(4), harm: Harm::Felt, last_good: None, rollout: Rollout::Failing(problem()), ..state() },
    Step::Fail { step: ReleaseStep::Rollout, problem: problem(), restore: None }
)]
#[case::failed_rolling_keeps_trying(State { failed: true, step: ReleaseStep::Rollout, ..state() }, Step::Apply { release: 4 })]
#[case::failed_rolling_heals(
    State { failed: true, step: ReleaseStep::Rollout, applied: Some(4), rollout: Rollout::Complete, ..state() },
    Step::Live
)]
#[case::switched_off_it_is_neither_live_nor_failed(State { applied: Some(4), rollout: Rollout::Off, ..state() }, Step::Rest)]
#[case::switched_off_after_a_failure(
    State { failed: true, step: ReleaseStep::Rollout, applied: Some(4), rollout: Rollout::Off, ..state() },
    Step::Rest
)]
#[case::switched_on_again_nothing_serves(
    State {
        failed: true, step: ReleaseStep::Rollout, applied: Some(4), harm: Harm::Felt,
        rollout: Rollout::Failing(problem()), ..state()
    },
    Step::Fail { step: ReleaseStep::Rollout, problem: problem(), restore: Some(3) }
)]
#[case::restoring(
    State { failed: true, put_back: Some(3), step: ReleaseStep::Restore, applied: Some(3), ..state() },
    Step::AwaitRollout
)]
#[case::restored(
    State { failed: true, put_back: Some(3), step: ReleaseStep::Restore, applied: Some(3), rollout: Rollout::Complete, ..state() },
    Step::Restored { release: 3 }
)]
#[case::restored_and_noted(
    State { failed: true, put_back: Some(3), step: ReleaseStep::Rollout, applied: Some(3), rollout: Rollout::Complete, ..state() },
    Step::Rest
)]
#[case::live(State { step: ReleaseStep::Live, ..state() }, Step::Apply { release: 4 })]
#[case::live_and_applied(State { step: ReleaseStep::Live, applied: Some(4), ..state() }, Step::Rest)]
fn the_next_step(#[case] state: State, #[case] expected: Step) {
    assert_eq!(next(&state), expected);
}

/// Does what the machine says, on a cluster in which the release `bad` never comes up, until it rests.
fn run(mut state: State, bad: Option<i64>) -> (State, Vec<Step>) {
    let mut steps = Vec::new();
    for _ in 0..20 {
        let step = next(&state);
        steps.push(step.clone());
        match step {
            Step::Resolve { number } => {
                let recreate = state.recreate;
                let good = if state.step == ReleaseStep::Live { state.newest } else { state.last_good };
                state = State { newest: Some(number), last_good: good, recreate, ..self::state() };
                state.step = ReleaseStep::PullImage;
                state.superseded = false;
                // Where the old pod stops first, nothing serves while the new one does not.
                state.harm = if recreate { Harm::Felt } else { Harm::None };
                if recreate && good.is_some() {
                    state.pull = Pull::Needed { node: "a".into() };
                }
            }
            Step::StartPull { .. } => state.pull = Pull::Running,
            Step::AwaitPull => state.pull = Pull::Done,
            Step::Prepare => state.ground = Ground::Prepared,
            Step::RunJob { at: JobMoment::BeforeDeploy } => state.before = Jobs::Done,
            Step::RunJob { at: JobMoment::AfterDeploy } => state.after = Jobs::Done,
            Step::RunJob { at: JobMoment::BeforeSleep } => panic!("no release has such a job"),
            Step::AwaitJob { .. } | Step::CancelJob { .. } | Step::GiveUpJob { .. } => panic!("each job ends at once"),
            Step::Apply { release } => {
                state.applied = Some(release);
                state.rollout = if bad == Some(release) { Rollout::Failing(problem()) } else { Rollout::Complete };
                if !state.failed && state.step != ReleaseStep::Live {
                    state.step = ReleaseStep::Rollout;
                }
            }
            Step::Fail { step, restore, .. } => {
                state.failed = true;
                state.put_back = restore;
                state.step = if restore.is_some() { ReleaseStep::Restore } else { step };
            }
            Step::Live => {
                state.step = ReleaseStep::Live;
                state.failed = false;
            }
            Step::Restored { .. } => state.step = ReleaseStep::Rollout,
            Step::AwaitRollout | Step::Rest => return (state, steps),
        }
    }
    panic!("the machine does not come to rest: {steps:?}");
}

#[test]
fn a_first_release_goes_live() {
    let (state, _) = run(State { newest: None, last_good: None, ..state() }, None);
    assert_eq!((state.step, state.applied, state.failed), (ReleaseStep::Live, Some(1), false));
}

#[test]
fn jobs_run_before_the_first_pod_and_after_the_last() {
    let jobs = || Jobs::Due;
    let (end, steps) = run(State { before: jobs(), after: jobs(), step: ReleaseStep::PullImage, ..state() }, None);
    assert_eq!((end.step, end.failed), (ReleaseStep::Live, false));
    let at = |step: &Step| steps.iter().position(|one| one == step).unwrap_or_else(|| panic!("{step:?} in {steps:?}"));
    let [before, after] = [JobMoment::BeforeDeploy, JobMoment::AfterDeploy].map(|at| Step::RunJob { at });
    let order = [&Step::Prepare, &before, &Step::Apply { release: 4 }, &after, &Step::Live].map(at);
    assert!(order.is_sorted(), "{steps:?}");
}

#[test]
fn a_bad_release_of_an_app_with_its_own_volume_is_taken_back() {
    let live = State { step: ReleaseStep::Live, recreate: true, superseded: true, ..state() };
    let (end, steps) = run(live, Some(5));
    assert_eq!((end.newest, end.applied, end.failed, end.step), (Some(5), Some(4), true, ReleaseStep::Rollout));
    let pulled = steps.iter().position(|s| matches!(s, Step::StartPull { .. })).expect("pulled");
    let applied = steps.iter().position(|s| *s == Step::Apply { release: 5 }).expect("applied");
    assert!(pulled < applied, "{steps:?}");
    // It is not tried again by itself.
    let (again, steps) = run(State { applied: None, ..end }, Some(5));
    assert!(!steps.contains(&Step::Apply { release: 5 }), "{steps:?}");
    assert_eq!(again.applied, Some(4));
}

/// `replicas: 0`, a bad image, `replicas: 1`.
#[test]
fn a_bad_release_that_came_while_the_app_was_off_is_taken_back_when_it_is_switched_on() {
    let live = State { step: ReleaseStep::Live, superseded: true, ..state() };
    let Step::Resolve { number } = next(&live) else { panic!("a release begins") };
    let off = State {
        newest: Some(number),
        last_good: Some(4),
        step: ReleaseStep::Rollout,
        applied: Some(number),
        rollout: Rollout::Off,
        harm: Harm::Felt,
        ..state()
    };
    assert_eq!(next(&off), Step::Rest);
    // A new number of pods is no new release: the same one is judged, by its pods.
    let (end, _) = run(State { applied: None, rollout: Rollout::Progressing(None), ..off }, Some(number));
    assert_eq!((end.newest, end.failed, end.put_back, end.applied), (Some(5), true, Some(4), Some(4)));
}

#[test]
fn a_bad_release_that_rolls_leaves_the_old_pods_alone() {
    let live = State { step: ReleaseStep::Live, superseded: true, ..state() };
    let (end, steps) = run(live, Some(5));
    assert_eq!((end.applied, end.failed), (Some(5), true));
    assert!(!steps.contains(&Step::Apply { release: 4 }), "{steps:?}");
}
