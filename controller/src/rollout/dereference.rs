//! What is there of an app's pods, and what they refer to, read as the namespace's account.

use std::collections::{BTreeMap, BTreeSet};

use drover_core::mask::excerpt;
use drover_core::render::ObjectKey;
use drover_core::workload::App;
use drover_core::workload::pods::settings::{SettingKind, readings};
use drover_core::workload::pods::{LiveClaim, RanOnce};
use drover_crds as crds;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, PersistentVolumeClaim, Pod, Secret, Service};
use kube::Api;
use kube::api::{ListParams, LogParams};

use super::key;
use crate::cluster::{Acting, ApiError};
use crate::registry::Credentials;

/// The Deployment as it is.
pub async fn deployment(acting: &Acting, app: &App) -> Result<Option<Deployment>, ApiError> {
    let api: Api<Deployment> = Api::namespaced(acting.client(), &app.namespace);
    let name = app.object_name();
    api.get_opt(&name).await.map_err(|e| acting.error(e, "get", &key("apps", "Deployment", &app.namespace, &name)))
}

/// The Deployment of the app's front as it is.
pub async fn front(acting: &Acting, app: &App) -> Result<Option<Deployment>, ApiError> {
    let api: Api<Deployment> = Api::namespaced(acting.client(), &app.namespace);
    let name = app.front_name();
    api.get_opt(&name).await.map_err(|e| acting.error(e, "get", &key("apps", "Deployment", &app.namespace, &name)))
}

/// The Service of that name, if it is there.
pub async fn service(acting: &Acting, app: &App, name: &str) -> Result<Option<Service>, ApiError> {
    let api: Api<Service> = Api::namespaced(acting.client(), &app.namespace);
    api.get_opt(name).await.map_err(|e| acting.error(e, "get", &key("", "Service", &app.namespace, name)))
}

/// The claims that these specs mount, and `further` ones, as they are; those that do not exist are left out.
pub async fn claims(
    acting: &Acting,
    app: &App,
    specs: &[&crds::PodSpec],
    further: &BTreeSet<String>,
) -> Result<BTreeMap<String, LiveClaim>, ApiError> {
    let mounted = |v: &crds::Volume| match (&v.claim, &v.persistent_volume_claim, &v.data_sync) {
        (Some(_), _, _) => Some(app.child_name(&v.name)),
        (None, Some(existing), _) => Some(existing.claim_name.clone()),
        (None, None, Some(synced)) => Some(crds::synced_claim(&synced.name)),
        (None, None, None) => None,
    };
    let mounted = specs.iter().flat_map(|s| &s.volumes).filter_map(mounted);
    claims_named(acting, app, mounted.chain(further.iter().cloned()).collect()).await
}

/// The key of a claim of the app's namespace.
pub fn claim_key(app: &App, name: &str) -> ObjectKey {
    key("", "PersistentVolumeClaim", &app.namespace, name)
}

/// The claims of these names, as they are; those that do not exist are left out.
pub async fn claims_named(
    acting: &Acting,
    app: &App,
    names: BTreeSet<String>,
) -> Result<BTreeMap<String, LiveClaim>, ApiError> {
    let api: Api<PersistentVolumeClaim> = Api::namespaced(acting.client(), &app.namespace);
    let mut claims = BTreeMap::new();
    for name in names {
        let key = claim_key(app, &name);
        let Some(found) = api.get_opt(&name).await.map_err(|e| acting.error(e, "get", &key))? else { continue };
        let remembered = found.metadata.annotations.as_ref().and_then(|all| all.get(crds::ANNOTATION_RAN_ONCE));
        let ran_once = remembered.map(|text| RanOnce::parse(text)).unwrap_or_default();
        let spec = found.spec.unwrap_or_default();
        let storage = spec.resources.and_then(|r| r.requests).and_then(|r| r.get("storage").map(|q| q.0.clone()));
        let live = LiveClaim {
            storage,
            access_modes: spec.access_modes.unwrap_or_default(),
            storage_class: spec.storage_class_name,
            ran_once,
        };
        claims.insert(name, live);
    }
    Ok(claims)
}

/// The pods that this selector finds, those that are being deleted left out.
pub async fn pods(acting: &Acting, app: &App, selector: &str) -> Result<Vec<Pod>, ApiError> {
    let api: Api<Pod> = Api::namespaced(acting.client(), &app.namespace);
    let key = key("", "Pod", &app.namespace, &app.object_name());
    let params = ListParams::default().labels(selector);
    let list = api.list(&params).await.map_err(|e| acting.error(e, "list", &key))?;
    Ok(list.items.into_iter().filter(|p| p.metadata.deletion_timestamp.is_none()).collect())
}

/// What the image is resolved with. A Secret that does not exist is passed over, as the kubelet does.
pub async fn credentials(acting: &Acting, app: &App, spec: &crds::PodSpec) -> Result<Credentials, ApiError> {
    let mut credentials = Credentials::default();
    for reference in &spec.image_pull_secrets {
        if let Some(secret) = secret(acting, app, &reference.name).await? {
            credentials.add(&reference.name, &secret.data.unwrap_or_default());
        }
    }
    Ok(credentials)
}

/// The Secret of that name, if it is there.
pub async fn secret(acting: &Acting, app: &App, name: &str) -> Result<Option<Secret>, ApiError> {
    let api: Api<Secret> = Api::namespaced(acting.client(), &app.namespace);
    api.get_opt(name).await.map_err(|e| acting.error(e, "get", &key("", "Secret", &app.namespace, name)))
}

/// The ConfigMap of that name, if it is there.
pub async fn config_map(acting: &Acting, app: &App, name: &str) -> Result<Option<ConfigMap>, ApiError> {
    let api: Api<ConfigMap> = Api::namespaced(acting.client(), &app.namespace);
    api.get_opt(name).await.map_err(|e| acting.error(e, "get", &key("", "ConfigMap", &app.namespace, name)))
}

/// The last lines of the log of the container that `problem` is about, with the values of the app's Secrets masked. Without
/// those values there is no log: what cannot be masked is not shown.
pub async fn log(acting: &Acting, app: &App, spec: &crds::PodSpec, problem: &crds::Problem) -> Vec<String> {
    let (Some(pod), Some(container)) = (&problem.pod, &problem.container) else { return Vec::new() };
    let mut values = Vec::new();
    let of_secrets = readings(spec).into_iter().filter(|one| one.kind == SettingKind::Secret);
    for name in of_secrets.map(|one| one.name).collect::<BTreeSet<_>>() {
        match secret(acting, app, &name).await {
            Ok(found) => {
                let data = found.and_then(|s| s.data).unwrap_or_default();
                values.extend(data.into_values().map(|v| String::from_utf8_lossy(&v.0).into_owned()));
            }
            Err(error) => return vec![format!("(the log is left out, because its secrets cannot be masked: {error})")],
        }
    }
    let api: Api<Pod> = Api::namespaced(acting.client(), &app.namespace);
    for previous in [true, false] {
        let params = LogParams {
            container: Some(container.clone()),
            previous,
            tail_lines: Some(200),
            // More than that many lines have, or the last would be cut off.
            limit_bytes: Some(256 * 1024),
            ..LogParams::default()
        };
        // A container that never ran, or was not restarted, has no previous log: that is no failure worth telling.
        if let Ok(text) = api.logs(pod, &params).await
            && !text.trim().is_empty()
            // The kubelet's own words, in place of the log of a container that it has cleared away.
            && !text.starts_with("unable to retrieve container logs for ")
        {
            return excerpt(&text, &values);
        }
    }
    Vec::new()
}
