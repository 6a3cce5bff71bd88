//! The records of releases.

use std::collections::{BTreeMap, BTreeSet};

use drover_core::release::{Release, record_name};
use drover_core::render::ObjectKey;
use drover_core::trouble::{Mend, Trouble};
use drover_core::workload::App;
use drover_crds::{ANNOTATION_JOBS, DROVER, LABEL_INSTANCE, LABEL_MANAGED_BY, Owner};
use k8s_openapi::api::apps::v1::ControllerRevision;
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams, Preconditions};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{delete, key};
use crate::cluster::{Acting, ApiError, is_conflict};

/// How many releases are kept.
const KEPT: usize = 10;

/// The uids of the records of releases, by their numbers.
pub type Uids = BTreeMap<i64, String>;

/// The releases that were written down, newest first.
pub async fn releases<S: Serialize + DeserializeOwned>(
    acting: &Acting,
    app: &App,
) -> Result<(Vec<Release<S>>, Uids), ApiError> {
    let api: Api<ControllerRevision> = Api::namespaced(acting.client(), &app.namespace);
    let selector = format!("{LABEL_MANAGED_BY}={DROVER},{LABEL_INSTANCE}={}", app.object_name());
    let key = key("apps", "ControllerRevision", &app.namespace, &app.object_name());
    let list = api.list(&ListParams::default().labels(&selector)).await.map_err(|e| acting.error(e, "list", &key))?;
    let (mut releases, mut uids) = (Vec::new(), Uids::new());
    for record in &list.items {
        let Some(release) = Release::from_record(app, record) else { continue };
        uids.extend(record.metadata.uid.clone().map(|uid| (release.number, uid)));
        releases.push(release);
    }
    releases.sort_by_key(|r| std::cmp::Reverse(r.number));
    Ok((releases, uids))
}

/// Writes a release down before anything of it is applied. A record that is there with the same content is ours: the process
/// died after writing it. The record's uid.
pub async fn write_ahead<S>(acting: &Acting, app: &App, release: &Release<S>) -> Result<String, Trouble>
where
    S: PartialEq + Serialize + DeserializeOwned,
{
    let api: Api<ControllerRevision> = Api::namespaced(acting.client(), &app.namespace);
    let record = release.to_record(app);
    let name = record_name(app, release.number);
    let uid = |record: ControllerRevision| record.metadata.uid.unwrap_or_default();
    let error = match api.create(&PostParams::default(), &record).await {
        Ok(made) => return Ok(uid(made)),
        Err(error) => error,
    };
    let key = key("apps", "ControllerRevision", &app.namespace, &name);
    if !is_conflict(&error) {
        return Err(acting.error(error, "create", &key).into());
    }
    let found = api.get_opt(&name).await.map_err(|e| acting.error(e, "get", &key))?;
    // The record of a deleted app of this name, which the garbage collector has not come to yet.
    if let Some(left) = found.as_ref().filter(|found| is_of_another_life(app, found)) {
        let preconditions = Preconditions { uid: left.metadata.uid.clone(), resource_version: None };
        let params = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::background() };
        api.delete(&name, &params).await.map_err(|e| acting.error(e, "delete", &key))?;
        let made = api.create(&PostParams::default(), &record).await.map_err(|e| acting.error(e, "create", &key))?;
        return Ok(uid(made));
    }
    let is_same = |found: &ControllerRevision| {
        Release::from_record(app, found)
            .is_some_and(|f: Release<S>| (f.number, &f.data) == (release.number, &release.data))
    };
    found.filter(is_same).map(uid).ok_or_else(|| foreign(&key))
}

/// Writes down how the jobs of a release ended. A record that was made anew under its name is another's.
///
/// It is written whole: a patch has the API server encode the data anew, with `<`, `>` and `&` escaped, and then take them for changed, which
/// those of a record never are.
pub async fn note_ends<S>(
    acting: &Acting,
    app: &App,
    owner: &Owner,
    release: &Release<S>,
    uid: &str,
) -> Result<(), ApiError> {
    let api: Api<ControllerRevision> = Api::namespaced(acting.client(), &app.namespace);
    let name = record_name(app, release.number);
    let key = key("apps", "ControllerRevision", &app.namespace, &name);
    let found = api.get_opt(&name).await.map_err(|error| acting.error(error, "get", &key))?;
    let found = found.filter(|found| found.metadata.uid.as_deref() == Some(uid));
    let mut record = found.ok_or_else(|| ApiError::Changed { object: key.to_string() })?;
    let annotations = record.metadata.annotations.get_or_insert_default();
    annotations.remove(ANNOTATION_JOBS);
    annotations.extend(release.ends.annotation().map(|ends| (ANNOTATION_JOBS.to_owned(), ends)));
    record.metadata.managed_fields = None;
    let params = PostParams { field_manager: Some(owner.field_manager()), ..PostParams::default() };
    api.replace(&name, &params, &record).await.map(drop).map_err(|error| acting.error(error, "update", &key))
}

/// A record's name is taken by something else. That may be left from a deleted app of this name, and about to go.
fn foreign(record: &ObjectKey) -> Trouble {
    let sentence = format!("{record} exists already and is not this release: delete it, and drover writes its own");
    Trouble::new("OwnedByAnother", sentence, Mend::Time)
}

/// Whether a record belongs to an app of the same name that was deleted.
fn is_of_another_life(app: &App, record: &ControllerRevision) -> bool {
    let mut owners = record.metadata.owner_references.iter().flatten().filter(|owner| owner.controller == Some(true));
    owners
        .any(|owner| owner.kind == app.kind.as_str() && owner.name == app.name && Some(&owner.uid) != app.uid.as_ref())
}

/// Deletes the records of old releases: the last 10 stay, and those that the status `named`, which can be gone back to.
pub async fn forget_old<S>(
    acting: &Acting,
    app: &App,
    releases: &[Release<S>],
    named: &BTreeSet<i64>,
) -> Result<(), ApiError> {
    for release in releases.iter().skip(KEPT).filter(|release| !named.contains(&release.number)) {
        let name = record_name(app, release.number);
        let key = key("apps", "ControllerRevision", &app.namespace, &name);
        delete::<ControllerRevision>(acting, app, &name, key).await?;
    }
    Ok(())
}
