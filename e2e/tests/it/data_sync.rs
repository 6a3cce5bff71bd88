//! Data of another place on a volume: there before the first pod, new without a restart, kept when the source fails.

use std::time::Duration;

use drover_crds::condition::{READY, get};
use drover_crds::{DataSync, DataSyncStatus};
use drover_e2e::{DataServer, Hello, Namespace, eventually};
use k8s_openapi::api::core::v1::Pod;

const SOON: Duration = Duration::from_secs(90);

fn data_sync(url: &str, more: &str) -> String {
    format!(
        "apiVersion: drover.dev/v1alpha1
kind: DataSync
metadata: {{name: csv}}
spec:
  source: {{http: {{url: \"{url}\", to: references.csv}}}}
  claim: {{resources: {{requests: {{storage: 100Mi}}}}, retentionPolicy: Delete}}
  {more}
"
    )
}

async fn status(namespace: &Namespace) -> DataSyncStatus {
    namespace.get::<DataSync>("csv").await.and_then(|sync| sync.status).unwrap_or_default()
}

/// Waits until `Ready` says so, and returns the status.
async fn says(namespace: &Namespace, word: &str) -> DataSyncStatus {
    eventually(&format!("the DataSync says {word}"), SOON, async || {
        let status = status(namespace).await;
        match get(&status.conditions, READY) {
            Some(ready) if format!("{} {}", ready.reason, ready.message).contains(word) => Ok(status),
            other => Err(format!("{other:?} {:?}", status.failure)),
        }
    })
    .await
}

/// An app that hands out what lies on the DataSync's volume.
fn reader(namespace: &Namespace) -> String {
    let volume = "volumes: [{name: csv, mounts: [{mountPath: /csv}], dataSync: {name: csv}}]";
    Hello::new("web", "1", &namespace.host()).env("FILES_DIR", "/csv").spec(volume).yaml()
}

/// Where it hands out the file.
const FILE: &str = "/files/references.csv";

#[tokio::test(flavor = "multi_thread")]
async fn new_data_is_seen_without_a_restart_and_what_is_wrong_with_the_source_changes_nothing() {
    let namespace = Namespace::new("data-live").await;
    let server = DataServer::start("live");
    server.put("references.csv", "a,b\n1,2\n");

    // The app first: it waits for its data, and says so.
    namespace.apply(&reader(&namespace));
    let app = namespace.app("web");
    app.comes_to("waits for its data", |status| match get(&status.conditions, READY) {
        Some(ready) if ready.reason == "DataMissing" && ready.message.contains("DataSync") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert!(app.pods().await.is_empty(), "no pod starts before its data");
    namespace.apply(&data_sync(
        &server.url("references.csv"),
        "publish: Live\n  guard: {minBytes: 4, contentTypes: [text/csv]}",
    ));
    let first = says(&namespace, "Published").await.published.expect("a set");
    assert_eq!((first.files, first.bytes), (1, 8));
    app.answers(FILE, "a,b").await;
    let before = app.pods().await;
    assert_eq!(app.page(FILE).await, "a,b\n1,2\n");

    // The same again is no news; another content is, at the same path, in the same pod.
    let synced = namespace.drover(&["sync", "csv", "--namespace", namespace.name()]);
    assert_eq!(synced.code, 0, "{}", synced.said());
    eventually("a sync that finds nothing new", SOON, async || {
        let status = status(&namespace).await;
        let job = status.last_sync.clone().map(|last| last.job).unwrap_or_default();
        if server.answers().contains(&304) && status.published.as_ref() == Some(&first) && !job.is_empty() {
            Ok(())
        } else {
            Err(format!("{status:?}"))
        }
    })
    .await;
    server.put("references.csv", "a,b\n1,2\n3,4\n");
    namespace.drover(&["sync", "csv", "--namespace", namespace.name()]);
    eventually("the pod reads the new data", SOON, async || match app.page(FILE).await {
        text if text == "a,b\n1,2\n3,4\n" => Ok(()),
        text => Err(format!("{text:?} {:?}", status(&namespace).await.failure)),
    })
    .await;

    // The source is gone: what was published stays, and it is said.
    server.remove("references.csv");
    namespace.drover(&["sync", "csv", "--namespace", namespace.name()]);
    let failed = says(&namespace, "LastSyncFailed").await;
    let failure = failed.failure.expect("a failure");
    assert!(failure.reason == "NotFound" && failure.message.contains("404"), "{failure:?}");
    assert_eq!(app.page(FILE).await, "a,b\n1,2\n3,4\n");
    assert_eq!(get(&failed.conditions, "Synced").map(|c| c.status.as_str()), Some("False"));

    // Too short a file is refused by the guard.
    server.put("references.csv", "a");
    namespace.drover(&["sync", "csv", "--namespace", namespace.name()]);
    let refused = says(&namespace, "minBytes").await.failure.expect("a failure");
    assert_eq!((refused.reason.as_str(), refused.times), ("TooSmall", 2));
    assert_eq!(app.page(FILE).await, "a,b\n1,2\n3,4\n");

    let after = app.pods().await;
    let uids = |pods: &[Pod]| pods.iter().map(|pod| pod.metadata.uid.clone()).collect::<Vec<_>>();
    assert_eq!(uids(&after), uids(&before), "no pod was made anew");
    let restarts = after[0].status.as_ref().and_then(|s| s.container_statuses.as_ref()).map(|c| c[0].restart_count);
    assert_eq!(restarts, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_rollout_each_pod_sees_one_set_for_as_long_as_it_lives() {
    let namespace = Namespace::new("data-rollout").await;
    let server = DataServer::start("rollout");
    server.put("references.csv", "one\n");
    namespace.apply(&data_sync(&server.url("references.csv"), "publish: Rollout"));
    namespace.apply(&reader(&namespace));
    let app = namespace.app("web");
    app.answers(FILE, "one").await;
    let first = app.pods().await;
    assert_eq!(app.page(FILE).await, "one\n");
    server.put("references.csv", "two\n");
    namespace.drover(&["sync", "csv", "--namespace", namespace.name()]);
    eventually("new pods read the new set", SOON, async || {
        let pods = app.pods().await;
        let is_old = |pod: &Pod| first.iter().any(|old| old.metadata.uid == pod.metadata.uid);
        if pods.is_empty() || pods.iter().any(is_old) {
            return Err(format!("{:?}", status(&namespace).await));
        }
        match app.page(FILE).await {
            text if text == "two\n" => Ok(()),
            text => Err(text),
        }
    })
    .await;
}
