//! Step 2, pure: a spec becomes a [`ValidatedWebApp`], in which nothing can be missing, so that building cannot fail.
//!
//! What the API server has checked is checked again where building depends on it: `drover render` works without an API
//! server, and a release that is put back may be older than the rules.

mod front;
mod gunicorn;
mod probes;
mod routes;

use std::collections::{BTreeMap, BTreeSet};

use drover_crds as crds;

use super::exposure::{Class, Limits};
use super::pods::{Access, Errands, Facts, Pods, ValidatedVolume, seconds, unique};
use super::takeover::Kept;
use super::{App, Invalid};
use crate::front::Terms;

pub use front::{PRUNES_LOGS, ValidatedAssets, ValidatedFront};
pub(crate) use probes::by_command;
pub use probes::{Check, Probes};
pub use routes::{TlsEntry, ValidatedRoute};

/// How new pods take over from old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strategy {
    /// New pods start first.
    Rolling,
    /// New pods start first, on the node of the old ones, because a volume that they read is held by one node.
    RollingBeside,
    /// The old pod stops first, because only one pod may hold a volume.
    Recreate,
}

/// A WebApp in which nothing is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedWebApp {
    /// Its pods.
    pub pods: Pods,
    /// The ports on which they listen; never empty.
    pub ports: Vec<crds::Port>,
    /// The number of the metrics port.
    pub metrics_port: Option<i32>,
    /// Number of pods, while it is awake.
    pub replicas: i32,
    /// No pods run, for now.
    pub asleep: bool,
    /// How new pods take over.
    pub strategy: Strategy,
    /// Seconds that the app may take to start.
    pub startup_seconds: i64,
    /// Seconds for which new pods must serve before old ones may go.
    pub probation_seconds: i64,
    /// Its probes.
    pub probes: Probes,
    /// Where requests from outside go.
    pub routes: Vec<ValidatedRoute>,
    /// Certificates.
    pub tls: Vec<TlsEntry>,
    /// Class of the Ingress.
    pub ingress_class: Option<String>,
    /// Annotations of the Ingress.
    pub ingress_annotations: BTreeMap<String, String>,
    /// What is asked of the ingress controller.
    pub limits: Limits,
    /// What stands before it.
    pub front: Option<ValidatedFront>,
    /// What is kept of objects that were there before.
    pub kept: Kept,
}

impl ValidatedWebApp {
    /// The same, without pods. All else stays as it is.
    #[must_use]
    pub fn asleep(self) -> Self {
        Self { asleep: true, ..self }
    }

    /// Address of the first route.
    pub fn url(&self) -> Option<String> {
        routes::url(&self.routes, &self.tls)
    }

    /// The same, whose Ingress tells the controller of that class what is asked of it. The spec's own annotations win.
    #[must_use]
    pub fn behind(&self, class: &Class) -> Self {
        let Class::Of { controller, .. } = class else { return self.clone() };
        let mut annotations = self.limits.annotations(controller);
        annotations.extend(self.ingress_annotations.clone());
        Self { ingress_annotations: annotations, ..self.clone() }
    }
}

/// Checks `spec` and fills in every default; `terms` are those of its front, and `kept` is what it keeps of objects that were there before.
pub fn validate(
    app: &App,
    spec: &crds::WebAppSpec,
    facts: &Facts<'_>,
    terms: &Terms,
    kept: &Kept,
) -> Result<ValidatedWebApp, Invalid> {
    name(app)?;
    let main_port = main_port(&spec.ports)?.clone();
    let mut pods = Pods::validated(app, &spec.pod, facts)?;
    let command = gunicorn::command(spec, main_port.port)?;
    let env = gunicorn::env(spec)?;
    let replicas = spec.replicas.unwrap_or(1).max(0);
    let strategy = strategy(&pods.volumes, spec.pod.is_singleton(), replicas)?;
    let routes = routes::routes(app, spec, &main_port)?;
    let tls = routes::tls(spec, &routes)?;
    let limits = Limits::of(spec);
    let front = ValidatedFront::of(app, spec, &mut pods, &main_port, facts, &limits, terms)?;
    let probes = probes::probes(spec, &main_port)?;
    let health = spec.health.as_ref();
    let expose = spec.expose.clone().unwrap_or_default();
    Ok(ValidatedWebApp {
        pods: Pods {
            command,
            env,
            drain_seconds: seconds(drain(spec), 30),
            errands: Errands::of(&terms.errands.0, &terms.errands.1),
            ..pods
        },
        metrics_port: spec.ports.iter().find(|p| p.is_metrics()).map(|p| p.port),
        ports: spec.ports.clone(),
        replicas,
        asleep: false,
        strategy,
        startup_seconds: seconds(health.and_then(|h| h.startup_timeout), 120),
        probation_seconds: seconds(health.and_then(|h| h.probation), 10),
        probes,
        routes,
        tls,
        ingress_class: expose.ingress_class_name,
        ingress_annotations: expose.annotations,
        limits,
        front,
        kept: kept.clone(),
    })
}

/// How long requests under way may take when a pod stops, where the spec says so.
fn drain(spec: &crds::WebAppSpec) -> Option<crds::Duration> {
    spec.drain.as_ref().and_then(|d| d.timeout).or(spec.gunicorn.as_ref().and_then(|g| g.timeout))
}

/// How new pods of an app with these volumes take over, of which there are so many at most.
pub(crate) fn strategy(volumes: &[ValidatedVolume], is_singleton: bool, replicas: i32) -> Result<Strategy, Invalid> {
    if is_singleton && replicas > 1 {
        return Err(Invalid::Several { replicas });
    }
    if let Some(held) = volumes.iter().find(|v| v.access == Access::OnePod) {
        if replicas > 1 {
            return Err(Invalid::HeldByOne { volume: held.name.clone(), replicas });
        }
        return Ok(Strategy::Recreate);
    }
    if is_singleton {
        return Ok(Strategy::Recreate);
    }
    let beside = volumes.iter().any(|v| v.access == Access::OneNode);
    Ok(if beside { Strategy::RollingBeside } else { Strategy::Rolling })
}

fn name(app: &App) -> Result<(), Invalid> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let good = app.name.starts_with(|c: char| c.is_ascii_lowercase())
        && app.name.chars().all(allowed)
        && !app.name.ends_with('-');
    if good { Ok(()) } else { Err(Invalid::Name { name: app.name.clone() }) }
}

/// The first port on which the app answers people.
fn main_port(ports: &[crds::Port]) -> Result<&crds::Port, Invalid> {
    unique("ports", ports.iter().map(|p| p.name.as_str()))?;
    let mut numbers = BTreeSet::new();
    for port in ports {
        if !(1..=65535).contains(&port.port) || !numbers.insert(port.port) {
            return Err(Invalid::PortNumber { name: port.name.clone(), port: port.port });
        }
    }
    ports.iter().find(|p| !p.is_metrics()).ok_or(Invalid::NoPort)
}

/// The port of that name, or the main one.
fn port_named<'a>(
    ports: &'a [crds::Port],
    wanted: Option<&str>,
    main: &'a crds::Port,
    field: &str,
) -> Result<&'a crds::Port, Invalid> {
    let Some(wanted) = wanted else { return Ok(main) };
    ports.iter().find(|p| p.name == wanted).ok_or_else(|| Invalid::UnknownPort {
        field: field.to_owned(),
        port: wanted.to_owned(),
        known: ports.iter().map(|p| p.name.as_str()).collect::<Vec<_>>().join(", "),
    })
}
