//! What the DataSyncs have published that an app mounts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::time::Duration;

use drover_core::render::ObjectKey;
use drover_core::sync::{Freshness, Refresh, Rejection, data_set, patience, stamp};
use drover_core::trouble::{Mend, Trouble};
use drover_core::workload::pods::DataSet;
use drover_crds::condition::{self, READY};
use drover_crds::{self as crds, DataSync, Owner, OwnerKind, RefreshOn, ServedSet};
use drover_crds::{ANNOTATION_RECONCILE_AT, ANNOTATION_REJECT_SET};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::json;

use crate::cluster::{Acting, ApiError};
use crate::interest::Interest;

/// What was found of the DataSyncs that an app mounts.
#[derive(Default)]
pub struct Data {
    sets: BTreeMap<String, DataSet>,
    /// Why those that are left out have nothing.
    missing: BTreeMap<String, Trouble>,
    fresh: BTreeMap<String, Freshness>,
    /// Of those whose sets pods mount one by one, the set that is published, and the one that was rejected last.
    published: BTreeMap<String, (String, Option<String>)>,
}

impl Data {
    /// What is published, by the DataSyncs' names.
    pub fn sets(&self) -> &BTreeMap<String, DataSet> {
        &self.sets
    }

    /// Refuses pods that would start before the first files are there.
    pub fn refuse_without(&self, spec: &crds::PodSpec) -> Result<(), Trouble> {
        match spec.data_syncs().find_map(|name| self.missing.get(name)) {
            Some(trouble) => Err(trouble.clone()),
            None => Ok(()),
        }
    }

    /// The sets that pods of `spec` mount one by one.
    pub fn mounted(&self, spec: &crds::PodSpec) -> Vec<ServedSet> {
        let names: BTreeSet<&String> = spec.data_syncs().collect();
        let published = names.into_iter().filter_map(|name| self.published.get_key_value(name));
        published.map(|(name, (set, _))| ServedSet { data_sync: name.clone(), set: set.clone() }).collect()
    }

    /// Rejects the sets that pods of `spec` do not run with, for everybody: those that are others than the ones that they `served` with.
    pub async fn reject(
        &self,
        acting: &Acting,
        owner: &Owner,
        spec: &crds::PodSpec,
        served: &[ServedSet],
        why: &str,
    ) -> Result<(), Trouble> {
        for ServedSet { data_sync, set } in self.mounted(spec) {
            let is_new = served.iter().any(|before| before.data_sync == data_sync && before.set != set);
            let is_rejected = self.published[&data_sync].1.as_ref() == Some(&set);
            if is_new && !is_rejected {
                let what = Owner::new(OwnerKind::DataSync, &*owner.key.namespace, &*data_sync);
                let uid = self.fresh.get(&data_sync).and_then(|fresh| fresh.uid.as_deref());
                let rejection = Rejection::new(&set, owner, why).to_string();
                annotate::<DataSync>(acting, owner, &what, uid, (ANNOTATION_REJECT_SET, &rejection)).await?;
            }
        }
        Ok(())
    }

    /// Has the data brought up to date that `spec` mounts, where `on`, which happened at `since`, asks for that. A [`Mend::Others`] as
    /// long as that is worth waiting for.
    pub async fn refreshed(
        &self,
        acting: &Acting,
        owner: &Owner,
        spec: &crds::PodSpec,
        (on, since): (RefreshOn, &Time),
        now: &Time,
    ) -> Result<(), Trouble> {
        let mut awaited: Option<(Owner, Duration)> = None;
        for name in spec.data_syncs() {
            let Some(fresh) = self.fresh.get(name) else { continue };
            let what = Owner::new(OwnerKind::DataSync, &*owner.key.namespace, &**name);
            let left = match fresh.refresh(on, since.0, now.0) {
                Refresh::Done => continue,
                Refresh::Ask => {
                    let wish = (ANNOTATION_RECONCILE_AT, &*stamp(now));
                    annotate::<DataSync>(acting, owner, &what, fresh.uid.as_deref(), wish).await?;
                    patience()
                }
                Refresh::Wait(left) => left,
            };
            awaited = awaited.into_iter().chain([(what, left)]).max_by_key(|(_, left)| *left);
        }
        let Some((what, left)) = awaited else { return Ok(()) };
        let minutes = patience().as_secs() / 60;
        let sentence = format!(
            "Waiting until {what} is brought up to date, at most {minutes} minutes: then its last good files are taken"
        );
        Err(Trouble { again: Some(left), ..Trouble::new("RefreshingData", sentence, Mend::Others) })
    }
}

/// Writes an annotation onto what an app reads, as a person would.
pub(super) async fn annotate<K>(
    acting: &Acting,
    owner: &Owner,
    what: &Owner,
    uid: Option<&str>,
    (name, value): (&str, &str),
) -> Result<(), ApiError>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
{
    let api: Api<K> = Api::namespaced(acting.client(), &what.key.namespace);
    let patch = json!({"metadata": {"uid": uid, "annotations": {name: value}}});
    let params = PatchParams { field_manager: Some(owner.field_manager()), ..PatchParams::default() };
    let written = api.patch_metadata(&what.key.name, &params, &Patch::Merge(patch)).await;
    written.map(drop).map_err(|error| acting.error(error, "patch", &ObjectKey::from(what)))
}

/// Reads the DataSyncs that these specs mount, and `further` ones. `owner` is told when one of them changes.
pub async fn published(
    acting: &Acting,
    interest: &Interest,
    owner: &Owner,
    specs: &[&crds::PodSpec],
    further: &BTreeSet<&String>,
) -> Result<Data, Trouble> {
    let mounted = specs.iter().flat_map(|spec| spec.data_syncs());
    let names: BTreeSet<&String> = mounted.chain(further.iter().copied()).collect();
    let namespace = &owner.key.namespace;
    let api: Api<DataSync> = Api::namespaced(acting.client(), namespace);
    let mut data = Data::default();
    for name in names {
        let what = Owner::new(OwnerKind::DataSync, namespace, name);
        let key = ObjectKey::from(&what);
        interest.wait(owner, &key);
        let found = api.get_opt(name).await.map_err(|error| acting.error(error, "get", &key))?;
        match found {
            None => {
                let sentence =
                    format!("{what}, whose files a volume mounts, is not there: create it, or correct dataSync.name");
                data.missing.insert(name.clone(), Trouble::new("DataMissing", sentence, Mend::Event));
            }
            Some(found) => match data_set(&found) {
                Some(set) => {
                    let id = set.folder.as_ref().and_then(|folder| folder.rsplit('/').next()).map(str::to_owned);
                    let rejected = Rejection::of(&found).map(|rejection| rejection.set);
                    data.published.extend(id.map(|id| (name.clone(), (id, rejected))));
                    data.sets.insert(name.clone(), set);
                    data.fresh.insert(name.clone(), Freshness::of(&found));
                }
                None => {
                    let status = found.status.as_ref();
                    let ready = status.and_then(|status| condition::get(&status.conditions, READY));
                    let why = ready.map(|ready| format!(": {}", ready.message)).unwrap_or_default();
                    let sentence = format!("Waiting for the first files of {what}{why}");
                    data.missing.insert(name.clone(), Trouble::new("AwaitingData", sentence, Mend::Others));
                }
            },
        }
    }
    Ok(data)
}
