//! The record of a release: those that are in clusters are read by every later version, as they were written.

use std::fs;
use std::path::Path;

use drover_core::release::{JobEnds, Release, ReleaseData};
use drover_core::workload::App;
use drover_core::workload::pods::{ImageUser, PodRelease};
use drover_crds::{OwnerKind, WebApp};

use super::workload::compare;

#[test]
fn a_record_stays_as_it_is_and_is_read_back() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/release");
    let spec = fs::read_to_string(folder.join("spec.yaml")).expect("a spec");
    let web_app: WebApp = serde_saphyr::from_str(&spec).expect("a WebApp");
    let data = ReleaseData {
        spec: web_app.spec,
        image: "registry.example.org/shop:1@sha256:aa".into(),
        user: ImageUser::Known("33".into()),
        origin: None,
        settings: None,
        commit: Some("c2".into()),
        pods: PodRelease { number: 6, commit: Some("c1".into()) },
        asked: Some("2026-11-27T08:00:00Z".into()),
        jobs: Vec::new(),
        last_run: None,
    };
    let release = Release { number: 7, data, ends: JobEnds::default() };
    let app =
        App { kind: OwnerKind::WebApp, namespace: "shop".into(), name: "shop".into(), uid: Some("3f0ac5d2".into()) };
    let file = folder.join("record.json");
    compare(&file, &format!("{}\n", serde_json::to_string_pretty(&release.to_record(&app)).expect("JSON")));
    let written = fs::read_to_string(&file).expect("a record");
    assert_eq!(Release::from_record(&app, &serde_json::from_str(&written).expect("a record")), Some(release));
}
