//! What a Job and its pods tell of a run.

use drover_crds::{JobOutcome, Problem};
use k8s_openapi::api::batch::v1::{Job, JobCondition};
use k8s_openapi::api::core::v1::{ContainerState, ContainerStatus, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::health::{Finding, Patience, diagnose};
use crate::workload::build::APP;

/// The reasons of jobs that failed without a word of Kubernetes' for it.
const FAILED: &str = "JobFailed";
const TIMED_OUT: &str = "JobTimedOut";

/// Where a run of a job stands.
#[derive(Clone, Debug, PartialEq)]
pub enum JobState {
    /// There is no such Job.
    NotThere,
    /// Its program has not begun.
    Waiting {
        /// What keeps it from that.
        problem: Option<Problem>,
        /// Waiting longer is of no use.
        is_hopeless: bool,
    },
    /// Its program runs, or is being ended.
    Running {
        /// Since when.
        started_at: Option<Time>,
        /// Why it is being ended.
        problem: Option<Problem>,
    },
    /// It has ended.
    Ended {
        /// How.
        outcome: JobOutcome,
        /// When its program began, where that is still known.
        started_at: Option<Time>,
        /// When it ended.
        finished_at: Option<Time>,
        /// Why it failed.
        problem: Option<Problem>,
    },
}

/// What `job`, which runs the job of that name, and its `pods` say. `now` is in seconds since 1970.
pub fn job_state(name: &str, job: &Job, pods: &[Pod], now: i64) -> JobState {
    let started_at = started(pods);
    let is = |kind: &'static str| condition(job, kind);
    if let Some(complete) = is("Complete") {
        let finished_at = complete.last_transition_time.clone();
        return JobState::Ended { outcome: JobOutcome::Succeeded, started_at, finished_at, problem: None };
    }
    if let Some(failed) = is("Failed") {
        let (problem, finished_at) = (Some(failure(name, job, failed, pods, now)), failed.last_transition_time.clone());
        return JobState::Ended { outcome: JobOutcome::Failed, started_at, finished_at, problem };
    }
    let ending = is("FailureTarget").map(|failed| failure(name, job, failed, pods, now));
    if started_at.is_some() || ending.is_some() || job.metadata.deletion_timestamp.is_some() {
        return JobState::Running { started_at, problem: ending };
    }
    let found = diagnose(pods, now, Patience::default());
    let is_hopeless = found.as_ref().is_some_and(|found| found.definite);
    let problem = found.map(|found| {
        let message = format!("the job {name} cannot begin: {}", found.message);
        problem(found, None, message)
    });
    JobState::Waiting { problem, is_hopeless }
}

/// Why a run failed whose deadline came before its program began, which `hindrance` had kept from that.
pub fn never_began(timed_out: Problem, hindrance: &Problem) -> Problem {
    if timed_out.reason != TIMED_OUT || hindrance.reason == TIMED_OUT {
        return timed_out;
    }
    Problem { message: format!("{}; {}", timed_out.message, hindrance.message), ..timed_out }
}

/// A Job that went before it ended.
pub fn vanished(name: &str, job: &str) -> Problem {
    Problem {
        reason: "JobDeleted".to_owned(),
        message: format!(
            "Job {job} of the job {name} was deleted before it ended, so how far it came is not known: look at what it has done, and push a correction, or try again by another value of the annotation drover.dev/reconcile-at"
        ),
        ..Problem::default()
    }
}

fn condition<'a>(job: &'a Job, kind: &str) -> Option<&'a JobCondition> {
    let mut conditions = job.status.as_ref()?.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == kind && condition.status == "True")
}

/// When the program began.
fn started(pods: &[Pod]) -> Option<Time> {
    // The app's own program comes first where an errand takes over what it makes; what others put before it is none of the app's.
    let statuses = pods.iter().filter_map(|pod| pod.status.as_ref()).flat_map(|status| {
        let first = status.init_container_statuses.iter().flatten().filter(|status| status.name == APP);
        first.chain(status.container_statuses.iter().flatten())
    });
    let began = |status: &ContainerStatus| -> Option<Time> {
        let of = |state: &ContainerState| {
            let running = state.running.as_ref().map(|running| running.started_at.clone());
            running.or_else(|| state.terminated.as_ref().map(|ended| ended.started_at.clone()))
        };
        status.state.as_ref().and_then(of).or_else(|| status.last_state.as_ref().and_then(of)).flatten()
    };
    // Of what could not be started the runtime says 1970.
    statuses.filter_map(began).filter(|time| time.0.as_second() > 0).min_by_key(|time| time.0)
}

fn failure(name: &str, job: &Job, condition: &JobCondition, pods: &[Pod], now: i64) -> Problem {
    // Pods that are being ended do not count in a diagnosis, and still have a log.
    let last = pods.iter().max_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|at| at.0));
    let pod = last.and_then(|pod| pod.metadata.name.clone());
    let container = last.and_then(running);
    if condition.reason.as_deref() == Some("DeadlineExceeded") {
        let seconds = job.spec.as_ref().and_then(|spec| spec.active_deadline_seconds).unwrap_or_default();
        let message = format!(
            "the job {name} was ended because its deadline of {seconds} s was over: raise deadline, or have it do less"
        );
        return Problem { reason: TIMED_OUT.to_owned(), message, pod, container, log: Vec::new() };
    }
    match diagnose(pods, now, Patience::over()) {
        Some(found) => {
            let message = format!("the job {name} failed: {}", found.message);
            let reason = (found.reason == "Error").then_some(FAILED);
            problem(found, reason, message)
        }
        None => {
            let said = condition.message.as_deref().map(|said| format!(" ({})", said.trim_end_matches('.')));
            let message = format!("the job {name} failed, and its pod does not say why{}", said.unwrap_or_default());
            Problem { reason: FAILED.to_owned(), message, pod, container, log: Vec::new() }
        }
    }
}

/// The container of a pod that has not done its work: containers that come first end first.
fn running(pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let first = pod.status.iter().flat_map(|status| status.init_container_statuses.iter().flatten());
    let is_done = |name: &str| {
        let ended = |status: &ContainerStatus| Some(status.state.as_ref()?.terminated.as_ref()?.exit_code);
        first.clone().any(|status| status.name == name && ended(status) == Some(0))
    };
    let mut in_order = spec.init_containers.iter().flatten().filter(|container| !is_done(&container.name));
    in_order.next().or(spec.containers.first()).map(|container| container.name.clone())
}

fn problem(found: Finding, reason: Option<&str>, message: String) -> Problem {
    let Finding { pod, container, .. } = found;
    Problem { reason: reason.map_or(found.reason, str::to_owned), message, pod, container, log: Vec::new() }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::{Value, json};

    use super::*;

    const AT: &str = "1970-01-01T00:00:10Z";

    fn job(condition: Option<(&str, &str)>) -> Job {
        let conditions = condition.map(|(kind, reason)| {
            json!([{"type": kind, "status": "True", "reason": reason, "message": "Kubernetes says so.", "lastTransitionTime": AT}])
        });
        serde_json::from_value(json!({
            "metadata": {"name": "web-migrate-1"}, "spec": {"activeDeadlineSeconds": 60, "template": {}},
            "status": {"conditions": conditions},
        }))
        .expect("a Job")
    }

    fn pod(phase: &str, state: &Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": "web-migrate-1-x", "creationTimestamp": "1970-01-01T00:00:00Z"},
            "spec": {"restartPolicy": "Never", "containers": [{"name": "app"}]},
            "status": {"phase": phase, "containerStatuses": [
                {"name": "app", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state},
            ]},
        }))
        .expect("a pod")
    }

    fn ended(code: i32, reason: &str) -> Pod {
        let state = json!({"terminated": {"exitCode": code, "reason": reason, "startedAt": "1970-01-01T00:00:05Z"}});
        pod(if code == 0 { "Succeeded" } else { "Failed" }, &state)
    }

    fn state(condition: Option<(&str, &str)>, pods: &[Pod], now: i64) -> JobState {
        job_state("migrate", &job(condition), pods, now)
    }

    #[rstest]
    #[case::exit(("Failed", "BackoffLimitExceeded"), vec![ended(3, "Error")], "JobFailed", "the job migrate failed: container app of pod web-migrate-1-x exited with code 3")]
    #[case::memory(("Failed", "BackoffLimitExceeded"), vec![ended(137, "OOMKilled")], "OOMKilled", "used more than")]
    #[case::late(("Failed", "DeadlineExceeded"), vec![], "JobTimedOut", "its deadline of 60 s was over")]
    #[case::gone(("Failed", "BackoffLimitExceeded"), vec![], "JobFailed", "does not say why (Kubernetes says so)")]
    fn what_failed_says_why(
        #[case] condition: (&str, &str),
        #[case] pods: Vec<Pod>,
        #[case] reason: &str,
        #[case] words: &str,
    ) {
        let JobState::Ended { outcome, problem: Some(problem), finished_at, .. } = state(Some(condition), &pods, 20)
        else {
            panic!("it has failed")
        };
        assert_eq!((outcome, problem.reason.as_str()), (JobOutcome::Failed, reason));
        assert!(problem.message.contains(words), "{}", problem.message);
        assert_eq!(finished_at.map(|at| at.0.as_second()), Some(10));
    }

    #[test]
    fn a_job_is_done_when_kubernetes_says_so_and_not_when_its_pod_ended() {
        let JobState::Ended { outcome, started_at, .. } = state(Some(("Complete", "")), &[ended(0, "Completed")], 20)
        else {
            panic!("it is done")
        };
        assert_eq!((outcome, started_at.map(|at| at.0.as_second())), (JobOutcome::Succeeded, Some(5)));
        assert!(matches!(state(None, &[ended(0, "Completed")], 20), JobState::Running { problem: None, .. }));
    }

    #[test]
    fn a_program_has_begun_when_its_container_has() {
        let waiting =
            |reason: &str, message: &str| pod("Pending", &json!({"waiting": {"reason": reason, "message": message}}));
        let nothing = JobState::Waiting { problem: None, is_hopeless: false };
        assert_eq!(state(None, &[], 1), nothing);
        assert_eq!(state(None, &[waiting("ContainerCreating", "")], 1), nothing);
        for (now, hopeless) in [(5, false), (61, true)] {
            match state(None, &[waiting("ImagePullBackOff", "not found")], now) {
                JobState::Waiting { problem: Some(problem), is_hopeless } => {
                    assert_eq!((is_hopeless, problem.reason.as_str()), (hopeless, "ImagePullBackOff"));
                    assert!(problem.message.starts_with("the job migrate cannot begin: image"), "{}", problem.message);
                }
                other => panic!("{other:?}"),
            }
        }
        let runs = pod("Running", &json!({"running": {"startedAt": "1970-01-01T00:00:05Z"}}));
        assert!(matches!(state(None, &[runs], 9), JobState::Running { started_at: Some(_), problem: None }));
    }

    #[test]
    fn one_that_is_being_ended_is_not_over_and_knows_whose_log_to_read() {
        let runs = pod("Running", &json!({"running": {"startedAt": "1970-01-01T00:00:05Z"}}));
        let JobState::Running { problem: Some(problem), .. } =
            state(Some(("FailureTarget", "DeadlineExceeded")), &[runs], 70)
        else {
            panic!("its program still runs")
        };
        assert_eq!((problem.pod.as_deref(), problem.container.as_deref()), (Some("web-migrate-1-x"), Some("app")));
    }

    #[test]
    fn where_the_app_makes_what_an_errand_keeps_each_has_its_own_log() {
        let pod = |init: &Value, main: &Value| -> Pod {
            let status = |name: &str, state: &Value| json!({"name": name, "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state});
            serde_json::from_value(json!({
                "metadata": {"name": "web-assets-1-x", "creationTimestamp": "1970-01-01T00:00:00Z"},
                "spec": {"restartPolicy": "Never", "initContainers": [{"name": "app"}], "containers": [{"name": "errand"}]},
                "status": {"initContainerStatuses": [status("app", init)], "containerStatuses": [status("errand", main)]},
            }))
            .expect("a pod")
        };
        let waits = json!({"waiting": {"reason": "PodInitializing"}});
        let runs = json!({"running": {"startedAt": "1970-01-01T00:00:05Z"}});
        let done = json!({"terminated": {"exitCode": 0, "startedAt": "1970-01-01T00:00:05Z"}});
        let failed = json!({"terminated": {"exitCode": 1, "reason": "Error", "startedAt": "1970-01-01T00:00:05Z"}});
        assert!(matches!(state(None, &[pod(&runs, &waits)], 9), JobState::Running { started_at: Some(_), .. }));
        assert_eq!(state(None, &[pod(&waits, &waits)], 9), JobState::Waiting { problem: None, is_hopeless: false });
        for (init, main, reason, container) in [
            (&failed, &waits, "BackoffLimitExceeded", "app"),
            (&done, &failed, "BackoffLimitExceeded", "errand"),
            (&runs, &waits, "DeadlineExceeded", "app"),
            (&done, &runs, "DeadlineExceeded", "errand"),
        ] {
            let JobState::Ended { problem: Some(problem), .. } =
                state(Some(("Failed", reason)), &[pod(init, main)], 20)
            else {
                panic!("it has failed")
            };
            assert_eq!(problem.container.as_deref(), Some(container), "{problem:?}");
        }
    }

    #[test]
    fn what_never_began_says_what_kept_it_from_that() {
        let timed_out = || Problem { reason: TIMED_OUT.into(), message: "it was late".into(), ..Problem::default() };
        let hindrance = Problem { message: "no node takes it".into(), reason: "Unschedulable".into(), ..timed_out() };
        assert_eq!(never_began(timed_out(), &hindrance).message, "it was late; no node takes it");
        let failed = Problem { reason: FAILED.into(), ..timed_out() };
        assert_eq!(never_began(failed.clone(), &hindrance), failed);
        assert_eq!(never_began(timed_out(), &timed_out()), timed_out());
    }
}
