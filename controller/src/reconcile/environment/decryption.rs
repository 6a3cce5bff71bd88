//! The age keys of the Secret that spec.decryption names, read as the namespace's account, and read again when that changes.

use std::sync::Arc;

use drover_core::branch::Keys;
use drover_core::trouble::Trouble;
use drover_core::workload::pods::settings::SettingKind;
use drover_crds::{Environment, Owner};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use crate::cluster::{Acting, Sight};
use crate::settings::{self, Settings, UNSEEN, Watched};

const SECRETS: Watched = Watched::Setting(SettingKind::Secret);

/// The keys, where the spec names some; `known` where their Secret has not changed since.
pub(super) async fn keys(
    acting: &Acting,
    watched: &Settings,
    owner: &Owner,
    environment: &Environment,
    known: Option<&Arc<Keys>>,
) -> Result<Option<Arc<Keys>>, Trouble> {
    let Some(decryption) = &environment.spec.decryption else { return Ok(None) };
    let (name, namespace) = (&decryption.secret_ref.name, &owner.key.namespace);
    let secret = settings::key(SECRETS, namespace, name);
    let generation = environment.metadata.generation;
    let is_told = || watched.interest().is_awaited_by(owner, &secret);
    if let Some(known) = known.filter(|known| known.holds(generation) && is_told()) {
        return Ok(Some(known.clone()));
    }
    watched.interest().wait(owner, &secret);
    let again = (watched.ensure(acting, namespace, SECRETS) == Sight::Blind).then_some(UNSEEN);
    let api = Api::<Secret>::namespaced(acting.client(), namespace);
    let found = api.get_opt(name).await.map_err(|error| acting.error(error, "read", &secret))?;
    let data =
        found.map(|found| found.data.unwrap_or_default().into_iter().map(|(key, value)| (key, value.0)).collect());
    Keys::read(generation, again, &secret, data).map(|keys| Some(Arc::new(keys)))
}
