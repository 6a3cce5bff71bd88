//! What the cluster says about a release that was applied.

use drover_crds::Problem;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;

use crate::health::Finding;

/// What became of the pods of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// They are on their way; what hinders them, if something does.
    Progressing(Option<Problem>),
    /// They do not come up.
    Failing(Problem),
    /// All of them serve, and no older ones are left.
    Complete,
    /// None are asked for, and none are left: nothing is learnt about the release.
    Off,
}

/// The numbers of a Deployment, and since when nothing serves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// Pods that are asked for.
    pub desired: i32,
    /// Pods that serve.
    pub ready: i32,
    /// Pods that have served for as long as the probation takes.
    pub available: i32,
    /// Pods of the newest kind.
    pub updated: i32,
    /// Since when the Deployment says that too few pods serve, in seconds since 1970.
    pub down_since: Option<i64>,
    /// Since when enough serve, by what it says.
    pub up_since: Option<i64>,
}

impl Observation {
    /// Reads a Deployment.
    pub fn of(deployment: &Deployment) -> Self {
        let status = deployment.status.clone().unwrap_or_default();
        let available = status.conditions.iter().flatten().find(|c| c.type_ == "Available");
        let since = |wanted: &str| {
            let condition = available.filter(|c| c.status == wanted)?;
            condition.last_transition_time.as_ref().map(|t| t.0.as_second())
        };
        let probation = deployment.spec.as_ref().and_then(|s| s.min_ready_seconds).unwrap_or(0);
        Self {
            desired: deployment.spec.as_ref().and_then(|s| s.replicas).unwrap_or(1),
            ready: status.ready_replicas.unwrap_or(0),
            available: status.available_replicas.unwrap_or(0),
            updated: status.updated_replicas.unwrap_or(0),
            down_since: since("False"),
            up_since: since("True").map(|available| available - i64::from(probation)),
        }
    }
}

/// What is asked of pods before they count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// That they have served for as long as the probation takes.
    Probation,
    /// That they serve: pods like these have passed their probation before.
    Service,
}

/// What became of the pods of the Deployment, of which that is asked, and whose newest have the problem `finding`. How long they
/// have served Kubernetes itself counts, so a controller that starts anew judges as the one before.
pub fn observe(deployment: Option<&Deployment>, asked: Asked, finding: Option<&Finding>) -> Rollout {
    let Some(deployment) = deployment else { return Rollout::Progressing(None) };
    let status = deployment.status.clone().unwrap_or_default();
    let seen = status.observed_generation.unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0);
    let Observation { desired, ready, available, updated, .. } = Observation::of(deployment);
    let serving = match asked {
        Asked::Probation => available,
        Asked::Service => ready,
    };
    let all = status.replicas.unwrap_or(0);
    if seen && desired == 0 && all == 0 {
        return Rollout::Off;
    }
    if seen && desired > 0 && updated >= desired && all == updated && serving >= desired {
        return Rollout::Complete;
    }
    let problem = finding.map(problem);
    if finding.is_some_and(|f| f.definite) {
        return problem.map_or(Rollout::Progressing(None), Rollout::Failing);
    }
    if is_late(deployment) {
        return Rollout::Failing(problem.unwrap_or_else(|| too_late(updated, desired)));
    }
    Rollout::Progressing(problem)
}

/// What became of the newest `pods`, where Kubernetes does not count how long they take: of a Deployment whose template came while it had
/// no pods it takes the rollout for done, and then only adds pods. Those that are not ready within the same time fail. None was asked for
/// before `since`, which is of the clock that says `now`; the pods' own times are another's.
pub fn overdue(seen: Rollout, deployment: &Deployment, pods: &[Pod], since: i64, now: i64) -> Rollout {
    let Rollout::Progressing(problem) = seen else { return seen };
    let limit = deployment.spec.as_ref().and_then(|spec| spec.progress_deadline_seconds).unwrap_or(600);
    let conditions = deployment.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let counts =
        conditions.iter().any(|c| c.type_ == "Progressing" && c.reason.as_deref() == Some("NewReplicaSetAvailable"));
    let is_late = |pod: &Pod| {
        let made = pod.metadata.creation_timestamp.as_ref().map_or(now, |made| made.0.as_second());
        !super::pods::is_ready(pod) && now - made.max(since) > i64::from(limit)
    };
    if !(counts && pods.iter().any(is_late)) {
        return Rollout::Progressing(problem);
    }
    let Observation { desired, updated, .. } = Observation::of(deployment);
    Rollout::Failing(problem.unwrap_or_else(|| too_late(updated, desired)))
}

fn too_late(updated: i32, desired: i32) -> Problem {
    Problem {
        reason: "ProgressDeadlineExceeded".to_owned(),
        message: format!(
            "its new pods, {updated} of {desired}, did not become ready in time: see `kubectl describe pod`, or raise health.startupTimeout if the app needs longer"
        ),
        ..Default::default()
    }
}

/// Whether the time for the newest pods to come up is over.
pub fn is_late(deployment: &Deployment) -> bool {
    let status = deployment.status.clone().unwrap_or_default();
    status.observed_generation.unwrap_or(0) >= deployment.metadata.generation.unwrap_or(0)
        && status.conditions.iter().flatten().any(|c| {
            c.type_ == "Progressing" && c.status == "False" && c.reason.as_deref() == Some("ProgressDeadlineExceeded")
        })
}

fn problem(finding: &Finding) -> Problem {
    Problem {
        reason: finding.reason.clone(),
        message: finding.message.clone(),
        pod: finding.pod.clone(),
        container: finding.container.clone(),
        log: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn deployment(status: &Value) -> Deployment {
        serde_json::from_value(json!({
            "metadata": {"generation": 2},
            "spec": {"replicas": 1, "selector": {}, "template": {}},
            "status": status,
        }))
        .expect("a Deployment")
    }

    fn crash(definite: bool) -> Finding {
        Finding {
            reason: "CrashLoopBackOff".into(),
            message: "it crashes".into(),
            pod: Some("web-1".into()),
            container: Some("app".into()),
            definite,
        }
    }

    #[test]
    fn a_rollout_is_complete_when_only_new_pods_are_left_and_serve() {
        let done = json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "availableReplicas": 1});
        assert_eq!(observe(Some(&deployment(&done)), Asked::Probation, None), Rollout::Complete);
        for (field, value) in
            [("observedGeneration", 1), ("replicas", 2), ("updatedReplicas", 0), ("availableReplicas", 0)]
        {
            let mut status = done.clone();
            status[field] = value.into();
            let seen = |asked| observe(Some(&deployment(&status)), asked, None);
            assert_eq!(seen(Asked::Probation), Rollout::Progressing(None), "{field}");
            // Pods that were replaced need not pass it again.
            let again = if field == "availableReplicas" { Rollout::Complete } else { Rollout::Progressing(None) };
            assert_eq!(seen(Asked::Service), again, "{field}");
        }
    }

    #[test]
    fn pods_served_since_before_their_probation() {
        let mut deployment = deployment(&json!({"readyReplicas": 1, "availableReplicas": 1, "conditions": [
            {"type": "Available", "status": "True", "lastTransitionTime": "1970-01-01T00:01:40Z"},
        ]}));
        deployment.spec.as_mut().expect("a spec").min_ready_seconds = Some(10);
        assert_eq!(Observation::of(&deployment).up_since, Some(90));
    }

    #[test]
    fn no_pods_are_no_rollout() {
        let mut none = deployment(&json!({"observedGeneration": 2}));
        none.spec.as_mut().expect("a spec").replicas = Some(0);
        assert_eq!(observe(Some(&none), Asked::Probation, None), Rollout::Off);
        // The last of them still stops.
        none.status.as_mut().expect("a status").replicas = Some(1);
        assert_eq!(observe(Some(&none), Asked::Probation, None), Rollout::Progressing(None));
    }

    #[test]
    fn only_a_definite_problem_or_the_deadline_ends_it() {
        let status = json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1});
        let running = deployment(&status);
        assert!(matches!(
            observe(Some(&running), Asked::Probation, Some(&crash(false))),
            Rollout::Progressing(Some(_))
        ));
        assert!(matches!(observe(Some(&running), Asked::Probation, Some(&crash(true))), Rollout::Failing(_)));
        let mut late = status;
        late["conditions"] = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        assert!(
            matches!(observe(Some(&deployment(&late)), Asked::Probation, None), Rollout::Failing(p) if p.message.contains("startupTimeout"))
        );
        // The verdict on the previous generation says nothing about this one.
        late["observedGeneration"] = 1.into();
        assert_eq!(observe(Some(&deployment(&late)), Asked::Probation, None), Rollout::Progressing(None));
    }

    /// As at the end of a night in which a release came.
    #[test]
    fn pods_that_kubernetes_does_not_wait_for_have_as_much_time_as_others() {
        let status = |reason: &str| {
            json!({"observedGeneration": 2, "replicas": 1, "updatedReplicas": 1,
            "conditions": [{"type": "Progressing", "status": "True", "reason": reason}]})
        };
        let judged_since = |since: i64, reason: &str, ready: &str, now: i64| {
            let mut deployment = deployment(&status(reason));
            deployment.spec.as_mut().expect("a spec").progress_deadline_seconds = Some(100);
            let pod: Pod = serde_json::from_value(json!({"metadata": {"creationTimestamp": "1970-01-01T00:01:00Z"},
                "status": {"conditions": [{"type": "Ready", "status": ready}]}}))
            .expect("a pod");
            overdue(Rollout::Progressing(None), &deployment, &[pod], since, now)
        };
        let judged = |reason: &str, ready: &str, now: i64| judged_since(0, reason, ready, now);
        let ahead = judged_since(50_000, "NewReplicaSetAvailable", "False", 50_010);
        assert_eq!(ahead, Rollout::Progressing(None), "the API server's clock is another");
        let goes_on = Rollout::Progressing(None);
        assert_eq!(judged("NewReplicaSetAvailable", "False", 160), goes_on);
        assert!(
            matches!(judged("NewReplicaSetAvailable", "False", 161), Rollout::Failing(p) if p.message.contains("1 of 1"))
        );
        assert_eq!(judged("NewReplicaSetAvailable", "True", 161), goes_on);
        assert_eq!(judged("ReplicaSetUpdated", "False", 161), goes_on, "Kubernetes itself counts");
    }
}
