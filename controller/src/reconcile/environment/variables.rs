//! Variables that ConfigMaps and Secrets bring, read as the namespace's account. They are read again when one of these changes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use drover_core::mask::mask;
use drover_core::render::{Variables, is_name};
use drover_core::trouble::{Mend, Trouble};
use drover_core::workload::pods::settings::SettingKind;
use drover_crds::{Environment, Owner, SubstituteFrom, SubstituteKind};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::{Api, ResourceExt as _};

use crate::cluster::{Acting, Sight};
use crate::settings::{self, Settings, UNSEEN};

/// Bytes that the values of all that is brought may have together.
const LARGEST: usize = 64 << 10;

/// What ConfigMaps and Secrets bring.
#[derive(Debug, Default)]
pub(super) struct Brought {
    generation: Option<i64>,
    values: BTreeMap<String, String>,
    /// Those of Secrets.
    secrets: Vec<String>,
    /// A keyed hash of all; `None` where the spec names no object.
    pub(super) hash: Option<String>,
    /// When to look again all the same, where changes are not told.
    pub(super) again: Option<Duration>,
}

impl Brought {
    /// All variables of `environment`; `None` where `${…}` is text.
    pub(super) fn variables(&self, environment: &Environment) -> Option<Variables> {
        let (own, brought) = (&environment.spec.substitute, self.values.clone());
        let has_some = own.is_some() || !environment.spec.substitute_from.is_empty();
        has_some.then(|| Variables::new(brought.into_iter().chain(own.clone().unwrap_or_default())))
    }

    /// Hides what Secrets brought in a sentence that quotes objects.
    pub(super) fn hide(&self, sentence: &mut String) {
        if !self.secrets.is_empty() {
            *sentence = mask(sentence, &self.secrets);
        }
    }

    /// The same for all that a trouble says.
    pub(super) fn hidden(&self, mut trouble: Trouble) -> Trouble {
        self.hide(&mut trouble.sentence);
        trouble.each.iter_mut().for_each(|failure| self.hide(&mut failure.message));
        trouble
    }
}

/// What the objects bring that the spec names; `known` where none of them has changed since.
pub(super) async fn brought(
    acting: &Acting,
    watched: &Settings,
    owner: &Owner,
    environment: &Environment,
    known: Option<&Arc<Brought>>,
) -> Result<Arc<Brought>, Trouble> {
    let sources = &environment.spec.substitute_from;
    let namespace = environment.namespace().unwrap_or_default();
    let keys = || sources.iter().map(|source| settings::key(kind(source), &namespace, &source.name));
    let is_told = || keys().all(|key| watched.interest().is_awaited_by(owner, &key));
    let generation = environment.metadata.generation;
    if let Some(known) =
        known.filter(|known| known.generation == generation && known.again.is_none()).filter(|_| is_told())
    {
        return Ok(known.clone());
    }
    let mut found = Brought { generation, ..Brought::default() };
    for (index, source) in sources.iter().enumerate() {
        watched.interest().wait(owner, &settings::key(kind(source), &namespace, &source.name));
        if watched.ensure(acting, &namespace, kind(source)) == Sight::Blind {
            found.again = Some(UNSEEN);
        }
        match read(acting, &namespace, source).await? {
            Some(values) => {
                if source.kind == SubstituteKind::Secret {
                    found.secrets.extend(values.values().cloned());
                }
                found.values.extend(values);
            }
            None if source.optional == Some(true) => {}
            None => return Err(found.trouble("VariablesMissing", &missing(index, source, &namespace))),
        }
    }
    let size: usize = found.values.values().map(String::len).sum();
    if size > LARGEST {
        let sentence = format!(
            "the variables that spec.substituteFrom brings have {size} bytes, and at most {LARGEST} are filled in: name objects that hold only variables"
        );
        return Err(found.trouble("VariablesTooLarge", &sentence));
    }
    if !sources.is_empty() {
        found.hash = Some(acting.keyed_hash(&serde_json::json!(found.values)));
    }
    Ok(Arc::new(found))
}

impl Brought {
    fn trouble(&self, reason: &str, sentence: &str) -> Trouble {
        Trouble { again: self.again, ..Trouble::new(reason, sentence.to_owned(), Mend::Event) }
    }
}

fn missing(index: usize, source: &SubstituteFrom, namespace: &str) -> String {
    format!(
        "{}, which spec.substituteFrom[{index}] names, is not there: create it, or write `optional: true` there",
        settings::key(kind(source), namespace, &source.name)
    )
}

const fn kind(source: &SubstituteFrom) -> SettingKind {
    match source.kind {
        SubstituteKind::ConfigMap => SettingKind::ConfigMap,
        SubstituteKind::Secret => SettingKind::Secret,
    }
}

/// The variables of one object: what is called otherwise, or is no text, is none.
async fn read(
    acting: &Acting,
    namespace: &str,
    source: &SubstituteFrom,
) -> Result<Option<BTreeMap<String, String>>, Trouble> {
    let (client, name) = (acting.client(), &source.name);
    let failed = |error| acting.error(error, "read", &settings::key(kind(source), namespace, name));
    let data = match source.kind {
        SubstituteKind::ConfigMap => {
            let found = Api::<ConfigMap>::namespaced(client, namespace).get_opt(name).await.map_err(failed)?;
            found.map(|found| found.data.unwrap_or_default())
        }
        SubstituteKind::Secret => {
            let found = Api::<Secret>::namespaced(client, namespace).get_opt(name).await.map_err(failed)?;
            found.map(|found| {
                let data = found.data.unwrap_or_default().into_iter();
                data.filter_map(|(key, value)| Some((key, String::from_utf8(value.0).ok()?))).collect()
            })
        }
    };
    Ok(data.map(|mut data: BTreeMap<String, String>| {
        data.retain(|key, _| is_name(key));
        data
    }))
}
