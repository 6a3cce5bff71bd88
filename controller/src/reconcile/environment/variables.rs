//! Variables that ConfigMaps and Secrets bring, read as the namespace's account. They are read again when one of these changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use drover_core::branch::Brought;
use drover_core::render::ObjectKey;
use drover_core::trouble::Trouble;
use drover_core::workload::pods::settings::SettingKind;
use drover_crds::{Environment, Owner, SubstituteFrom, SubstituteKind};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;

use crate::cluster::{Acting, Sight};
use crate::settings::{self, Settings, UNSEEN, Watched};

/// What the objects bring that the spec names; `known` where none of them has changed since.
pub(super) async fn brought(
    acting: &Acting,
    watched: &Settings,
    owner: &Owner,
    environment: &Environment,
    known: Option<&Arc<Brought>>,
) -> Result<Arc<Brought>, Trouble> {
    let (sources, namespace) = (&environment.spec.substitute_from, &owner.key.namespace);
    let key = |source: &SubstituteFrom| settings::key(kind(source), namespace, &source.name);
    let is_told = || sources.iter().all(|source| watched.interest().is_awaited_by(owner, &key(source)));
    let generation = environment.metadata.generation;
    if let Some(known) = known.filter(|known| known.holds(generation) && is_told()) {
        return Ok(known.clone());
    }
    let mut found = Brought::new(generation);
    for (index, source) in sources.iter().enumerate() {
        let key = key(source);
        watched.interest().wait(owner, &key);
        if watched.ensure(acting, namespace, kind(source)) == Sight::Blind {
            found.again = Some(UNSEEN);
        }
        let data = read(acting, source, &key).await?;
        found.add((index, source), &key, data)?;
    }
    found.hash = (!sources.is_empty()).then(|| acting.keyed_hash(&found.content()));
    Ok(Arc::new(found))
}

const fn kind(source: &SubstituteFrom) -> Watched {
    Watched::Setting(match source.kind {
        SubstituteKind::ConfigMap => SettingKind::ConfigMap,
        SubstituteKind::Secret => SettingKind::Secret,
    })
}

/// What stands in the object, as far as it is text; `None` where it is not there.
async fn read(
    acting: &Acting,
    source: &SubstituteFrom,
    key: &ObjectKey,
) -> Result<Option<BTreeMap<String, String>>, Trouble> {
    let (client, namespace) = (acting.client(), key.namespace.as_deref().unwrap_or_default());
    let failed = |error| acting.error(error, "read", key);
    Ok(match source.kind {
        SubstituteKind::ConfigMap => {
            let found = Api::<ConfigMap>::namespaced(client, namespace).get_opt(&key.name).await.map_err(failed)?;
            found.map(|found| found.data.unwrap_or_default())
        }
        SubstituteKind::Secret => {
            let found = Api::<Secret>::namespaced(client, namespace).get_opt(&key.name).await.map_err(failed)?;
            let text =
                |(name, value): (String, k8s_openapi::ByteString)| Some((name, String::from_utf8(value.0).ok()?));
            found.map(|found| found.data.unwrap_or_default().into_iter().filter_map(text).collect())
        }
    })
}
