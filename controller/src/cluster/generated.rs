//! Keys of Secrets that drover fills with random values.

use drover_core::render::{Filling, Object, filling, generated_keys};
use drover_crds::{GENERATED_MANAGER, Owner};
use kube::api::{Patch, PatchParams};
use rand::distr::{Alphanumeric, SampleString as _};
use serde_json::Value;

use super::apply::Acting;
use super::discovery::Kind;
use super::error::ApiError;
use super::index::Live;
use super::refusal::is_conflict;

/// How many letters and digits a value has: nearly 300 bits, as much as Django's own.
const LENGTH: usize = 50;

/// So many letters and digits that nobody guesses.
pub fn random_text(length: usize) -> String {
    Alphanumeric.sample_string(&mut rand::rng(), length)
}

impl Acting {
    /// Sends an object, and the keys that are to be filled. A Secret that is new, or ours, has them before it has what git says of it: so
    /// nobody finds it without them, and a value that git gave until now outlives that. To one that is not ours yet nothing is added before
    /// it is.
    pub(super) async fn send_with_generated(
        &self,
        owner: &Owner,
        kind: &Kind,
        sent: &mut Object,
        force: bool,
    ) -> Result<Live, ApiError> {
        if generated_keys(sent).next().is_none() {
            return self.send_unless_taken(owner, kind, sent, force).await;
        }
        let found = self.read(sent).await?;
        if force || found.is_none() {
            self.fill(kind, sent, found.as_ref()).await?;
            return self.send_unless_taken(owner, kind, sent, force).await;
        }
        let answer = self.send_unless_taken(owner, kind, sent, force).await?;
        let found = self.read(sent).await?;
        self.fill(kind, sent, found.as_ref()).await?;
        Ok(answer)
    }

    /// Fills the keys that an object lacks which is else as it was last sent.
    ///
    /// # Errors
    /// [`ApiError::Changed`] when somebody changed it at the same moment, or it is gone.
    pub async fn complete(&self, object: &Object) -> Result<Live, ApiError> {
        let (kind, key) = (self.kind(object).await?, object.key());
        let changed = || ApiError::Changed { object: key.to_string() };
        let found = self.read(object).await?.ok_or_else(changed)?;
        self.fill(&kind, object, Some(&found)).await?;
        self.look(&kind, &key).await?.ok_or_else(changed)
    }

    /// Sends what is missing of the keys of `object`, of which `found` is in the cluster.
    async fn fill(&self, kind: &Kind, object: &Object, found: Option<&Value>) -> Result<(), ApiError> {
        let key = object.key();
        let mut random = || random_text(LENGTH);
        let Some(Filling { sent, made }) = filling(object, found, &mut random) else { return Ok(()) };
        // Never by force: what others hold is theirs.
        let params = PatchParams::apply(GENERATED_MANAGER);
        match self.api(kind, key.namespace.as_deref()).patch(&key.name, &params, &Patch::Apply(&sent)).await {
            Ok(_) if made.is_empty() => {}
            Ok(_) => tracing::info!(object = %key, keys = %made.join(" "), "made values for keys that were missing"),
            Err(error) if is_conflict(&error) => return Err(ApiError::Changed { object: key.to_string() }),
            Err(error) => return Err(self.error(error, "patch", &key)),
        }
        Ok(())
    }
}
