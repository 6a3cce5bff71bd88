//! Whether the databases answer that an app connects to.

use drover_core::render::ObjectKey;
use drover_core::trouble::{Mend, Trouble};
use drover_crds::condition::{self, READY};
use drover_crds::{self as crds, Database, Owner, OwnerKind};
use kube::Api;

use crate::cluster::Acting;
use crate::interest::Interest;

/// Refuses pods and jobs whose databases do not answer yet. `owner` is told when one of them changes.
pub async fn refuse_without(
    acting: &Acting,
    interest: &Interest,
    owner: &Owner,
    spec: &crds::PodSpec,
) -> Result<(), Trouble> {
    let namespace = &owner.key.namespace;
    let api: Api<Database> = Api::namespaced(acting.client(), namespace);
    for reference in &spec.database_refs {
        let what = Owner::new(OwnerKind::Database, &**namespace, &*reference.name);
        let key = ObjectKey::from(&what);
        interest.wait(owner, &key);
        let Some(found) = api.get_opt(&reference.name).await.map_err(|error| acting.error(error, "get", &key))? else {
            let sentence =
                format!("{what}, which databaseRefs names, is not there: create it, or correct databaseRefs.name");
            return Err(Trouble::new("DatabaseMissing", sentence, Mend::Event));
        };
        let ready = found.status.as_ref().and_then(|status| condition::get(&status.conditions, READY));
        if ready.is_none_or(|ready| ready.status != "True") {
            let why = ready.map(|ready| format!(": {}", ready.message)).unwrap_or_default();
            let sentence = format!("Waiting for {what} to answer{why}");
            return Err(Trouble::new("AwaitingDatabase", sentence, Mend::Others));
        }
    }
    Ok(())
}
