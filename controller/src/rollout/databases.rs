//! Whether the databases answer that an app connects to.

use drover_core::backup::required;
use drover_core::render::ObjectKey;
use drover_core::trouble::{Mend, Trouble};
use drover_crds::condition::{self, READY};
use drover_crds::{self as crds, ANNOTATION_BACKUP_AT, Database, Owner, OwnerKind};
use kube::{Api, ResourceExt as _};

use super::data::annotate;
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

/// Refuses a release in which one of `jobs` runs that asks for a backup which is not there, and asks for it where it says so. `owner` is told
/// when the Database changes. `now` is in seconds since 1970.
pub async fn refuse_without_backup(
    acting: &Acting,
    interest: &Interest,
    owner: &Owner,
    jobs: impl Iterator<Item = &crds::Job>,
    now: i64,
) -> Result<(), Trouble> {
    let namespace = &owner.key.namespace;
    let api: Api<Database> = Api::namespaced(acting.client(), namespace);
    for (job, wanted) in jobs.filter_map(|job| Some((job, job.require_backup.as_ref()?))) {
        let what = Owner::new(OwnerKind::Database, &**namespace, &*wanted.database);
        let key = ObjectKey::from(&what);
        interest.wait(owner, &key);
        let Some(found) = api.get_opt(&wanted.database).await.map_err(|error| acting.error(error, "get", &key))? else {
            let sentence = format!(
                "{what}, whose backup the job {} asks for, is not there: create it, or correct requireBackup.database",
                job.name
            );
            return Err(Trouble::new("DatabaseMissing", sentence, Mend::Event));
        };
        let Some(missing) = required(&found, wanted, &job.name, &owner.to_string(), now) else { continue };
        let asked = found.annotations().get(ANNOTATION_BACKUP_AT);
        if let Some(ask) = missing.ask.filter(|ask| asked != Some(ask)) {
            annotate::<Database>(acting, owner, &what, found.metadata.uid.as_deref(), (ANNOTATION_BACKUP_AT, &ask))
                .await?;
        }
        return Err(Trouble::new("AwaitingBackup", missing.sentence, Mend::Others));
    }
    Ok(())
}
