//! How far a restart has come.

use std::fmt;

use drover_crds::{Duration, bounded_name, condition};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt as _;

use super::app::App;

/// The annotation on the pods by which Kubernetes' tools, and the controller, mark a restart.
const RESTARTED: &str = "kubectl.kubernetes.io/restartedAt";

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rollout {
    /// The controller has not touched the Deployment.
    NotBegun,
    /// Some pods are new.
    Partly {
        /// New and serving.
        ready: i32,
        /// Asked for.
        wanted: i32,
    },
    /// All pods are new, serve, and are alone.
    Done,
}

impl fmt::Display for Rollout {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBegun => f.write_str("The controller has not begun yet."),
            Self::Partly { ready, wanted } => write!(f, "{ready} of {wanted} new pods serve."),
            Self::Done => f.write_str("All pods are new."),
        }
    }
}

/// The Deployment of an app.
pub fn deployment_name(app: &str) -> String {
    bounded_name(app)
}

/// How far the Deployment is with the restart that `stamp` names.
pub fn of(deployment: &Deployment, stamp: &str) -> Rollout {
    let spec = deployment.spec.as_ref();
    let template = spec.and_then(|spec| spec.template.metadata.as_ref());
    let marked = template.and_then(|metadata| metadata.annotations.as_ref()?.get(RESTARTED));
    let status = deployment.status.clone().unwrap_or_default();
    if marked.map(String::as_str) != Some(stamp) || status.observed_generation < deployment.metadata.generation {
        return Rollout::NotBegun;
    }
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let updated = status.updated_replicas.unwrap_or(0);
    let available = status.available_replicas.unwrap_or(0);
    let total = status.replicas.unwrap_or(0);
    if updated >= wanted && available >= wanted && total == updated {
        return Rollout::Done;
    }
    // Available pods may be old ones: as many as are not new cannot be counted.
    Rollout::Partly { ready: updated.min(available.saturating_sub(total - updated)).max(0), wanted }
}

/// The line for a restart that was not done in time.
pub fn unfinished<A: App>(app: &A, at: Rollout, waited: Duration) -> String {
    let id = format!("{}/{}", app.namespace().unwrap_or_default(), app.name_any());
    let problem = app
        .rollout()
        .and_then(|rollout| rollout.release.as_ref()?.problem.as_ref())
        .map(|p| format!("{}: {}", p.reason, p.message));
    let said = condition::get(app.conditions(), condition::READY)
        .filter(|ready| ready.status != "True")
        .map(|ready| ready.message.clone());
    let why = problem.or(said).unwrap_or_else(|| at.to_string());
    format!("{kind} {id} is not restarted after {waited}, and drover goes on: {why}", kind = A::KIND)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(stamp: &str, observed: i64, status: [i32; 3]) -> Deployment {
        let [total, updated, available] = status;
        serde_json::from_value(json!({
            "metadata": {"name": "hello", "generation": 4},
            "spec": {"replicas": 2, "selector": {}, "template": {"metadata": {"annotations": {RESTARTED: stamp}}}},
            "status": {"observedGeneration": observed, "replicas": total, "updatedReplicas": updated, "availableReplicas": available},
        }))
        .expect("a Deployment")
    }

    #[test]
    fn done_means_only_new_pods_and_all_of_them_serve() {
        assert_eq!(of(&deployment("old", 4, [2, 2, 2]), "now"), Rollout::NotBegun);
        assert_eq!(of(&deployment("now", 3, [2, 2, 2]), "now"), Rollout::NotBegun);
        assert_eq!(of(&deployment("now", 4, [3, 1, 2]), "now"), Rollout::Partly { ready: 0, wanted: 2 });
        assert_eq!(of(&deployment("now", 4, [3, 2, 3]), "now"), Rollout::Partly { ready: 2, wanted: 2 });
        assert_eq!(of(&deployment("now", 4, [2, 2, 1]), "now"), Rollout::Partly { ready: 1, wanted: 2 });
        assert_eq!(of(&deployment("now", 4, [2, 2, 2]), "now"), Rollout::Done);
    }
}
