//! How far a new Environment has come.

use drover_crds::{DROVER, Duration, Environment, LABEL_PART_OF, condition};

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// Applied and healthy.
    Ready(String),
    /// Not yet; with what the controller says about it, if it has said anything.
    Waiting(Option<String>),
    /// Only a person can change it.
    Stalled(String),
}

impl Readiness {
    /// Whether waiting longer changes nothing.
    pub fn is_final(&self) -> bool {
        !matches!(self, Self::Waiting(_))
    }

    /// The line that ends the command. `environment` is `NAMESPACE/NAME`.
    pub fn sentence(&self, environment: &str, waited: Duration) -> String {
        match self {
            Self::Ready(message) => format!("Environment {environment} is live: {message}"),
            Self::Stalled(message) => format!("Environment {environment} needs your attention: {message}"),
            Self::Waiting(Some(message)) => {
                format!("Environment {environment} is not live after {waited}, and drover goes on: {message}")
            }
            Self::Waiting(None) => format!(
                "Environment {environment} is made, and no controller looked at it within {waited}: check that drover runs, \
                 with `kubectl get pods -A -l {LABEL_PART_OF}={DROVER}`"
            ),
        }
    }
}

/// What the status says about this generation of the spec, or a later one.
pub fn of(environment: &Environment, generation: i64) -> Readiness {
    let conditions = environment.status.as_ref().map(|status| status.conditions.as_slice()).unwrap_or_default();
    let current = |kind| condition::get(conditions, kind).filter(|c| c.observed_generation >= Some(generation));
    let Some(ready) = current(condition::READY) else { return Readiness::Waiting(None) };
    if ready.status == "True" {
        Readiness::Ready(ready.message.clone())
    } else if let Some(stalled) = current(condition::STALLED).filter(|c| c.status == "True") {
        Readiness::Stalled(stalled.message.clone())
    } else {
        Readiness::Waiting(Some(ready.message.clone()))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(conditions: &serde_json::Value, generation: i64) -> Readiness {
        let json = json!({
            "apiVersion": "drover.dev/v1alpha1", "kind": "Environment", "metadata": {"name": "prod"},
            "spec": {"source": {"url": "https://h/a", "ref": {"branch": "prod"}}},
            "status": {"conditions": conditions},
        });
        of(&serde_json::from_value(json).expect("an Environment"), generation)
    }

    fn condition(kind: &str, status: &str) -> serde_json::Value {
        json!({"type": kind, "status": status, "reason": "R", "message": kind, "observedGeneration": 2, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    #[test]
    fn only_what_is_said_about_this_spec_counts() {
        let ready = json!([condition("Ready", "True")]);
        assert_eq!(told(&ready, 2), Readiness::Ready("Ready".into()));
        assert_eq!(told(&ready, 3), Readiness::Waiting(None));
        assert_eq!(told(&json!([]), 1), Readiness::Waiting(None));
        let failed = json!([condition("Ready", "False"), condition("Reconciling", "True")]);
        assert_eq!(told(&failed, 2), Readiness::Waiting(Some("Ready".into())));
        let stalled = json!([condition("Ready", "False"), condition("Stalled", "True")]);
        assert_eq!(told(&stalled, 2), Readiness::Stalled("Stalled".into()));
    }
}
