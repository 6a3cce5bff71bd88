//! Somebody edits or deletes what drover applied; how long until it is back.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Service;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, WatchEvent};
use serde_json::json;

use crate::figures::{Row, milliseconds, percentile};
use crate::push::Apps;
use crate::watched::Watched;

const SAMPLES: usize = 20;

/// Half of the samples are edits, half are deletions.
pub async fn put_back(apps: &Apps) -> Vec<Row> {
    let services = apps.namespace.api::<Service>();
    let mut samples = Vec::new();
    for number in 0..SAMPLES {
        let name = format!("web-{}", number + 1);
        samples.push(if number % 2 == 0 {
            after_an_edit(&services, &name).await
        } else {
            after_a_deletion(&services, &name).await
        });
    }
    vec![Row::new("drift repair (10 edits, 10 deletions): p50 of 20", milliseconds(percentile(&samples, 50)))]
}

/// The label of the app's pods that is edited in the Service's selector.
const SELECTS: &str = drover_crds::LABEL_INSTANCE;

async fn after_an_edit(services: &Api<Service>, name: &str) -> Duration {
    let edit = Patch::Merge(json!({"spec": {"selector": {SELECTS: "nobody"}}}));
    let edited = services.patch(name, &PatchParams::default(), &edit).await.expect("a person may edit");
    let began = Instant::now();
    let watched = Watched::since(services, name, edited.metadata.resource_version).await;
    let is_back = |event: &WatchEvent<Service>| {
        let WatchEvent::Modified(service) = event else { return false };
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        selector.and_then(|selector| selector.get(SELECTS)).is_some_and(|app| app == name)
    };
    watched.until(is_back).await;
    began.elapsed()
}

async fn after_a_deletion(services: &Api<Service>, name: &str) -> Duration {
    let before = services.get(name).await.expect("the app has a Service");
    let began = Instant::now();
    services.delete(name, &DeleteParams::default()).await.expect("a person may delete");
    let watched = Watched::since(services, name, before.metadata.resource_version).await;
    watched.until(|event| matches!(event, WatchEvent::Added(_))).await;
    began.elapsed()
}
