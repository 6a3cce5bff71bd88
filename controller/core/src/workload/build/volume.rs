//! Volumes and mounts of pods.

use k8s_openapi::api::core::v1::{
    ConfigMapVolumeSource, EmptyDirVolumeSource, KeyToPath, NFSVolumeSource, PersistentVolumeClaimVolumeSource,
    SecretVolumeSource, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use crate::workload::pods::{JobLog, Pods, ValidatedVolume, VolumeSource};

/// The home of a user that the image has none for. Not below a path that images keep code in.
pub const HOME: &str = "/home/drover";

/// Folders that are writable without asking, whoever the app runs as.
fn scratch(pods: &Pods) -> impl Iterator<Item = (&'static str, &'static str)> {
    let mounted =
        |path: &str| pods.volumes.iter().flat_map(|v| &v.mounts).any(|m| m.mount_path.trim_end_matches('/') == path);
    let home = brings_home(pods).then_some(("drover-home", HOME));
    let folders = [Some(("drover-tmp", "/tmp")), Some(("drover-var-tmp", "/var/tmp")), home];
    folders.into_iter().flatten().filter(move |(_, path)| !mounted(path))
}

/// Whether the pod sets HOME: the user has none in the image, and the spec sets none.
pub fn brings_home(pods: &Pods) -> bool {
    pods.identity.home && !pods.env.iter().any(|e| e.name == "HOME")
}

pub fn volumes(pods: &Pods) -> Vec<Volume> {
    let empty = |(name, _): (&str, _)| Volume {
        name: name.to_owned(),
        empty_dir: Some(EmptyDirVolumeSource::default()),
        ..Default::default()
    };
    pods.volumes.iter().map(|v| volume(pods, v)).chain(scratch(pods).map(empty)).collect()
}

pub fn mounts(pods: &Pods) -> Vec<VolumeMount> {
    let of_volume = |v: &ValidatedVolume| -> Vec<VolumeMount> {
        let mount = |m: &drover_crds::Mount| VolumeMount {
            name: v.name.clone(),
            mount_path: m.mount_path.clone(),
            sub_path: match (v.folder(), &m.sub_path) {
                (Some(folder), Some(below)) => Some(format!("{folder}/{below}")),
                (folder, below) => below.clone().or(folder),
            },
            read_only: (m.is_read_only() || matches!(v.source, VolumeSource::Synced(_))).then_some(true),
            ..Default::default()
        };
        v.mounts.iter().map(mount).collect()
    };
    let of_scratch = |(name, path): (&str, &str)| VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        ..Default::default()
    };
    pods.volumes.iter().flat_map(of_volume).chain(scratch(pods).map(of_scratch)).collect()
}

/// The name of the volume that holds the front's log.
pub const LOG: &str = "drover-logs";

/// The front's log, as a job sees it.
pub fn log(log: &JobLog) -> Volume {
    let claim = Some(claimed(&log.claim));
    Volume { name: LOG.to_owned(), persistent_volume_claim: claim, ..Default::default() }
}

/// Where a job sees it.
pub fn log_mount(log: &JobLog) -> VolumeMount {
    VolumeMount { name: LOG.to_owned(), mount_path: log.mount_path.clone(), ..Default::default() }
}

/// A volume of `pods` as their template has it.
pub fn volume(pods: &Pods, volume: &ValidatedVolume) -> Volume {
    let mut built = Volume { name: volume.name.clone(), ..Default::default() };
    match &volume.source {
        VolumeSource::Claim(claim) => built.persistent_volume_claim = Some(claimed(&claim.name)),
        VolumeSource::Existing(claim) => built.persistent_volume_claim = Some(claimed(claim)),
        // Read-only as a whole, so that nobody walks through it to change its files' owner.
        VolumeSource::Synced(files) => {
            built.persistent_volume_claim =
                Some(PersistentVolumeClaimVolumeSource { read_only: Some(true), ..claimed(&files.claim) });
        }
        VolumeSource::Nfs(nfs) => {
            built.nfs = Some(NFSVolumeSource { server: nfs.server.clone(), path: nfs.path.clone(), read_only: None });
        }
        VolumeSource::Secret(secret) => {
            built.secret = Some(SecretVolumeSource {
                secret_name: Some(secret.secret_name.clone()),
                items: items(&secret.items),
                default_mode: secret.default_mode,
                optional: secret.optional,
            });
        }
        VolumeSource::ConfigMap(map) => {
            built.config_map = Some(ConfigMapVolumeSource {
                name: pods.settings.config_map(map.name.clone()),
                items: items(&map.items),
                default_mode: map.default_mode,
                optional: map.optional,
            });
        }
        VolumeSource::Empty(empty) => {
            built.empty_dir = Some(EmptyDirVolumeSource {
                medium: empty.medium.map(|_| "Memory".to_owned()),
                size_limit: empty.size_limit.as_ref().map(|s| Quantity(s.to_string())),
            });
        }
    }
    built
}

fn claimed(name: &str) -> PersistentVolumeClaimVolumeSource {
    PersistentVolumeClaimVolumeSource { claim_name: name.to_owned(), read_only: None }
}

fn items(files: &[drover_crds::KeyFile]) -> Option<Vec<KeyToPath>> {
    let item = |f: &drover_crds::KeyFile| KeyToPath { key: f.key.clone(), path: f.path.clone(), mode: f.mode };
    (!files.is_empty()).then(|| files.iter().map(item).collect())
}
