//! What stands before the app: the front, and what of the app's volumes it serves.

use std::collections::{BTreeMap, BTreeSet};

use drover_crds as crds;
use drover_crds::AccessMode;

use super::port_named;
use crate::front::{Front, Refused, ServicePort, SetName, Terms, Upstreams, assets_volume};
use crate::workload::exposure::Limits;
use crate::workload::pods::{Access, Facts, JobLog, Pods, ValidatedClaim, ValidatedVolume, VolumeSource, unique};
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
    /// The files of the app's image that it serves.
    pub assets: Vec<ValidatedAssets>,
    /// The claim of its log.
    pub log_claim: Option<ValidatedClaim>,
    /// The image that removes old logs, and the Secrets that it is pulled with.
    pub errands: (String, Vec<String>),
    /// Where Services are.
    pub upstreams: Upstreams,
}

/// Files of the app's image in which nothing is missing.
#[derive(Clone, Debug, PartialEq)]
pub struct ValidatedAssets {
    /// Their name.
    pub name: String,
    /// What makes them is called among the jobs of a release.
    pub job_name: String,
    /// Where they are in the image.
    pub path: String,
    /// What makes them; empty where the image has them.
    pub command: Vec<String>,
    /// The folder that the command starts in.
    pub working_dir: Option<String>,
    /// Seconds that making them may take.
    pub deadline_seconds: i64,
    /// Their claim.
    pub claim: ValidatedClaim,
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
        if let Some(unseen) = spec.assets.iter().find(|assets| !is_served(assets, spec)) {
            return Err(Refused::NotServed { assets: unseen.name.clone() }.into());
        }
        let Some(front) = Front::of(spec, terms, own, (limits.bytes(), limits.seconds))? else { return Ok(None) };
        let assets = assets(app, spec, pods, facts)?;
        pods.volumes.extend(assets.iter().filter_map(|assets| seen_by_pods(assets, facts)));
        let Served { volumes, absent, sets } = served(&front, pods, &assets, facts)?;
        let log_claim = spec.logs.as_ref().map(|logs| log_claim(app, logs, pods, facts)).transpose()?;
        let upstreams = Upstreams { absent, sets, ..Upstreams::default() };
        let valid = Self { front, volumes, assets, log_claim, errands: terms.errands.clone(), upstreams };
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
        let Upstreams { absent, sets, .. } = self.upstreams.clone();
        Self { upstreams: Upstreams { absent, sets, ..upstreams }, ..self.clone() }
    }

    /// Whether it mounts a claim that only one node holds.
    pub fn is_of_one_node(&self) -> bool {
        self.log_claim.as_ref().is_some_and(ValidatedClaim::is_of_one_node)
            || self.volumes.iter().any(|volume| volume.access != Access::AnyPods)
    }
}

/// What a front serves files of.
#[derive(Default)]
struct Served {
    volumes: Vec<ValidatedVolume>,
    /// The names of those that have no files yet.
    absent: BTreeSet<String>,
    /// The folders of those whose files are in several.
    sets: BTreeMap<String, Vec<SetName>>,
}

/// The volumes whose files `front` serves.
fn served(front: &Front, pods: &Pods, assets: &[ValidatedAssets], facts: &Facts<'_>) -> Result<Served, Refused> {
    let Served { volumes: mut served, mut absent, mut sets } = Served::default();
    for files in front.files() {
        let name = files.volume();
        if served.iter().any(|known| known.name == name) {
            continue;
        }
        match (&files.data_sync, &files.assets) {
            (Some(sync), _) => match ValidatedVolume::synced(name, sync, facts) {
                Some(volume) => served.push(volume),
                None => drop(absent.insert(name.to_owned())),
            },
            (None, Some(own)) => {
                let known = assets.iter().find(|assets| assets.name == *own);
                let known = known.ok_or_else(|| front.refuse_assets(files, own))?;
                let there = facts.asset_sets.get(own).into_iter().flatten().filter_map(|set| SetName::new(set));
                let there: Vec<SetName> = there.collect();
                if there.is_empty() {
                    absent.insert(name.to_owned());
                }
                sets.insert(name.to_owned(), there);
                served.push(volume_of(known, Vec::new()));
            }
            (None, None) => {
                let known = pods.volumes.iter().find(|volume| volume.name == name);
                let why = "which the app has not: write the name of one of spec.volumes";
                let volume = known.ok_or(why).and_then(|volume| servable(volume).map(|()| volume));
                served.push(volume.map_err(|why| front.refuse_files(files, why))?.clone());
            }
        }
    }
    Ok(Served { volumes: served, absent, sets })
}

/// The files of the release itself, as its pods see them where a command made them: some programs look up there which hash a name has. What
/// the image has it has.
fn seen_by_pods(assets: &ValidatedAssets, facts: &Facts<'_>) -> Option<ValidatedVolume> {
    let set = facts.own_sets.get(&assets.name).filter(|_| !assets.command.is_empty())?;
    let mount = crds::Mount { mount_path: assets.path.clone(), sub_path: Some(set.clone()), read_only: Some(true) };
    Some(volume_of(assets, vec![mount]))
}

fn volume_of(assets: &ValidatedAssets, mounts: Vec<crds::Mount>) -> ValidatedVolume {
    ValidatedVolume {
        name: assets_volume(&assets.name),
        mounts,
        access: if assets.claim.is_of_one_node() { Access::OneNode } else { Access::AnyPods },
        source: VolumeSource::Claim(assets.claim.clone()),
    }
}

fn is_served(assets: &crds::Assets, spec: &crds::WebAppSpec) -> bool {
    let of = |route: &crds::Route| route.to.files.as_ref().and_then(|files| files.assets.clone());
    spec.routes.iter().any(|route| of(route).is_some_and(|name| name == assets.name))
}

/// How much room files of an image are given that do not say how much they need.
const ROOM: &str = "1Gi";

/// The claim of files that do not say what they need: all of it can be made anew, so it goes with the app.
fn default_claim() -> crds::Claim {
    let storage = ROOM.parse().expect("a size");
    crds::Claim {
        resources: crds::ClaimResources { requests: crds::ClaimRequests { storage } },
        storage_class_name: None,
        access_modes: None,
        retention_policy: Some(crds::RetentionPolicy::Delete),
    }
}

fn assets(app: &App, spec: &crds::WebAppSpec, pods: &Pods, facts: &Facts<'_>) -> Result<Vec<ValidatedAssets>, Invalid> {
    unique("assets", spec.assets.iter().map(|assets| assets.name.as_str()))?;
    spec.assets.iter().map(|assets| one_of_assets(app, assets, spec, pods, facts)).collect()
}

fn one_of_assets(
    app: &App,
    assets: &crds::Assets,
    spec: &crds::WebAppSpec,
    pods: &Pods,
    facts: &Facts<'_>,
) -> Result<ValidatedAssets, Invalid> {
    let (name, job_name) = (assets.name.clone(), assets.job_name());
    let claim_name = app.child_name(&assets.claim_name());
    let of_the_log = spec.logs.is_some() && claim_name == app.child_name(crds::LOGS_CLAIM);
    if of_the_log || pods.claims().any(|claim| claim.name == claim_name) {
        return Err(Refused::AssetsClaim { assets: name, claim: claim_name }.into());
    }
    if pods.jobs.iter().any(|job| job.name == job_name) {
        return Err(Refused::AssetsJob { job: job_name, assets: name }.into());
    }
    let path = assets.path.trim_end_matches('/').to_owned();
    if path.is_empty() || !path.starts_with('/') || path.split('/').any(|part| part == "..") {
        return Err(Refused::AssetsPath { assets: name, path: assets.path.clone() }.into());
    }
    let at = |volume: &&ValidatedVolume| volume.mounts.iter().any(|m| m.mount_path.trim_end_matches('/') == path);
    if let Some(volume) = pods.volumes.iter().find(at).filter(|_| !assets.command.is_empty()) {
        return Err(Refused::AssetsFolder { assets: name, volume: volume.name.clone(), path }.into());
    }
    let claim = assets.claim.clone().unwrap_or_else(default_claim);
    let claim = ValidatedClaim::new(claim_name, &claim, facts.claims, facts.shrinking)?;
    if claim.access_modes.contains(&AccessMode::ReadWriteOncePod) {
        return Err(Refused::AssetsShutOut { assets: name }.into());
    }
    Ok(ValidatedAssets {
        name,
        job_name,
        path,
        command: assets.command.clone(),
        working_dir: assets.working_dir.clone(),
        deadline_seconds: assets.deadline_seconds(),
        claim,
    })
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
