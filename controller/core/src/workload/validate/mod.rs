//! Step 2, pure: a spec becomes a [`ValidatedWebApp`], in which nothing can be missing, so that building cannot fail.
//!
//! What the API server has checked is checked again where building depends on it: `drover render` works without an API
//! server, and a release that is put back may be older than the rules.

mod error;
mod identity;
mod probes;
mod routes;
mod volumes;

use std::collections::{BTreeMap, BTreeSet};

use drover_crds as crds;

use super::takeover::Kept;

pub use error::Invalid;
pub use identity::{Identity, ImageUser};
pub use probes::{Check, Probes};
pub use routes::{TlsEntry, ValidatedRoute};
pub use volumes::{Access, LiveClaim, Shrinking, ValidatedClaim, ValidatedVolume, VolumeSource};

/// Which WebApp.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    /// Its namespace.
    pub namespace: String,
    /// Its name, as it was written.
    pub name: String,
    /// Its uid; `None` where there is no cluster.
    pub uid: Option<String>,
}

impl App {
    /// The name of its children, and the value of its labels: its own name, cut to what a label holds.
    pub fn object_name(&self) -> String {
        crds::bounded_name(&self.name)
    }

    /// The name of a further child.
    pub fn child_name(&self, suffix: &str) -> String {
        crds::bounded_name(&format!("{}-{suffix}", self.name))
    }
}

/// The image of a release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// As pods name it: with its digest where that is known.
    pub reference: String,
    /// The user that it runs as.
    pub user: ImageUser,
}

/// The release that last changed the pods: a release that changes only a route leaves them alone.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PodRelease {
    /// Its number.
    pub number: i64,
    /// Its commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

/// What a WebApp is validated with.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// The image of the release.
    pub image: &'a Image,
    /// The release that last changed the pods.
    pub pods: &'a PodRelease,
    /// The value of `drover.dev/restarted-at`.
    pub restarted_at: Option<&'a str>,
    /// The claims of the namespace that the app mounts, as they are.
    pub claims: &'a BTreeMap<String, LiveClaim>,
    /// What to do about a claim that is larger than the spec asks.
    pub shrinking: Shrinking,
    /// What is kept of objects that were there before.
    pub kept: &'a Kept,
}

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
    /// Which.
    pub app: App,
    /// The image as pods name it.
    pub image: String,
    /// When the node pulls it.
    pub pull_policy: Option<crds::ImagePullPolicy>,
    /// Names of the Secrets it is pulled with.
    pub pull_secrets: Vec<String>,
    /// Who the app runs as.
    pub identity: Identity,
    /// The program.
    pub command: Option<Vec<String>>,
    /// Its arguments.
    pub args: Option<Vec<String>>,
    /// All ports; never empty.
    pub ports: Vec<crds::Port>,
    /// The number of the metrics port.
    pub metrics_port: Option<i32>,
    /// Environment variables of the spec.
    pub env: Vec<crds::EnvVar>,
    /// Sources of further ones.
    pub env_from: Vec<crds::EnvFrom>,
    /// CPU and memory.
    pub resources: crds::Resources,
    /// Number of pods.
    pub replicas: i32,
    /// How new pods take over.
    pub strategy: Strategy,
    /// Seconds that requests under way may take when a pod stops.
    pub drain_seconds: i64,
    /// Seconds that the app may take to start.
    pub startup_seconds: i64,
    /// Seconds for which new pods must serve before old ones may go.
    pub probation_seconds: i64,
    /// Its probes.
    pub probes: Probes,
    /// Its volumes.
    pub volumes: Vec<ValidatedVolume>,
    /// Where requests from outside go.
    pub routes: Vec<ValidatedRoute>,
    /// Certificates.
    pub tls: Vec<TlsEntry>,
    /// Class of the Ingress.
    pub ingress_class: Option<String>,
    /// Annotations of the Ingress.
    pub ingress_annotations: BTreeMap<String, String>,
    /// The release that last changed the pods.
    pub pods: PodRelease,
    /// When a person last asked for new pods.
    pub restarted_at: Option<String>,
    /// What is kept of objects that were there before.
    pub kept: Kept,
}

impl ValidatedWebApp {
    /// The claims that drover makes.
    pub fn claims(&self) -> impl Iterator<Item = &ValidatedClaim> {
        self.volumes.iter().filter_map(|v| match &v.source {
            VolumeSource::Claim(claim) => Some(claim),
            _ => None,
        })
    }

    /// Address of the first route.
    pub fn url(&self) -> Option<String> {
        routes::url(&self.routes, &self.tls)
    }
}

/// Checks `spec` and fills in every default.
pub fn validate(app: &App, spec: &crds::WebAppSpec, facts: &Facts<'_>) -> Result<ValidatedWebApp, Invalid> {
    name(app)?;
    let main_port = main_port(&spec.ports)?.clone();
    let identity = identity::identity(&spec.pod, facts.image)?;
    let command = command(spec, main_port.port)?;
    let volumes = volumes::volumes(app, &spec.pod, facts)?;
    let replicas = spec.replicas.unwrap_or(1).max(0);
    let strategy = volumes::strategy(&volumes, replicas)?;
    let routes = routes::routes(app, spec, &main_port)?;
    let tls = routes::tls(spec, &routes)?;
    let probes = probes::probes(spec, &main_port)?;
    let gunicorn_timeout = spec.gunicorn.as_ref().and_then(|g| g.timeout);
    let drain = spec.pod.drain.as_ref().and_then(|d| d.timeout).or(gunicorn_timeout);
    let expose = spec.expose.clone().unwrap_or_default();
    unique("env", spec.pod.env.iter().map(|e| e.name.as_str()))?;
    Ok(ValidatedWebApp {
        app: app.clone(),
        image: facts.image.reference.clone(),
        pull_policy: spec.pod.image_pull_policy,
        pull_secrets: spec.pod.image_pull_secrets.iter().map(|s| s.name.clone()).collect(),
        identity,
        command,
        args: spec.pod.args.clone(),
        metrics_port: spec.ports.iter().find(|p| p.is_metrics()).map(|p| p.port),
        ports: spec.ports.clone(),
        env: spec.pod.env.clone(),
        env_from: spec.pod.env_from.clone(),
        resources: spec.pod.resources.clone().unwrap_or_default(),
        replicas,
        strategy,
        drain_seconds: seconds(drain, 30),
        startup_seconds: seconds(spec.pod.health.as_ref().and_then(|h| h.startup_timeout), 120),
        probation_seconds: seconds(spec.pod.health.as_ref().and_then(|h| h.probation), 10),
        probes,
        volumes,
        routes,
        tls,
        ingress_class: expose.ingress_class_name,
        ingress_annotations: expose.annotations,
        pods: facts.pods.clone(),
        restarted_at: facts.restarted_at.map(str::to_owned),
        kept: facts.kept.clone(),
    })
}

/// How new pods take over from old ones, from the spec alone: a claim that exists already counts as held by one node.
pub fn needs_recreate(spec: &crds::PodSpec, claims: &BTreeMap<String, LiveClaim>) -> bool {
    spec.volumes.iter().any(|v| volumes::access(v, claims) == Access::OnePod)
}

fn seconds(duration: Option<crds::Duration>, default: i64) -> i64 {
    duration.map_or(default, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX).min(86_400))
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

fn unique<'a>(list: &'static str, names: impl Iterator<Item = &'a str>) -> Result<(), Invalid> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(Invalid::Twice { list, name: name.to_owned() });
        }
    }
    Ok(())
}

/// The container's command.
fn command(spec: &crds::WebAppSpec, port: i32) -> Result<Option<Vec<String>>, Invalid> {
    let Some(gunicorn) = &spec.gunicorn else { return Ok(spec.pod.command.clone()) };
    if spec.pod.command.is_some() {
        return Err(Invalid::CommandAndGunicorn);
    }
    let mut command = vec!["gunicorn".to_owned(), gunicorn.app.clone(), "--bind".into(), format!("0.0.0.0:{port}")];
    // A flag wins over the image's gunicorn.conf.py, so only what the spec says becomes one.
    if let Some(workers) = workers(gunicorn, spec.pod.resources.as_ref())? {
        command.extend(["--workers".into(), workers.to_string()]);
    }
    if let Some(timeout) = gunicorn.timeout {
        command.extend(["--timeout".into(), timeout.as_secs().to_string()]);
    }
    if let Some(drain) = spec.pod.drain.as_ref().and_then(|d| d.timeout).or(gunicorn.timeout) {
        command.extend(["--graceful-timeout".into(), drain.as_secs().to_string()]);
    }
    Ok(Some(command))
}

/// The number of gunicorn's workers: as written, or two per CPU and one, as far as the memory limit allows.
fn workers(gunicorn: &crds::Gunicorn, resources: Option<&crds::Resources>) -> Result<Option<i64>, Invalid> {
    let Some(each) = &gunicorn.memory_per_worker else { return Ok(gunicorn.workers.map(i64::from)) };
    let amount = |name: &str, requests: bool| {
        let resources = resources?;
        let found = resources.limits.get(name).or_else(|| resources.requests.get(name).filter(|_| requests))?;
        crds::milli_units(&found.0)
    };
    let memory = amount("memory", false).ok_or(Invalid::NoMemoryLimit)?;
    let fitting = memory / each.milli_bytes().max(1);
    if fitting < 1 {
        return Err(Invalid::WorkerTooLarge { worker: each.to_string() });
    }
    // Parts of a CPU count as one: a worker that waits needs little.
    let cpus = amount("cpu", true).map_or(1, |milli| ((milli + 999) / 1000).max(1));
    Ok(i64::try_from(fitting.min(2 * cpus + 1)).ok())
}
