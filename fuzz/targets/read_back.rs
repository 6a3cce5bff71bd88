//! What drover reads back from the cluster, where others may have written: inventories, releases, live objects.
#![no_main]

use drover::cluster::Live;
use drover::cluster::inventory::{Chunk, config_map, read};
use drover_core::front::Terms;
use drover_core::release::Release;
use drover_core::workload::App;
use drover_core::workload::pods::{Copies, Facts, Image, PodRelease, Shrinking};
use drover_core::workload::takeover::Kept;
use drover_core::workload::validate::validate;
use drover_crds::{OwnerKind, WebAppSpec};
use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::core::DynamicObject;
use libfuzzer_sys::fuzz_target;

fn inventory(map: &ConfigMap) {
    let Some((owner, number, chunk, record)) = read(map) else { return };
    let written = config_map(&owner, number, &chunk, &record);
    let (owner_again, number_again, chunk_again, record_again) = read(&written).expect("its own text is an inventory");
    assert_eq!((owner_again, number_again, record_again), (owner, number, record));
    assert_eq!(chunk_again, Chunk { version: map.metadata.resource_version.clone(), ..chunk });
}

fn release(record: &ControllerRevision) {
    let app = |uid: &str| App {
        kind: OwnerKind::WebApp,
        namespace: "shop".into(),
        name: "web".into(),
        uid: Some(uid.into()),
    };
    assert!(
        Release::<WebAppSpec>::from_record(&app("another"), record)
            .is_none_or(|_| record.metadata.owner_references.is_some())
    );
    let Some(release) = Release::<WebAppSpec>::from_record(&app("uid"), record) else { return };
    let written = release.to_record(&app("uid"));
    assert_eq!(Release::from_record(&app("uid"), &written).as_ref(), Some(&release));
    // A release that is put back may be older than the rules, or written by hand: it is built or refused with a sentence.
    let facts = Facts {
        image: &Image { ..release.data.image() },
        pods: &PodRelease::default(),
        restarted_at: None,
        claims: &[].into(),
        shrinking: Shrinking::Refuse,
        data_sets: &[].into(),
        asset_sets: &[].into(),
        own_sets: &release.data.own_sets(),
        settings: &release.data.settings.clone().unwrap_or_default(),
        copies: &Copies::default(),
    };
    match validate(&app("uid"), &release.data.spec, &facts, &Terms::unknown(), &Kept::default()) {
        Ok(valid) => assert!(!drover_core::workload::build::build(&valid).is_empty()),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fuzz_target!(|data: &[u8]| {
    if let Ok(map) = serde_json::from_slice::<ConfigMap>(data) {
        inventory(&map);
    }
    if let Ok(mut record) = serde_json::from_slice::<ControllerRevision>(data) {
        // Ours, so that what is in it matters.
        record.metadata.owner_references = Some(vec![owner()]);
        release(&record);
    }
    if let Ok(object) = serde_json::from_slice::<DynamicObject>(data) {
        let live = Live::of(&object);
        assert_eq!(live.deleting, object.metadata.deletion_timestamp.is_some());
        assert!(live.sent.is_none());
    }
});

fn owner() -> k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference {
    serde_json::from_str(
        r#"{"apiVersion": "drover.dev/v1alpha1", "kind": "WebApp", "name": "web", "uid": "uid", "controller": true}"#,
    )
    .expect("an owner")
}
