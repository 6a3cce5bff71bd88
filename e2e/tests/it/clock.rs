//! What goes by the clock on the wall, at another time.

use std::path::Path;
use std::time::Duration;

use drover_crds::ANNOTATION_RECONCILE_AT;
use drover_e2e::fault::api::{JOURNAL, PLAN, Plan};
use drover_e2e::fault::clock::{CLOCK, set_ahead};
use drover_e2e::{Controller, Namespace, Stage, eventually, steadily};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams};
use serde_json::json;

/// The testbed of this test; that of the tests with a hurt API server, which take turns with it.
const NUMBER: u32 = 51;
/// Less than half of the minute for which drift is left after the first rounds of a war.
const SOON: Duration = Duration::from_secs(25);
const AN_HOUR: Duration = Duration::from_secs(3600);

/// Somebody sets what git sets.
async fn meddle(namespace: &Namespace) {
    let params = PatchParams { field_manager: Some("rival".into()), ..PatchParams::default() };
    let theirs = Patch::Merge(json!({"data": {"text": "theirs"}}));
    namespace.api::<ConfigMap>().patch("a", &params, &theirs).await.expect("anybody may set it");
}

/// drover is asked for a look, as by `drover reconcile`.
fn look_again(namespace: &Namespace, stamp: &str) {
    namespace.kubectl(&[
        "annotate",
        "environment",
        "prod",
        &format!("{ANNOTATION_RECONCILE_AT}={stamp}"),
        "--overwrite",
    ]);
}

async fn text(namespace: &Namespace) -> Result<String, String> {
    let map = namespace.get::<ConfigMap>("a").await.ok_or("it is gone")?;
    map.data.and_then(|mut data| data.remove("text")).ok_or_else(|| "it says nothing".to_owned())
}

async fn is_put_back(namespace: &Namespace) {
    eventually("what git says is put back", SOON, async || match text(namespace).await? {
        text if text == "ours" => Ok(()),
        text => Err(text),
    })
    .await;
}

/// How far that time is from now.
fn ahead(time: Timestamp) -> Duration {
    time.duration_since(Timestamp::now()).try_into().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_war_of_an_hour_ago_is_over_and_drover_itself_has_no_such_clock() {
    let stage = Stage::enter(NUMBER).await;
    let folder = tempfile::tempdir().expect("the temporary folder is ours to write");
    let (plan, journal, moved) =
        (folder.path().join("plan"), folder.path().join("journal"), folder.path().join("clock"));
    Plan::default().write(&plan);
    let namespace = Namespace::on(stage.bed(), "clock").await;
    let repo = namespace.repository("maps");
    let map = |text: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{text: {text}}}\n");
    let first = repo.push(&[("map.yaml", &map("first"))], "First");

    set_ahead(&moved, AN_HOUR);
    let unmoved = Controller::on(&stage).variable(CLOCK, &moved).start();
    unmoved.leads_within(Duration::from_secs(40)).await;
    let environment = namespace.follow(&repo).await;
    let status = environment.is_ready_at(&first).await;
    let at = status.applied.and_then(|applied| applied.at).expect("it says when").0;
    assert!(ahead(at) < AN_HOUR / 2, "drover goes by the clock of a test: {at}");
    unmoved.stop();

    set_ahead(&moved, Duration::ZERO);
    let drover = Controller::on(&stage)
        .program(Path::new(env!("CARGO_BIN_EXE_drover-faulty")))
        .variable(PLAN, &plan)
        .variable(JOURNAL, &journal)
        .variable(CLOCK, &moved)
        .start();
    drover.leads_within(Duration::from_secs(40)).await;
    let second = repo.push(&[("map.yaml", &map("ours"))], "Ours");
    environment.is_ready_at(&second).await;
    for _ in 0..3 {
        meddle(&namespace).await;
        is_put_back(&namespace).await;
    }
    meddle(&namespace).await;
    look_again(&namespace, "1");
    steadily("it is left for a while", Duration::from_secs(5), async || match text(&namespace).await? {
        text if text == "theirs" => Ok(()),
        text => Err(text),
    })
    .await;

    set_ahead(&moved, AN_HOUR);
    look_again(&namespace, "2");
    is_put_back(&namespace).await;
    let third = repo.push(&[("map.yaml", &map("later"))], "Later");
    let status = environment.is_ready_at(&third).await;
    let at = status.applied.and_then(|applied| applied.at).expect("it says when").0;
    assert!(ahead(at) > AN_HOUR / 2, "it was applied at {at} by drover's clock");
}
