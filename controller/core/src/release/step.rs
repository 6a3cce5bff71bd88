//! The release machine. [`next`] looks at where a release stands and says the one thing to do; whoever does it changes the
//! [`State`] and asks again. Each step can be repeated: a process that dies anywhere and starts again reaches the same end.
//!
//! ResolveImage → PullImage (only where the old pod has to stop before the new one starts) → BeforeDeploy → Apply → Rollout → Probation →
//! AfterDeploy → Live. A release that fails is marked. Where old pods go on serving nothing is touched, and the mark goes when the new ones
//! come up after all. Where none do, because the old pod had to stop or the app was switched off, and where a new pod served, took its
//! share of the requests and ended, the last good release is put back; so it is where a job fails after the pods have served.
//! While no pods are asked for nothing is learnt of a release, so it is neither live nor failed, and none of its jobs begins.
//! A newer release waits for a job before the pods that runs, and never for one that has not begun.

use drover_crds::{JobMoment, Problem, ReleaseStep};

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

/// Where the jobs of a moment stand: the first that has not succeeded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Jobs {
    /// There is none.
    Done,
    /// It is to be run.
    Due,
    /// It is made, and its program has not begun.
    Waiting,
    /// The same, and waiting longer is of no use.
    Hopeless(Problem),
    /// Its program runs.
    Running,
    /// It has failed.
    Failed(Problem),
}

/// Whether a job may begin that runs before the pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ground {
    /// What its pod needs was not sent in this reconcile.
    Unprepared,
    /// It was.
    Prepared,
    /// It was, but no pods are asked for: none begins.
    Off,
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
    /// Whether a job may begin.
    pub ground: Ground,
    /// The jobs of `newest` before its pods.
    pub before: Jobs,
    /// The jobs of `newest` after its pods have served; looked at once they have.
    pub after: Jobs,
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
            ground: Ground::Unprepared,
            before: Jobs::Done,
            after: Jobs::Done,
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
    /// Send what the pods of jobs need, beside what serves.
    Prepare,
    /// Make the Job of the first job of that moment that has not succeeded.
    RunJob {
        /// The moment.
        at: JobMoment,
    },
    /// Look again soon: a job is on its way.
    AwaitJob {
        /// The moment.
        at: JobMoment,
    },
    /// Remove the Job of a job that has not begun, if it still has not: a newer release is asked for.
    CancelJob {
        /// The moment.
        at: JobMoment,
    },
    /// The same for one that will never begin, and note that it failed.
    GiveUpJob {
        /// The moment.
        at: JobMoment,
        /// Why.
        problem: Problem,
    },
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
        return leave(state, newest);
    }
    if state.failed {
        return after_failure(state, newest);
    }
    match state.step {
        ReleaseStep::Live if state.applied == Some(newest) => Step::Rest,
        ReleaseStep::Live => Step::Apply { release: newest },
        ReleaseStep::BeforeDeploy => before_deploy(state, newest),
        ReleaseStep::ResolveImage | ReleaseStep::PullImage => match &state.pull {
            Pull::Needed { node } => Step::StartPull { node: node.clone() },
            Pull::Running => Step::AwaitPull,
            // The old pod was never touched, so there is nothing to put back.
            Pull::Failed(problem) => {
                Step::Fail { step: ReleaseStep::PullImage, problem: problem.clone(), restore: None }
            }
            Pull::NotNeeded | Pull::Done => before_deploy(state, newest),
        },
        ReleaseStep::Apply
        | ReleaseStep::Rollout
        | ReleaseStep::Probation
        | ReleaseStep::AfterDeploy
        | ReleaseStep::Restore => roll_out(state, newest),
    }
}

/// On to the next release: once no job of `newest` runs that its pods were to wait for.
fn leave(state: &State, newest: i64) -> Step {
    let at = JobMoment::BeforeDeploy;
    match &state.before {
        _ if state.failed => Step::Resolve { number: newest + 1 },
        Jobs::Done | Jobs::Due => Step::Resolve { number: newest + 1 },
        Jobs::Waiting | Jobs::Hopeless(_) => Step::CancelJob { at },
        Jobs::Running => Step::AwaitJob { at },
        Jobs::Failed(problem) => {
            Step::Fail { step: ReleaseStep::BeforeDeploy, problem: problem.clone(), restore: None }
        }
    }
}

fn before_deploy(state: &State, newest: i64) -> Step {
    let at = JobMoment::BeforeDeploy;
    match &state.before {
        Jobs::Done => roll_out(state, newest),
        // Nothing of it was sent, so there is nothing to put back.
        Jobs::Failed(problem) => {
            Step::Fail { step: ReleaseStep::BeforeDeploy, problem: problem.clone(), restore: None }
        }
        _ if state.ground == Ground::Unprepared => Step::Prepare,
        Jobs::Due if state.ground == Ground::Off => Step::Rest,
        unfinished => go_on(unfinished, at),
    }
}

/// The pods have served: what is left are the jobs after that.
fn after_deploy(state: &State) -> Step {
    match &state.after {
        Jobs::Done => Step::Live,
        // It was marked for that, and nothing can be put back.
        Jobs::Failed(_) if state.failed && state.step == ReleaseStep::AfterDeploy => Step::Rest,
        Jobs::Failed(problem) => {
            Step::Fail { step: ReleaseStep::AfterDeploy, problem: problem.clone(), restore: state.last_good }
        }
        unfinished => go_on(unfinished, JobMoment::AfterDeploy),
    }
}

/// What to do about jobs of which one has neither succeeded nor failed.
fn go_on(jobs: &Jobs, at: JobMoment) -> Step {
    match jobs {
        Jobs::Due => Step::RunJob { at },
        Jobs::Hopeless(problem) => Step::GiveUpJob { at, problem: problem.clone() },
        Jobs::Waiting | Jobs::Running | Jobs::Done | Jobs::Failed(_) => Step::AwaitJob { at },
    }
}

fn roll_out(state: &State, newest: i64) -> Step {
    if state.applied != Some(newest) {
        return Step::Apply { release: newest };
    }
    match &state.rollout {
        Rollout::Complete => after_deploy(state),
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
    // A release whose image never came, or whose job failed before its pods, was not applied: the last good one still is.
    let never_applied =
        matches!(state.step, ReleaseStep::ResolveImage | ReleaseStep::PullImage | ReleaseStep::BeforeDeploy);
    let target = match state.put_back.or(state.last_good.filter(|_| never_applied)) {
        Some(good) => good,
        None if never_applied => return Step::Rest,
        None => newest,
    };
    if state.applied != Some(target) {
        return Step::Apply { release: target };
    }
    match &state.rollout {
        Rollout::Complete if target == newest => after_deploy(state),
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
mod tests;
