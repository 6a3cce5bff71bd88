//! What stands before the app: the front, and what of the app's volumes it serves.

use std::collections::BTreeSet;

use drover_crds as crds;
use drover_crds::AccessMode;

use super::port_named;
use crate::front::{Front, Refused, ServicePort, Terms, Upstreams};
use crate::workload::exposure::Limits;
use crate::workload::pods::{Access, Facts, JobLog, Pods, ValidatedClaim, ValidatedVolume, VolumeSource};
use crate::workload::{App, Invalid};

/// The name of what removes old logs, among the app's jobs.
pub const PRUNES_LOGS: &str = "logs-prune";

/// A front in which nothing is missing but where the Services are that it leads to.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedFront {
    /// What it does.
    pub front: Front,
    /// The volumes whose files it serves.
    pub volumes: Vec<ValidatedVolume>,
    /// The claim of its log.
    pub log_claim: Option<ValidatedClaim>,
    /// The image that removes old logs, and the Secrets that it is pulled with.
    pub errands: (String, Vec<String>),
    /// Where Services are.
    pub upstreams: Upstreams,
}

impl ValidatedFront {
    /// The front of that spec, and what it means for the app's pods: their jobs read its log, and who mounts claims that one node holds is
    /// on that node.
    pub(super) fn of(
        app: &App,
        spec: &crds::WebAppSpec,
        pods: &mut Pods,
        main: &crds::Port,
        facts: &Facts<'_>,
        limits: &Limits,
        terms: &Terms,
    ) -> Result<Option<Self>, Invalid> {
        let own = |target: &crds::AppTarget| ServicePort {
            service: app.object_name(),
            // A name that no port has was refused with the route.
            port: port_named(&spec.ports, target.port.as_deref(), main, "").unwrap_or(main).port,
        };
        let Some(front) = Front::of(spec, terms, own, (limits.bytes(), limits.seconds))? else { return Ok(None) };
        let (volumes, absent) = served(&front, pods, facts)?;
        let log_claim = spec.logs.as_ref().map(|logs| log_claim(app, logs, pods, facts)).transpose()?;
        let upstreams = Upstreams { absent, ..Upstreams::default() };
        let valid = Self { front, volumes, log_claim, errands: terms.errands.clone(), upstreams };
        pods.joined = valid.is_of_one_node() && pods.volumes.iter().any(|volume| volume.access != Access::AnyPods);
        pods.log = valid.log_claim.as_ref().zip(valid.front.log.as_ref()).map(|(claim, log)| JobLog {
            claim: claim.name.clone(),
            mount_path: log.mount_path.clone(),
            is_of_one_node: claim.is_of_one_node(),
        });
        Ok(Some(valid))
    }

    /// The same, with Services where `upstreams` says.
    #[must_use]
    pub fn leading(&self, upstreams: Upstreams) -> Self {
        let absent = self.upstreams.absent.clone();
        Self { upstreams: Upstreams { absent, ..upstreams }, ..self.clone() }
    }

    /// Whether it mounts a claim that only one node holds.
    pub fn is_of_one_node(&self) -> bool {
        self.log_claim.as_ref().is_some_and(ValidatedClaim::is_of_one_node)
            || self.volumes.iter().any(|volume| volume.access != Access::AnyPods)
    }
}

/// The volumes whose files `front` serves, and the names of those that have none yet.
fn served(front: &Front, pods: &Pods, facts: &Facts<'_>) -> Result<(Vec<ValidatedVolume>, BTreeSet<String>), Refused> {
    let (mut served, mut absent): (Vec<ValidatedVolume>, _) = (Vec::new(), BTreeSet::new());
    for files in front.files() {
        let name = files.volume();
        if served.iter().any(|known| known.name == name) {
            continue;
        }
        match &files.data_sync {
            Some(sync) => match ValidatedVolume::synced(name, sync, facts) {
                Some(volume) => served.push(volume),
                None => drop(absent.insert(name.to_owned())),
            },
            None => {
                let known = pods.volumes.iter().find(|volume| volume.name == name);
                let why = "which the app has not: write the name of one of spec.volumes";
                let volume = known.ok_or(why).and_then(|volume| servable(volume).map(|()| volume));
                served.push(volume.map_err(|why| front.refuse_files(files, why))?.clone());
            }
        }
    }
    Ok((served, absent))
}

/// Whether a front may serve files of that volume, and else why not.
fn servable(volume: &ValidatedVolume) -> Result<(), &'static str> {
    match &volume.source {
        VolumeSource::Claim(claim) if claim.access_modes.contains(&AccessMode::ReadWriteOncePod) => {
            Err("whose claim only one pod may mount: give it accessModes [ReadWriteOnce], which pods of one node share")
        }
        VolumeSource::Claim(_) | VolumeSource::Existing(_) | VolumeSource::Nfs(_) | VolumeSource::Synced(_) => Ok(()),
        VolumeSource::Secret(_) | VolumeSource::ConfigMap(_) | VolumeSource::Empty(_) => {
            Err("which is none that others may see: write one with claim, persistentVolumeClaim, nfs or dataSync")
        }
    }
}

fn log_claim(app: &App, logs: &crds::Logs, pods: &Pods, facts: &Facts<'_>) -> Result<ValidatedClaim, Invalid> {
    let name = app.child_name(crds::LOGS_CLAIM);
    if pods.claims().any(|claim| claim.name == name) {
        return Err(Refused::LogClaim { claim: name }.into());
    }
    if pods.jobs.iter().any(|job| job.name == PRUNES_LOGS) {
        return Err(Refused::PruneJob { job: PRUNES_LOGS.to_owned() }.into());
    }
    let path = logs.mount_path.trim_end_matches('/');
    let mounted = pods
        .volumes
        .iter()
        .find(|volume| volume.mounts.iter().any(|mount| mount.mount_path.trim_end_matches('/') == path));
    if let Some(volume) = mounted.map(|volume| volume.name.clone()) {
        return Err(Refused::LogFolder { volume, path: path.to_owned() }.into());
    }
    ValidatedClaim::new(name, &logs.claim, facts.claims, facts.shrinking)
}
