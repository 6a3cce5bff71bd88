//! Volumes, and who may hold them.

use std::collections::BTreeMap;

use drover_crds as crds;
use drover_crds::AccessMode;

use super::{Facts, RanOnce, unique};
use crate::workload::{App, Invalid};

/// A claim of the namespace as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveClaim {
    /// The storage that it asks for.
    pub storage: Option<String>,
    /// Its access modes.
    pub access_modes: Vec<String>,
    /// Its storage class.
    pub storage_class: Option<String>,
    /// What has run once on it.
    pub ran_once: RanOnce,
}

/// What to do about a claim that is larger than the spec asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shrinking {
    /// Refuse the spec: a person has to decide.
    Refuse,
    /// Keep its size: an older release is put back, and what grew since stays.
    KeepSize,
}

/// Who may hold a volume at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Any pods.
    AnyPods,
    /// Any pods of one node.
    OneNode,
    /// One pod.
    OnePod,
}

/// A volume with its mounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedVolume {
    /// Its name in the pod.
    pub name: String,
    /// Where it is mounted.
    pub mounts: Vec<crds::Mount>,
    /// Where its files are.
    pub source: VolumeSource,
    /// Who may hold it at a time.
    pub access: Access,
}

impl ValidatedVolume {
    /// The files of a DataSync that the app itself does not mount; `None` until there are some.
    pub fn synced(name: &str, data_sync: &str, facts: &Facts<'_>) -> Option<Self> {
        let set = facts.data_sets.get(data_sync)?;
        let synced = crds::SyncedData { name: data_sync.to_owned() };
        let asked = crds::Volume { name: name.to_owned(), data_sync: Some(synced), ..Default::default() };
        let files = SyncedFiles { claim: crds::synced_claim(data_sync), folder: set.folder.clone() };
        let access = access(&asked, facts.claims);
        Some(Self { name: asked.name, mounts: Vec::new(), source: VolumeSource::Synced(files), access })
    }

    /// The folder of the volume that pods see, where that is not all of it and the spec does not say.
    pub fn folder(&self) -> Option<String> {
        match &self.source {
            VolumeSource::Synced(files) => files.folder.clone(),
            _ => None,
        }
    }
}

/// Where a volume's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeSource {
    /// A claim that drover makes.
    Claim(ValidatedClaim),
    /// A claim that exists already.
    Existing(String),
    /// An NFS server's folder.
    Nfs(crds::Nfs),
    /// A Secret.
    Secret(crds::SecretFiles),
    /// A ConfigMap.
    ConfigMap(crds::ConfigMapFiles),
    /// An empty folder.
    Empty(crds::EmptyDir),
    /// The files of a DataSync, on its claim.
    Synced(SyncedFiles),
}

/// The files of a DataSync.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncedFiles {
    /// The claim that they are on.
    pub claim: String,
    /// The folder of the one set that these pods see; `None` where they see what is published at any time.
    pub folder: Option<String>,
}

/// A claim that drover makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValidatedClaim {
    /// Its name.
    pub name: String,
    /// The storage that it asks for.
    pub storage: String,
    /// Its storage class; `None` leaves the cluster's default.
    pub storage_class: Option<String>,
    /// Its access modes; never empty.
    pub access_modes: Vec<AccessMode>,
    /// Whether it outlives the WebApp.
    pub retain: bool,
}

pub(super) fn volumes(app: &App, spec: &crds::PodSpec, facts: &Facts<'_>) -> Result<Vec<ValidatedVolume>, Invalid> {
    unique("volumes", spec.volumes.iter().map(|v| v.name.as_str()))?;
    let mut mounted: BTreeMap<&str, &str> = BTreeMap::new();
    let mut volumes = Vec::with_capacity(spec.volumes.len());
    for volume in &spec.volumes {
        if volume.name.starts_with("drover-") {
            return Err(Invalid::ReservedVolume { volume: volume.name.clone() });
        }
        for mount in &volume.mounts {
            let path = mount.mount_path.trim_end_matches('/');
            if let Some(first) = mounted.insert(path, &volume.name) {
                let (first, second) = (first.to_owned(), volume.name.clone());
                return Err(Invalid::MountedTwice { path: path.to_owned(), first, second });
            }
            if let Some(path) = &mount.sub_path {
                inside(&volume.name, path)?;
            }
        }
        volumes.push(ValidatedVolume {
            name: volume.name.clone(),
            mounts: volume.mounts.clone(),
            source: source(app, volume, facts)?,
            access: access(volume, facts.claims),
        });
    }
    Ok(volumes)
}

fn inside(volume: &str, path: &str) -> Result<(), Invalid> {
    if path.starts_with('/') || path.split('/').any(|s| s == "..") {
        return Err(Invalid::OutsideVolume { volume: volume.to_owned(), path: path.to_owned() });
    }
    Ok(())
}

fn source(app: &App, volume: &crds::Volume, facts: &Facts<'_>) -> Result<VolumeSource, Invalid> {
    let mut sources = Vec::new();
    if let Some(claim) = &volume.claim {
        let name = app.child_name(&volume.name);
        sources.push(VolumeSource::Claim(ValidatedClaim::new(name, claim, facts.claims, facts.shrinking)?));
    }
    if let Some(existing) = &volume.persistent_volume_claim {
        sources.push(VolumeSource::Existing(existing.claim_name.clone()));
    }
    if let Some(nfs) = &volume.nfs {
        sources.push(VolumeSource::Nfs(nfs.clone()));
    }
    if let Some(secret) = &volume.secret {
        secret.items.iter().try_for_each(|i| inside(&volume.name, &i.path))?;
        sources.push(VolumeSource::Secret(secret.clone()));
    }
    if let Some(map) = &volume.config_map {
        map.items.iter().try_for_each(|i| inside(&volume.name, &i.path))?;
        sources.push(VolumeSource::ConfigMap(map.clone()));
    }
    if let Some(empty) = &volume.empty_dir {
        sources.push(VolumeSource::Empty(empty.clone()));
    }
    if let Some(synced) = &volume.data_sync {
        let set = facts.data_sets.get(&synced.name);
        if set.is_some_and(|set| set.folder.is_none()) && volume.mounts.iter().any(|mount| mount.sub_path.is_some()) {
            return Err(Invalid::SyncedSubPath { volume: volume.name.clone(), data_sync: synced.name.clone() });
        }
        let folder = set.and_then(|set| set.folder.clone());
        sources.push(VolumeSource::Synced(SyncedFiles { claim: crds::synced_claim(&synced.name), folder }));
    }
    let count = sources.len();
    match (sources.pop(), count) {
        (Some(source), 1) => Ok(source),
        _ => Err(Invalid::VolumeSources { volume: volume.name.clone(), count }),
    }
}

impl ValidatedClaim {
    /// The claim of that name, which may be among those that there are.
    ///
    /// # Errors
    /// When it would have to shrink, or to change what no claim changes.
    pub fn new(
        name: String,
        claim: &crds::Claim,
        claims: &BTreeMap<String, LiveClaim>,
        shrinking: Shrinking,
    ) -> Result<Self, Invalid> {
        let modes = claim.access_modes.clone().filter(|m| !m.is_empty());
        let mut storage = claim.resources.requests.storage.to_string();
        if let Some(live) = claims.get(&name) {
            let has = live.storage.clone().unwrap_or_default();
            let larger =
                crds::milli_units(&has).is_some_and(|has| has > claim.resources.requests.storage.milli_bytes());
            match shrinking {
                Shrinking::Refuse if larger => return Err(Invalid::Shrunk { claim: name, has, wants: storage }),
                Shrinking::KeepSize if larger => storage = has,
                _ => {}
            }
            if let (Some(has), Some(wants)) = (&live.storage_class, &claim.storage_class_name)
                && has != wants
            {
                let (has, wants) = (has.clone(), wants.clone());
                return Err(Invalid::ClaimChanged { claim: name, field: "storageClassName", has, wants });
            }
            let wanted: Vec<&str> =
                modes.as_deref().unwrap_or(&[AccessMode::ReadWriteOnce]).iter().map(|m| m.as_str()).collect();
            let same = wanted.len() == live.access_modes.len()
                && wanted.iter().all(|m| live.access_modes.iter().any(|l| l == m));
            if !live.access_modes.is_empty() && !same {
                let (has, wants) = (live.access_modes.join(", "), wanted.join(", "));
                return Err(Invalid::ClaimChanged { claim: name, field: "accessModes", has, wants });
            }
        }
        Ok(ValidatedClaim {
            name,
            storage,
            storage_class: claim.storage_class_name.clone(),
            access_modes: modes.unwrap_or_else(|| vec![AccessMode::ReadWriteOnce]),
            retain: claim.retention_policy.unwrap_or_default() == crds::RetentionPolicy::Retain,
        })
    }

    /// Whether the pods of one node hold it at a time.
    pub fn is_of_one_node(&self) -> bool {
        !self.access_modes.contains(&AccessMode::ReadWriteMany)
    }
}

/// Who may hold a volume at a time. A claim that nobody knows counts as held by one node.
pub(super) fn access(volume: &crds::Volume, claims: &BTreeMap<String, LiveClaim>) -> Access {
    let written = volume.mounts.iter().any(|m| !m.is_read_only());
    let modes: Vec<&str> = if let Some(claim) = &volume.claim {
        claim.access_modes.iter().flatten().map(|m| m.as_str()).collect()
    } else if let Some(existing) = &volume.persistent_volume_claim {
        let live = claims.get(&existing.claim_name);
        live.map(|l| l.access_modes.iter().map(String::as_str).collect()).unwrap_or_default()
    } else if let Some(synced) = &volume.data_sync {
        let live = claims.get(&crds::synced_claim(&synced.name));
        let is_shared = live.is_some_and(|live| live.access_modes.iter().any(|mode| mode == "ReadWriteMany"));
        return if is_shared { Access::AnyPods } else { Access::OneNode };
    } else {
        return Access::AnyPods;
    };
    let has = |mode: AccessMode| modes.contains(&mode.as_str());
    if has(AccessMode::ReadWriteMany) || (has(AccessMode::ReadOnlyMany) && !written) {
        Access::AnyPods
    } else if written || has(AccessMode::ReadWriteOncePod) {
        Access::OnePod
    } else {
        Access::OneNode
    }
}
