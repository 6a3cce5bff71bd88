//! What the DataSyncs have published that an app mounts.

use std::collections::{BTreeMap, BTreeSet};

use drover_core::render::ObjectKey;
use drover_core::sync::data_set;
use drover_core::trouble::{Mend, Trouble};
use drover_core::workload::pods::DataSet;
use drover_crds::condition::{self, READY};
use drover_crds::{self as crds, DataSync, Owner, OwnerKind};
use kube::Api;

use crate::cluster::Acting;
use crate::interest::Interest;

/// What was found of the DataSyncs that an app mounts.
#[derive(Default)]
pub struct Data {
    sets: BTreeMap<String, DataSet>,
    /// Why those that are left out have nothing.
    missing: BTreeMap<String, Trouble>,
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
                    data.sets.insert(name.clone(), set);
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
