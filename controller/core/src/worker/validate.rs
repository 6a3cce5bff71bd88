//! A spec becomes [`ValidatedWorkers`], in which nothing can be missing, so that building cannot fail.
//!
//! What the API server has checked is checked again where building depends on it: `drover render` works without an API server, and a
//! release that is put back may be older than the rules.

use drover_crds::{self as crds, AppSpec as _};

use crate::workload::pods::{Errands, Facts, Pods, seconds};
use crate::workload::validate::{Probes, Strategy, by_command, strategy};
use crate::workload::{App, Invalid};

/// Workers in which nothing is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedWorkers {
    /// Their pods.
    pub pods: Pods,
    /// How many of them.
    pub count: Count,
    /// How many there may be at most.
    pub most: i32,
    /// How many pods run now: none while they are asleep.
    pub wanted: i32,
    /// How new pods take over.
    pub strategy: Strategy,
    /// Seconds that a worker may take to start.
    pub startup_seconds: i64,
    /// Seconds for which new workers must run before old ones may go.
    pub probation_seconds: i64,
    /// What tells whether one lives.
    pub probes: Option<Probes>,
    /// What runs before one is told to stop.
    pub pre_stop: Option<Vec<String>>,
}

/// Whose the number of workers is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// The spec's.
    Fixed,
    /// The queue's: it is written beside everything else, and the Deployment begins with it.
    Scaled,
}

impl ValidatedWorkers {
    /// The same, whose jobs wait for their databases with the image of `errands`.
    #[must_use]
    pub fn awaiting(self, errands: Option<Errands>) -> Self {
        Self { pods: Pods { errands, ..self.pods }, ..self }
    }

    /// The same, without pods. All else stays as it is.
    #[must_use]
    pub fn asleep(self) -> Self {
        Self { wanted: 0, ..self }
    }
}

/// Checks `spec` and fills in every default. Where a queue scales it, its `replicas` is what that asks for now.
pub fn validate(app: &App, spec: &crds::QueueProcessorSpec, facts: &Facts<'_>) -> Result<ValidatedWorkers, Invalid> {
    name(app)?;
    let pods = Pods::validated(app, &spec.pod, facts)?;
    let (health, drain) = (spec.health.clone().unwrap_or_default(), spec.drain.clone().unwrap_or_default());
    let most = spec.most().max(0);
    let wanted = spec.replicas().clamp(0, most);
    let pre_stop = drain.pre_stop.map(|pre_stop| pre_stop.exec.command);
    Ok(ValidatedWorkers {
        strategy: strategy(&pods.volumes, spec.pod.is_singleton(), most)?,
        pods: Pods { drain_seconds: drain.timeout.map_or(pods.drain_seconds, |time| seconds(Some(time), 0)), ..pods },
        count: if spec.scaling.is_some() { Count::Scaled } else { Count::Fixed },
        most,
        wanted,
        startup_seconds: seconds(health.startup_timeout, 120),
        probation_seconds: seconds(health.probation, 10),
        probes: health.command.as_ref().map(|command| by_command(command, &health)),
        pre_stop: pre_stop.filter(|command| !command.is_empty()),
    })
}

fn name(app: &App) -> Result<(), Invalid> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = app.name.starts_with(|c: char| c.is_ascii_lowercase())
        && app.name.chars().all(allowed)
        && !app.name.ends_with('-');
    if good { Ok(()) } else { Err(Invalid::WorkerName { name: app.name.clone() }) }
}
