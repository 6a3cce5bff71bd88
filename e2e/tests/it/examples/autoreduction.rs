//! `manifests/examples/autoreduction`, used as its people do: an instrument writes runs, and they look at the results.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use drover_crds::condition::{CERTIFICATE_INVALID, get as condition};
use drover_crds::{Database, LABEL_INSTANCE, QueueProcessor, ReleaseStep, WebApp};
use drover_e2e::{
    Answer, Namespace, ServiceAddress, System, activemq_image, ask, eventually, finish, front_image, mariadb_image, run,
};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::ListParams;
use serde_json::json;

use crate::certificates::certificate;
use crate::decryption::{PASSWORD, Person, age_key, broker as decrypted, give};

const SOON: Duration = Duration::from_secs(120);
/// How many runs are submitted at once; `make soak ONLY=autoreduction` has more.
fn many() -> u32 {
    let runs = std::env::var("AUTOREDUCTION_RUNS");
    runs.map_or(60, |text| text.parse().expect("AUTOREDUCTION_RUNS is a number"))
}

/// How many workers are killed meanwhile, as with their nodes: then they acknowledge a run after their work.
fn kills() -> u32 {
    let kills = std::env::var("AUTOREDUCTION_KILLS");
    kills.map_or(0, |text| text.parse().expect("AUTOREDUCTION_KILLS is a number"))
}

/// The two folders of the instruments, as the cluster's people give them to a namespace.
struct Folders<'a> {
    namespace: &'a Namespace,
    root: PathBuf,
}

impl<'a> Folders<'a> {
    fn make(namespace: &'a Namespace) -> Self {
        let root = namespace.bed().state().join(namespace.name());
        let folders = Self { namespace, root };
        for name in ["isis-archive", "instrument"] {
            let folder = folders.root.join(name);
            fs::create_dir_all(&folder).expect("the testbed's folder is ours");
            fs::set_permissions(&folder, fs::Permissions::from_mode(0o777)).expect("ours");
            namespace.apply(&format!(
                "apiVersion: v1
kind: PersistentVolume
metadata: {{name: {}}}
spec:
  capacity: {{storage: 1Gi}}
  accessModes: [ReadWriteMany]
  storageClassName: \"\"
  hostPath: {{path: {}}}
",
                folders.volume(name),
                folder.display()
            ));
        }
        folders
    }

    fn volume(&self, name: &str) -> String {
        format!("{}-{name}", self.namespace.name())
    }

    /// The instrument has written a run, and says that it is its last.
    fn run(&self, number: u32, is_last: bool) {
        let folder = self.root.join("isis-archive/NDXWISH");
        fs::create_dir_all(&folder).expect("ours");
        fs::write(folder.join(format!("WISH{number:05}.txt")), "1\n2\n3\n4\n").expect("ours");
        if is_last {
            fs::write(folder.join("lastrun.txt"), format!("WISH {number:05} 0\n")).expect("ours");
        }
    }

    /// How often the broker gave each run out again, as its workers wrote it down.
    fn given_again(&self) -> BTreeMap<u32, u32> {
        let taken = fs::read_to_string(self.root.join("instrument/WISH/taken")).expect("a worker wrote it");
        let mut again = BTreeMap::new();
        for number in taken.lines().filter_map(|line| line.strip_suffix(" true")) {
            *again.entry(number.parse().expect("a number")).or_default() += 1;
        }
        again
    }
}

impl Drop for Folders<'_> {
    fn drop(&mut self) {
        for name in ["isis-archive", "instrument"] {
            let volume = self.volume(name);
            let _ = finish(self.namespace.bed().program("kubectl").args(["delete", "pv", &volume, "--wait=false"]), "");
        }
        let _ = fs::remove_dir_all(&self.root);
    }
}

/// Submits a run, and returns the status of the answer.
fn submit(namespace: &Namespace, path: &str) -> String {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", "--request", "POST"]);
    curl.args(["--header", &format!("Host: {}", namespace.host()), &format!("http://{}{path}", namespace.ingress())]);
    run(&mut curl)
}

async fn page(namespace: &Namespace, path: &str, headers: &[(&str, &str)]) -> Result<Answer, String> {
    ask(&namespace.ingress(), &namespace.host(), path, headers).await
}

/// An answer that is the app's, however busy the machine is.
async fn comes_to_answer(namespace: &Namespace, path: &str, headers: &[(&str, &str)]) -> Answer {
    eventually(&format!("{path} is answered"), SOON, async || {
        let answer = page(namespace, path, headers).await?;
        if answer.status < 500 { Ok(answer) } else { Err(format!("{answer:?}")) }
    })
    .await
}

/// What the list of runs says: the number, the state and how often somebody began with it.
async fn runs(namespace: &Namespace) -> Result<Vec<(u32, String, u32)>, String> {
    let answer = page(namespace, "/", &[]).await?;
    let line = |line: &str| {
        let (_, rest) = line.split_once("\">run ")?;
        let (number, rest) = rest.split_once("</a> ")?;
        let (state, attempts) = rest.split_once(", attempts ")?;
        Some((number.parse().ok()?, state.to_owned(), attempts.strip_suffix("</li>")?.parse().ok()?))
    };
    if answer.status == 200 { Ok(answer.body.lines().filter_map(line).collect()) } else { Err(format!("{answer:?}")) }
}

/// Waits until these runs are completed, each begun once, and once more where the broker gave it `again`.
async fn are_reduced(namespace: &Namespace, wanted: &BTreeSet<u32>, within: Duration, folders: &Folders<'_>) {
    eventually("all runs are reduced", within, async || {
        let runs = runs(namespace).await?;
        let left: Vec<_> =
            runs.iter().filter(|(number, state, _)| wanted.contains(number) && state != "completed").collect();
        let there = runs.iter().filter(|(number, ..)| wanted.contains(number)).count();
        if there == wanted.len() && left.is_empty() {
            Ok(())
        } else {
            Err(format!("{there} are there; left: {left:?}"))
        }
    })
    .await;
    let again = folders.given_again();
    let begun = runs(namespace).await.expect("a list");
    let wrong: Vec<_> = begun
        .iter()
        .filter(|(number, _, begun)| *begun == 0 || *begun > 1 + again.get(number).copied().unwrap_or(0))
        .collect();
    assert!(wrong.is_empty(), "begun more often than the broker gave them out, or never: {wrong:?} {again:?}");
    let repeated: u32 = begun.iter().map(|(.., begun)| begun - 1).sum();
    println!("{} runs; begun again: {repeated}; given out again: {}", begun.len(), again.values().sum::<u32>());
    assert!(kills() > 0 || (repeated == 0 && again.is_empty()), "nobody was killed: {again:?}");
    assert!(kills() == 0 || wanted.len() == 1 || !again.is_empty(), "nobody was killed at work");
}

/// Kills so many workers at random moments of their work, without a word to them.
async fn kill_workers(namespace: &Namespace, count: u32) {
    for _ in 0..count {
        let pause: u64 = rand::random_range(500..4000);
        tokio::time::sleep(Duration::from_millis(pause)).await;
        let pods = namespace
            .api::<Pod>()
            .list(&ListParams::default().labels(&format!("{LABEL_INSTANCE}=queue-processor")))
            .await
            .expect("pods can be listed");
        let runs = |pod: &Pod| pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running");
        let container = |pod: Pod| {
            let id = pod.status?.container_statuses?.pop()?.container_id?;
            Some((pod.metadata.name?, id.trim_start_matches("containerd://").to_owned()))
        };
        let running: Vec<_> = pods.items.into_iter().filter(runs).filter_map(container).collect();
        if !running.is_empty() {
            let (name, container) = &running[rand::random_range(0..running.len())];
            namespace.bed().kill(container);
            // Another pod comes sooner than the same container again; this one may be gone by now.
            namespace.kubectl(&["delete", "pod", name, "--grace-period=0", "--force", "--ignore-not-found"]);
        }
    }
}

async fn workers(namespace: &Namespace) -> Option<(i32, i32)> {
    let replicas = namespace.get::<QueueProcessor>("queue-processor").await?.status?.rollout.replicas?;
    Some((replicas.desired, replicas.ready))
}

#[tokio::test(flavor = "multi_thread")]
async fn autoreduction_runs_from_git_and_is_used_as_its_people_do() {
    let namespace = Namespace::new("reduce").await;
    let bed = namespace.bed();
    front_image(bed);
    let (mariadb, activemq) = (mariadb_image(bed), activemq_image(bed));
    let folders = Folders::make(&namespace);
    let broker = ServiceAddress::of(bed);
    let image = format!("{}/{}", bed.registry(), namespace.name());
    bed.push_python_versions(&image, "autoreduction");
    let acknowledged = if kills() > 0 { ", {name: ACKNOWLEDGE, value: after}" } else { "" };
    let settled = |system: System| {
        ["autoreduce-frontend", "autoreduce-rest-api", "autoreduce-run-detection", "autoreduce"]
            .into_iter()
            .fold(system, |system, name| system.with(&format!("registry.example.org/{name}:"), &format!("{image}:")))
            .with("registry.example.org/mariadb:10.11", &mariadb)
            .with("registry.example.org/activemq:5.18.3", &activemq)
            .with("reduce.example.org", &namespace.host())
            .with(
                "  selector: {app: activemq}\n",
                &format!("  clusterIP: {}\n  selector: {{app: activemq}}\n", &*broker),
            )
            .with("volumeName: isis-archive", &format!("volumeName: {}", folders.volume("isis-archive")))
            .with("volumeName: instrument", &format!("volumeName: {}", folders.volume("instrument")))
            .with("allowFrom: [10.0.0.0/8]", "allowFrom: [203.0.113.0/24]")
            .with("storage: 20Gi", "storage: 300Mi")
            .with("storage: 5Gi", "storage: 500Mi")
            // Minutes of the real program are seconds here.
            .with("REDUCTION_SECONDS, value: \"60\"}", &format!("REDUCTION_SECONDS, value: \"1\"}}{acknowledged}"))
            .with(
                "maxReplicas: 8, messagesPerReplica: 1, cooldown: 45m",
                "maxReplicas: 3, messagesPerReplica: 5, pollingInterval: 2s, cooldown: 10s",
            )
            .with("drain: {timeout: 45m", "drain: {timeout: 1m")
    };

    // The certificate of its host, which its people have.
    let (certificate, key) = certificate(&namespace.host(), 90);
    let certificate = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "reduce-tls"},
        "type": "kubernetes.io/tls", "stringData": {"tls.crt": certificate, "tls.key": key}});
    namespace.apply(&certificate.to_string());

    // One push, and all of it comes, in the order in which it waits for each other.
    let repo = namespace.repository("reduce");
    let first = settled(System::first("autoreduction")).push(&repo, "Reduce");
    let environment = namespace.follow(&repo).await;
    for app in ["rest-api", "webapp"] {
        namespace.app(app).is_live_at(&first).await;
    }
    environment.is_ready_at(&first).await;
    eventually("the certificate is seen, and fits", SOON, async || {
        let status = namespace.get::<WebApp>("webapp").await.and_then(|app| app.status).unwrap_or_default();
        match (&status.tls, condition(&status.conditions, CERTIFICATE_INVALID)) {
            (Some(_), None) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;

    // A run appears in the folder that is watched, and its plot on the page.
    folders.run(42, true);
    are_reduced(&namespace, &[42].into(), SOON, &folders).await;
    let answer = comes_to_answer(&namespace, "/runs/42/", &[]).await;
    assert!(answer.body.contains("[3, 7]") && answer.body.contains("src=\"/static/graphs/42.svg\""), "{answer:?}");
    let plot = comes_to_answer(&namespace, "/static/graphs/42.svg", &[]).await;
    assert!(plot.status == 200 && plot.body.starts_with("<svg"), "{plot:?}");

    // The broker's own console, at its own login, for those who may come.
    let refused = comes_to_answer(&namespace, "/amq/", &[]).await;
    assert_eq!(refused.status, 401, "{refused:?}");
    let keys = namespace.get::<Secret>("keys").await.and_then(|keys| keys.data).expect("the Secret");
    let password = String::from_utf8(keys["AMQ_ADMIN_PASSWORD"].0.clone()).expect("text");
    let login = format!("Basic {}", base64(&format!("admin:{password}")));
    let console = comes_to_answer(&namespace, "/amq/", &[("Authorization", &login)]).await;
    assert!(console.status == 200 && console.body.contains("ActiveMQ Console"), "{console:?}");

    // Many at once, over the API: more workers come, a rollout in the middle and their going lose none.
    let numbers: BTreeSet<u32> = (100..100 + many()).collect();
    for number in &numbers {
        folders.run(*number, false);
        let path = format!("/api/runs/{number}");
        assert_eq!(submit(&namespace, &path), "202", "run {number}");
    }
    eventually("more workers come", SOON, async || match workers(&namespace).await {
        Some((3, _)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    kill_workers(&namespace, kills()).await;
    // With the next release comes a Secret that its people agreed on, and that stands encrypted in git.
    let (key, recipient) = age_key();
    let person = Person::new(&namespace, &recipient);
    person.sops(&key, &["encrypt", "--in-place", "deploy/broker.yaml"]);
    give(&namespace, &[("prod.agekey", &key)]).await;
    environment.patch(json!({"spec": {"decryption": {"secretRef": {"name": "age-key"}}}})).await;
    let second = settled(System::second("autoreduction")).and("agreed.yaml", &person.read("deploy/broker.yaml"));
    let second = second.push(&repo, "Reduce better");
    environment.is_ready_at(&second).await;
    assert_eq!(decrypted(&namespace).await.expect("the Secret is there").0, PASSWORD);
    eventually("the second release of the workers is live", SOON, async || {
        let status = namespace.get::<QueueProcessor>("queue-processor").await.and_then(|found| found.status);
        match status.and_then(|status| status.rollout.release) {
            Some(release) if release.number == 2 && release.step == ReleaseStep::Live => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    are_reduced(&namespace, &numbers, SOON + Duration::from_secs(u64::from(many())), &folders).await;
    eventually("the workers go", SOON, async || match workers(&namespace).await {
        Some((1, 1)) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;

    // All of it at a glance, and the backup that was restored.
    let told = namespace.drover(&["status", "--namespace", namespace.name()]);
    for part in ["Database", "WebApp", "QueueProcessor", "rest-api"] {
        assert!(told.stdout.contains(part), "{}", told.said());
    }
    let backup = namespace.drover(&["backup", "db", "--namespace", namespace.name()]);
    assert_eq!(backup.code, 0, "{}", backup.said());
    eventually("a backup is verified, with the rows of all runs", 2 * SOON, async || {
        let status = namespace.get::<Database>("db").await.and_then(|db| db.status).unwrap_or_default();
        let rows = status.backups.first().and_then(|backup| backup.verified.as_ref()).map(|verified| verified.rows);
        match condition(&status.conditions, "BackupVerified") {
            Some(verified) if verified.status == "True" && rows > Some(i64::from(many())) => Ok(()),
            other => Err(format!("{other:?}, {rows:?}")),
        }
    })
    .await;
}

fn base64(text: &str) -> String {
    use ::base64::Engine as _;
    ::base64::engine::general_purpose::STANDARD.encode(text)
}
