//! Data of another place on a volume: there before the first pod, new without a restart, kept when the source fails.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use drover_crds::condition::{READY, get};
use drover_crds::{DataSync, DataSyncStatus, ReleaseStep};
use drover_e2e::{
    BucketServer, DataServer, Hello, Namespace, Testbed, binary, eventually, finish, get as get_page, steadily,
};
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
fn reader(namespace: &Namespace, version: &str) -> String {
    let volume = "volumes: [{name: csv, mounts: [{mountPath: /csv}], dataSync: {name: csv}}]";
    Hello::new("web", version, &namespace.host()).env("FILES_DIR", "/csv").spec(volume).yaml()
}

/// Where it hands out the file.
const FILE: &str = "/files/references.csv";

#[tokio::test(flavor = "multi_thread")]
async fn new_data_is_seen_without_a_restart_and_what_is_wrong_with_the_source_changes_nothing() {
    let namespace = Namespace::new("data-live").await;
    let server = DataServer::start("live");
    server.put("references.csv", "a,b\n1,2\n");

    // The app first: it waits for its data, and says so.
    namespace.apply(&reader(&namespace, "1"));
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
    let before = app.standing().await;
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

    assert_eq!(app.standing().await, before, "no pod was made anew");
    let restarts =
        app.pods().await[0].status.as_ref().and_then(|s| s.container_statuses.as_ref()).map(|c| c[0].restart_count);
    assert_eq!(restarts, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_rollout_each_pod_sees_one_set_for_as_long_as_it_lives() {
    let namespace = Namespace::new("data-rollout").await;
    let server = DataServer::start("rollout");
    server.put("references.csv", "one\n");
    namespace.apply(&data_sync(&server.url("references.csv"), "publish: Rollout"));
    namespace.apply(&reader(&namespace, "1"));
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

#[tokio::test(flavor = "multi_thread")]
async fn a_release_comes_with_the_newest_data_and_without_any_where_the_source_is_away() {
    let namespace = Namespace::new("data-refresh").await;
    let server = DataServer::start("refresh");
    server.put("references.csv", "one\n");
    namespace.apply(&data_sync(&server.url("references.csv"), "publish: Rollout\n  refreshOn: [Release]"));
    namespace.apply(&reader(&namespace, "1"));
    let app = namespace.app("web");
    let live = async |number: i64, text: &str| {
        app.comes_to(&format!("release {number} is live"), |status| {
            let release = status.rollout.release.as_ref().ok_or("no release")?;
            let is_live = (release.number, release.step) == (number, ReleaseStep::Live);
            if is_live { Ok(()) } else { Err(format!("{release:?} {:?}", status.conditions)) }
        })
        .await;
        app.answers(FILE, text).await;
    };
    live(1, "one").await;

    // Nobody asks for a sync, and no pod of the release ever sees the old file.
    server.put("references.csv", "two\n");
    let release = |version: &str| namespace.apply(&reader(&namespace, version));
    release("2");
    live(2, "two").await;

    // The source is away: the release comes with what is there, and the age of that is told.
    server.remove("references.csv");
    release("1");
    live(3, "two").await;
    says(&namespace, "LastSyncFailed").await;
}

/// The keys of the bucket's account, as the Secret `lab`.
fn keys_of_the_lab(namespace: &Namespace) {
    let [(id, key), (secret, value)] = BucketServer::KEYS;
    let literals = [format!("--from-literal={id}={key}"), format!("--from-literal={secret}={value}")];
    namespace.kubectl(&["create", "secret", "generic", "lab", &literals[0], &literals[1]]);
}

/// Two apps on one data set, of which one does not run with the next one.
#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_an_app_does_not_run_with_is_put_back_for_all() {
    let namespace = Namespace::new("data-rejected").await;
    let server = namespace.bed().bucket_server("rejected");
    server.make("lab");
    server.put("lab", "table.txt", "one");
    server.put("lab", "ok.txt", "fine");
    keys_of_the_lab(&namespace);
    namespace.apply(&format!(
        "apiVersion: drover.dev/v1alpha1
kind: DataSync
metadata: {{name: csv}}
spec:
  source: {{s3: {{endpoint: {}, region: us-east-1, bucket: lab, secretRef: {{name: lab}}}}}}
  claim: {{resources: {{requests: {{storage: 100Mi}}}}, retentionPolicy: Delete}}
  publish: Rollout
",
        server.endpoint()
    ));
    let volume = "volumes: [{name: csv, mounts: [{mountPath: /csv}], dataSync: {name: csv}}]";
    let reads = |name: &str, host: &str| Hello::new(name, "1", host).env("FILES_DIR", "/csv").spec(volume);
    let picky = reads("picky", &namespace.host()).env("NEEDS", "/csv/ok.txt");
    let other_host = format!("other-{}", namespace.host());
    namespace.apply(&format!("{}---\n{}", picky.yaml(), reads("other", &other_host).yaml()));
    let (picky, other) = (namespace.app("picky"), namespace.app("other"));
    let shows = async |text: &'static str| {
        for host in [namespace.host(), other_host.clone()] {
            eventually(&format!("{host} shows {text}"), SOON, async || {
                let answer = get_page(&namespace.ingress(), &host, "/files/table.txt").await?;
                if answer.body == text { Ok(()) } else { Err(format!("{answer:?} {:?}", status(&namespace).await)) }
            })
            .await;
        }
    };
    shows("one").await;
    for app in [&picky, &other] {
        app.comes_to("serves with the first set", |status| match status.rollout.data_sets.len() {
            1 => Ok(()),
            _ => Err(format!("{status:?}")),
        })
        .await;
    }

    // Half of an upload: without what one of them lives by.
    let sync = || assert_eq!(namespace.drover(&["sync", "csv", "--namespace", namespace.name()]).code, 0);
    server.put("lab", "table.txt", "two");
    server.remove("lab", "ok.txt");
    sync();
    let rejected = says(&namespace, "picky does not run with it").await;
    let failure = rejected.failure.expect("a failure");
    assert_eq!(failure.reason, "SetRejected", "{failure:?}");
    shows("one").await;
    for app in [&picky, &other] {
        app.comes_to("serves with the first set again", |status| {
            let sets: Vec<&String> = status.rollout.data_sets.iter().map(|served| &served.set).collect();
            let is_ready = drover_e2e::ready(&status.conditions)?.status == "True";
            let published = rejected.published.as_ref().map(|published| &published.set);
            if is_ready && sets == Vec::from_iter(published) { Ok(()) } else { Err(format!("{status:?}")) }
        })
        .await;
    }
    // The same again is no news to anybody.
    sync();
    says(&namespace, "each of the last 2 syncs").await;

    server.put("lab", "ok.txt", "fine again");
    sync();
    shows("two").await;
}

/// Objects of a bucket that only who signs may read, on a real S3 server.
#[tokio::test(flavor = "multi_thread")]
async fn objects_of_a_bucket_are_files_of_an_app() {
    let namespace = Namespace::new("data-s3").await;
    let server = namespace.bed().bucket_server("it");
    server.make("lab");
    server.put("lab", "meta/table.csv", "a,b\n");
    server.put("lab", "layers/a.txt", "a");
    server.put("lab", "layers/deep/b.txt", "b");
    server.put("lab", "elsewhere/c.txt", "c");
    keys_of_the_lab(&namespace);
    namespace.apply(&format!(
        "apiVersion: drover.dev/v1alpha1
kind: DataSync
metadata: {{name: csv}}
spec:
  source:
    s3:
      endpoint: {}
      region: us-east-1
      bucket: lab
      secretRef: {{name: lab}}
      paths: [{{from: meta/table.csv, to: table.csv}}, {{from: layers/, to: layers/}}]
  claim: {{resources: {{requests: {{storage: 100Mi}}}}, retentionPolicy: Delete}}
  publish: Live
",
        server.endpoint()
    ));
    namespace.apply(&reader(&namespace, "1"));
    let app = namespace.app("web");
    app.answers("/files/layers/deep/b.txt", "b").await;
    let first = says(&namespace, "Published").await.published.expect("a set");
    assert_eq!((first.files, first.bytes), (3, 6), "what no path names is left out");

    // One object is another, one is new and one is gone: the app sees all of it, and no pod starts anew.
    let before = app.standing().await;
    server.put("lab", "layers/a.txt", "another");
    server.put("lab", "layers/d.txt", "d");
    server.remove("lab", "layers/deep/b.txt");
    let synced = namespace.drover(&["sync", "csv", "--namespace", namespace.name()]);
    assert_eq!(synced.code, 0, "{}", synced.said());
    app.answers("/files/layers/a.txt", "another").await;
    app.answers("/files/layers/d.txt", "d").await;
    let gone = get_page(&namespace.ingress(), &namespace.host(), "/files/layers/deep/b.txt").await;
    assert_eq!(gone.expect("the Ingress answers").status, 404);
    eventually("the status says so", SOON, async || {
        let second = status(&namespace).await.published.expect("a set");
        if (second.files, second.bytes) == (3, 12) { Ok(()) } else { Err(format!("{second:?}")) }
    })
    .await;

    // A bucket that lists nothing is no reason to have nothing.
    for key in ["meta/table.csv", "layers/a.txt", "layers/d.txt"] {
        server.remove("lab", key);
    }
    namespace.drover(&["sync", "csv", "--namespace", namespace.name()]);
    let failure = says(&namespace, "LastSyncFailed").await.failure.expect("a failure");
    assert!(failure.message.contains("meta/table.csv"), "{failure:?}");
    app.answers("/files/layers/d.txt", "d").await;
    assert_eq!(app.standing().await, before, "no pod is new");
}

/// A cluster of two nodes that are only played: the scheduler is the real one.
const TWO_NODES: u32 = 57;

/// A claim that one node holds is mounted by the pods of two apps and by the sync: all are on one node, whoever comes first.
#[test]
fn pods_that_share_a_claim_of_one_node_are_on_one_node() {
    let bed = Testbed::with_fake_nodes(TWO_NODES, 2);
    let folder = tempfile::tempdir().expect("a folder");
    let app = |name: &str, volume: &str| {
        format!(
            "---
apiVersion: drover.dev/v1alpha1
kind: WebApp
metadata: {{name: {name}, namespace: default}}
spec:
  image: nothing.test/web:1
  replicas: 3
  ports: [{{name: http, port: 8080}}]
  {volume}
"
        )
    };
    let mounts = "volumes: [{name: csv, mounts: [{mountPath: /csv}], dataSync: {name: csv}}]";
    let sync = data_sync("https://data.example.org/a.csv", "publish: Live\n  schedule: \"0 * * * *\"")
        .replace("{name: csv}\nspec", "{name: csv, namespace: default}\nspec");
    let all = [sync, app("one", mounts), app("two", mounts), app("apart", "")].concat();
    fs::write(folder.path().join("all.yaml"), all).expect("the folder is ours");
    let rendered = finish(Command::new(binary()).args(["render", "--children"]).arg(folder.path()), "");
    assert_eq!(rendered.code, 0, "{}", rendered.said());
    // The storage is there, and says of no node that it is there alone.
    bed.apply(
        "
apiVersion: v1
kind: PersistentVolume
metadata: {name: csv}
spec:
  capacity: {storage: 100Mi}
  accessModes: [ReadWriteOnce]
  hostPath: {path: /nowhere}
  claimRef: {apiVersion: v1, kind: PersistentVolumeClaim, name: csv-sync, namespace: default}
",
    );
    // The cluster knows none of drover's own kinds.
    let children = rendered.stdout.split("---\n").filter(|object| !object.contains("apiVersion: drover.dev/"));
    bed.apply(&children.collect::<Vec<_>>().join("---\n"));
    bed.kubectl(&["create", "job", "now", "--namespace", "default", "--from=cronjob/csv-sync"]);
    let nodes = |selector: &str| {
        let nodes = bed.kubectl(&[
            "get",
            "pods",
            "--namespace",
            "default",
            "--selector",
            selector,
            "-o",
            "jsonpath={.items[*].spec.nodeName}",
        ]);
        nodes.split_whitespace().map(str::to_owned).collect::<Vec<_>>()
    };
    let until = |selector: &str, count: usize| {
        let begun = Instant::now();
        loop {
            let found = nodes(selector);
            if found.len() == count {
                return found.into_iter().collect::<BTreeSet<_>>();
            }
            let told = || bed.kubectl(&["get", "pods,pvc,events", "--namespace", "default"]);
            assert!(begun.elapsed() < SOON, "{selector}: {found:?}\n{}", told());
            std::thread::sleep(Duration::from_millis(500));
        }
    };
    let shared = until("drover.dev/one-node=shared-claims", 7);
    assert_eq!(shared.len(), 1, "two apps of three pods and a sync are on {shared:?}");
    assert_eq!(until("app.kubernetes.io/name=apart", 3).len(), 2, "the pods of others are on both nodes");
    bed.down();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_seen_at_the_same_paths_and_what_cannot_be_followed_is_told_and_changes_nothing() {
    let namespace = Namespace::new("data-git").await;
    let repo = namespace.repository("code");
    let first = repo.push_to("dev", &[("web/references.csv", "one"), ("other", "x")], "Begin");
    let spec = |password: &str| {
        namespace.apply(&namespace.git_server().secret_for_https_with_password("git-read", password));
        namespace.apply(&format!(
            "apiVersion: drover.dev/v1alpha1
kind: DataSync
metadata: {{name: csv}}
spec:
  source: {{git: {{url: \"{}\", ref: {{branch: dev}}, path: web, secretRef: {{name: git-read}}, interval: 5s}}}}
  publish: Live
  claim: {{resources: {{requests: {{storage: 100Mi}}}}, retentionPolicy: Delete}}
",
            repo.https()
        ));
    };
    // A wrong password is said, and the right one is seen.
    spec("not-the-password");
    let said = says(&namespace, "AuthenticationFailed").await;
    assert!(!format!("{said:?}").contains("not-the-password"), "{said:?}");
    spec(namespace.git_server().password());
    let commit = |status: &DataSyncStatus| status.last_sync.as_ref().and_then(|last| last.commit.clone());
    let published = says(&namespace, "Published").await;
    assert_eq!((commit(&published), published.published.map(|set| set.files)), (Some(first), Some(1)));
    namespace.apply(&reader(&namespace, "1"));
    let app = namespace.app("web");
    app.answers(FILE, "one").await;
    let before = app.standing().await;

    let began = Instant::now();
    let second = repo.push_to("dev", &[("web/references.csv", "two"), ("other", "x")], "Go on");
    app.answers(FILE, "two").await;
    println!("a push was seen after {:?}", began.elapsed());
    eventually("the status names the commit", SOON, async || match commit(&status(&namespace).await) {
        Some(commit) if commit == second => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    // A commit that no set can be made of, then a branch that is gone.
    repo.push_to(
        "dev",
        &[("web/references.csv", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n")],
        "Point",
    );
    let failed = says(&namespace, "is a pointer of Git LFS").await;
    assert_eq!((commit(&failed), app.page(FILE).await.as_str()), (Some(second.clone()), "two"));
    repo.delete_branch("dev");
    let gone = says(&namespace, "the branch dev does not exist").await;
    assert_eq!(get(&gone.conditions, READY).map(|ready| ready.status.as_str()), Some("True"));
    assert_eq!((commit(&gone), app.page(FILE).await.as_str()), (Some(second), "two"));
    let version = namespace.get::<DataSync>("csv").await.and_then(|sync| sync.metadata.resource_version);
    assert_eq!(app.standing().await, before, "no pod is new");
    steadily("nothing is written while nothing changes", Duration::from_secs(12), async || {
        let now = namespace.get::<DataSync>("csv").await.and_then(|sync| sync.metadata.resource_version);
        if now == version { Ok(()) } else { Err(format!("{version:?} became {now:?}")) }
    })
    .await;
}
