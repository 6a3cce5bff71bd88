//! The release machine. [`next`] looks at where a release stands and says the one thing to do; whoever does it changes the
//! [`State`] and asks again. Each step can be repeated: a process that dies anywhere and starts again reaches the same end.
//!
//! ResolveImage → PullImage (only where the old pod has to stop before the new one starts) → Apply → Rollout → Probation → Live. A
//! release that fails is marked. Where old pods go on serving nothing is touched, and the mark goes when the new ones come
//! up after all. Where none do, because the old pod had to stop or the app was switched off, and where a new pod served, took its
//! share of the requests and ended, the last good release is put back.
//! While no pods are asked for nothing is learnt of a release, so it is neither live nor failed.

use drover_crds::{Problem, ReleaseStep};

use super::pull::Pull;
use super::rollout::Rollout;

/// What the failure of a release does to those who use the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// Nothing: the pods of before serve as if it had never been, and none of its own has served.
    None,
    /// They notice.
    Felt,
}

/// Where the newest release stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The number of the newest release; `None` before the first.
    pub newest: Option<i64>,
    /// The spec, the commit or a person asks for another release than the newest.
    pub superseded: bool,
    /// The newest release that became live, other than `newest`, as far as its record is kept.
    pub last_good: Option<i64>,
    /// The old pod of `newest` has to stop before the new one starts.
    pub recreate: bool,
    /// The step of `newest`.
    pub step: ReleaseStep,
    /// `newest` is marked as failed.
    pub failed: bool,
    /// The release that was put back in the place of `newest`, as far as its record is kept.
    pub put_back: Option<i64>,
    /// What a failure of `newest` does to those who use the app.
    pub harm: Harm,
    /// The image of `newest` on the node.
    pub pull: Pull,
    /// The release whose objects were applied in this reconcile.
    pub applied: Option<i64>,
    /// What became of the pods of `applied`.
    pub rollout: Rollout,
}

impl State {
    /// Before the first release.
    pub fn none_yet() -> Self {
        Self {
            newest: None,
            superseded: false,
            last_good: None,
            recreate: false,
            step: ReleaseStep::ResolveImage,
            failed: false,
            put_back: None,
            harm: Harm::None,
            pull: Pull::NotNeeded,
            applied: None,
            rollout: Rollout::Progressing(None),
        }
    }
}

/// The one thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Begin a release of that number: resolve its image, and write it down.
    Resolve {
        /// Its number.
        number: i64,
    },
    /// Create the pod that pulls.
    StartPull {
        /// On this node.
        node: String,
    },
    /// Look again soon: the image is on its way.
    AwaitPull,
    /// Send the objects of that release.
    Apply {
        /// Its number.
        release: i64,
    },
    /// Mark `newest` as failed.
    Fail {
        /// The step in which it failed.
        step: ReleaseStep,
        /// Why.
        problem: Problem,
        /// The release that is put back.
        restore: Option<i64>,
    },
    /// Look again soon: the pods are on their way.
    AwaitRollout,
    /// `newest` serves: note it.
    Live,
    /// The last good release serves again: note it.
    Restored {
        /// Its number.
        release: i64,
    },
    /// Nothing is to be done before something changes.
    Rest,
}

/// What to do next.
pub fn next(state: &State) -> Step {
    let Some(newest) = state.newest else { return Step::Resolve { number: 1 } };
    if state.superseded {
        return Step::Resolve { number: newest + 1 };
    }
    if state.failed {
        return after_failure(state, newest);
    }
    match state.step {
        ReleaseStep::Live if state.applied == Some(newest) => Step::Rest,
        ReleaseStep::Live => Step::Apply { release: newest },
        ReleaseStep::ResolveImage | ReleaseStep::PullImage => match &state.pull {
            Pull::Needed { node } => Step::StartPull { node: node.clone() },
            Pull::Running => Step::AwaitPull,
            // The old pod was never touched, so there is nothing to put back.
            Pull::Failed(problem) => {
                Step::Fail { step: ReleaseStep::PullImage, problem: problem.clone(), restore: None }
            }
            Pull::NotNeeded | Pull::Done => roll_out(state, newest),
        },
        ReleaseStep::Apply | ReleaseStep::Rollout | ReleaseStep::Probation | ReleaseStep::Restore => {
            roll_out(state, newest)
        }
    }
}

fn roll_out(state: &State, newest: i64) -> Step {
    if state.applied != Some(newest) {
        return Step::Apply { release: newest };
    }
    match &state.rollout {
        Rollout::Complete => Step::Live,
        Rollout::Failing(problem) => {
            Step::Fail { step: ReleaseStep::Rollout, problem: problem.clone(), restore: to_put_back(state) }
        }
        Rollout::Progressing(_) => Step::AwaitRollout,
        Rollout::Off => Step::Rest,
    }
}

/// The release to put back in the place of `newest`, which fails.
fn to_put_back(state: &State) -> Option<i64> {
    state.last_good.filter(|_| state.harm == Harm::Felt)
}

fn after_failure(state: &State, newest: i64) -> Step {
    // A release whose image never came was not applied: the last good one still is.
    let never_applied = matches!(state.step, ReleaseStep::ResolveImage | ReleaseStep::PullImage);
    let target = match state.put_back.or(state.last_good.filter(|_| never_applied)) {
        Some(good) => good,
        None if never_applied => return Step::Rest,
        None => newest,
    };
    if state.applied != Some(target) {
        return Step::Apply { release: target };
    }
    match &state.rollout {
        Rollout::Complete if target == newest => Step::Live,
        Rollout::Complete if state.step == ReleaseStep::Restore => Step::Restored { release: target },
        Rollout::Complete | Rollout::Off => Step::Rest,
        // The pods of before are gone since, as where the app was switched off and on.
        Rollout::Failing(problem) if target == newest && to_put_back(state).is_some() => {
            Step::Fail { step: state.step, problem: problem.clone(), restore: to_put_back(state) }
        }
        Rollout::Progressing(_) | Rollout::Failing(_) => Step::AwaitRollout,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn problem() -> Problem {
        Problem { reason: "CrashLoopBackOff".into(), message: "it crashes".into(), ..Default::default() }
    }

    fn state() -> State {
        State { newest: Some(4), last_good: Some(3), step: ReleaseStep::Apply, ..State::none_yet() }
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
}
