//! Workers that come with the messages of a real broker and go when there are none; and what happens when it cannot be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use drover_crds::condition::{DEAD_LETTERS, SOURCE_UNAVAILABLE, WORKERS_NOT_CONNECTED, get};
use drover_crds::{LABEL_INSTANCE, QueueProcessor, QueueProcessorStatus, ReleaseStep};
use drover_e2e::{Broker, Namespace, Testbed, eventually, ready, steadily, worker_image};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;

/// A pod's start, on a machine that is busy with other tests.
const SOON: Duration = Duration::from_secs(150);

/// Workers of the queue `runs` of the broker `activemq`, with `more` fields.
fn workers(more: &str) -> String {
    format!(
        "apiVersion: drover.dev/v1alpha1
kind: QueueProcessor
metadata: {{name: reduce}}
spec:
  image: {}
  command: [python3, /app/worker.py]
  env: [{{name: AMQ_HOST, value: activemq}}, {{name: AMQ_QUEUE, value: runs}}]
  resources: {{requests: {{cpu: 10m, memory: 24Mi}}, limits: {{memory: 128Mi}}}}
  drain: {{timeout: 1m}}
{more}",
        worker_image(Testbed::shared())
    )
}

fn source(url: &str) -> String {
    format!(
        "  source: {{activemq: {{url: \"{url}\", queue: runs, username: admin, passwordSecretRef: {{name: amq, key: password}}}}}}\n"
    )
}

fn scaled(most: i32, cooldown: &str) -> String {
    workers(&format!(
        "{}  health: {{probation: 1s}}\n  scaling: {{minReplicas: 0, maxReplicas: {most}, messagesPerReplica: 2, pollingInterval: 2s, cooldown: {cooldown}}}\n",
        source("http://activemq:8161")
    ))
}

async fn status(namespace: &Namespace) -> QueueProcessorStatus {
    namespace.get::<QueueProcessor>("reduce").await.and_then(|found| found.status).unwrap_or_default()
}

async fn comes_to<T>(
    namespace: &Namespace,
    what: &str,
    look: impl Fn(&QueueProcessorStatus) -> Result<T, String>,
) -> T {
    eventually(&format!("the QueueProcessor {what}"), SOON, async || look(&status(namespace).await)).await
}

/// Waits until so many workers are asked for and ready.
async fn has_workers(namespace: &Namespace, count: i32) {
    comes_to(namespace, &format!("has {count} workers"), |status| match &status.rollout.replicas {
        Some(seen) if seen.desired == count && seen.ready == count => Ok(()),
        other => Err(format!("{other:?}, {:?}, {:?}", status.queue, status.source)),
    })
    .await;
}

async fn desired(namespace: &Namespace) -> Option<i32> {
    namespace.get::<Deployment>("reduce").await?.spec?.replicas
}

async fn pods(namespace: &Namespace) -> Vec<Pod> {
    let selector = format!("{LABEL_INSTANCE}=reduce");
    let listed = namespace.api::<Pod>().list(&ListParams::default().labels(&selector)).await;
    listed.expect("pods can be listed").items
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_come_with_messages_and_go_when_there_are_none_and_stay_while_nobody_can_say() {
    let namespace = Namespace::new("queue").await;
    let broker = Broker::start(&namespace).await;
    namespace.apply(&scaled(4, "10s"));
    // Nobody has declared the queue, so one worker runs, which does; and goes, since there is nothing to do.
    comes_to(&namespace, "is live", |status| {
        let release = status.rollout.release.as_ref().ok_or("no release")?;
        if release.step == ReleaseStep::Live { Ok(()) } else { Err(format!("{release:?} {:?}", status.source)) }
    })
    .await;
    has_workers(&namespace, 0).await;
    let idle = status(&namespace).await;
    let said = ready(&idle.conditions).expect("Ready");
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("True", "Idle"), "{}", said.message);
    assert!(idle.queue.is_some_and(|queue| queue.ready == 0 && queue.idle_since.is_some()));

    // Nothing is written while nothing changes, however often the broker is asked.
    let version = async || {
        let processor = namespace.get::<QueueProcessor>("reduce").await.expect("it is there");
        let deployment = namespace.get::<Deployment>("reduce").await.expect("it is there");
        (processor.metadata.resource_version, deployment.metadata.generation)
    };
    // What the broker says of the worker that has gone is told within half a minute.
    comes_to(&namespace, "says that nobody takes messages", |status| match &status.queue {
        Some(queue) if queue.consumers == 0 => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let before = version().await;
    steadily("it rests", Duration::from_secs(12), async || match version().await {
        same if same == before => Ok(()),
        other => Err(format!("{before:?} became {other:?}")),
    })
    .await;

    // Eight messages for two each: four workers, from none.
    for number in 0..8 {
        broker.put("runs", &format!("run{number} 6"));
    }
    has_workers(&namespace, 4).await;
    let told = namespace.drover(&["status", "--namespace", namespace.name()]);
    assert!(told.stdout.contains("QueueProcessor") && told.stdout.contains("in flight"), "{}", told.said());
    eventually("the logs of the workers tell of their work", SOON, async || {
        let logs = namespace.drover(&["logs", "reduce", "--namespace", namespace.name()]);
        if logs.stdout.contains("begins run") { Ok(()) } else { Err(logs.said()) }
    })
    .await;
    has_workers(&namespace, 0).await;
    let done = broker.messages("runs.done").await;
    let done: BTreeSet<String> = done.iter().filter_map(|done| done.split(' ').next()).map(str::to_owned).collect();
    assert_eq!(done, (0..8).map(|number| format!("run{number}")).collect());

    // The broker goes while one works: nobody knows whether there is more, so the one stays, and that is said, with since when.
    broker.put("runs", "long 600");
    has_workers(&namespace, 1).await;
    broker.stop();
    let since = comes_to(&namespace, "says that the broker cannot be asked", |status| {
        let said = get(&status.conditions, SOURCE_UNAVAILABLE).ok_or("no condition")?;
        let source = status.source.clone().ok_or("no source")?;
        if !source.reachable && said.message.contains("stays as it is") {
            source.since.ok_or_else(|| "no time".to_owned())
        } else {
            Err(format!("{source:?}"))
        }
    })
    .await;
    steadily("the worker stays", Duration::from_secs(20), async || match desired(&namespace).await {
        Some(1) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert_eq!(status(&namespace).await.source.and_then(|source| source.since), Some(since));

    // Another password than the broker's is said in one sentence, without it; and what mends it is seen.
    broker.start_again().await;
    comes_to(&namespace, "is asked again", |status| match &status.source {
        Some(source) if source.reachable => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let password = |password: &str| {
        let patch = format!("{{\"stringData\":{{\"password\":\"{password}\"}}}}");
        namespace.kubectl(&["patch", "secret", "amq", "--patch", &patch]);
    };
    password("not-the-broker-s");
    let message = comes_to(&namespace, "says that the password is wrong", |status| {
        let source = status.source.clone().ok_or("no source")?;
        let message = source.message.unwrap_or_default();
        if message.contains("refuses the user admin") { Ok(message) } else { Err(message) }
    })
    .await;
    assert!(!message.contains("not-the-broker-s"), "{message}");
    password(Broker::PASSWORD);
    comes_to(&namespace, "is asked with the right password", |status| match &status.source {
        Some(source) if source.reachable => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    namespace.kubectl(&["delete", "queueprocessor", "reduce"]);
    eventually("its children go with it", SOON, async || match namespace.get::<Deployment>("reduce").await {
        None => Ok(()),
        Some(_) => Err("the Deployment is there".to_owned()),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_a_scale_in_and_a_killed_worker_lose_no_message() {
    let namespace = Namespace::new("drain").await;
    let broker = Broker::start(&namespace).await;
    namespace.apply(&scaled(3, "5s"));
    let all: BTreeSet<String> = (0..24).map(|number| format!("run{number}")).collect();
    for name in &all {
        broker.put("runs", &format!("{name} 4"));
    }
    has_workers(&namespace, 3).await;
    // Another release, while all of them work.
    let changed =
        scaled(3, "5s").replace("command: [python3, /app/worker.py]", "command: [python3, -u, /app/worker.py]");
    namespace.apply(&changed);
    comes_to(&namespace, "has a second release that is live", |status| match &status.rollout.release {
        Some(release) if release.number == 2 && release.step == ReleaseStep::Live => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    // One dies at once, as with its node.
    for number in 0..6 {
        broker.put("runs", &format!("late{number} 4"));
    }
    let killed = eventually("a worker works", SOON, async || {
        let pods = pods(&namespace).await;
        let runs = |pod: &&Pod| {
            let is_ready =
                pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten()).any(|c| c.ready);
            is_ready && pod.metadata.deletion_timestamp.is_none()
        };
        pods.iter().find(runs).and_then(|pod| pod.metadata.name.clone()).ok_or_else(|| "none".to_owned())
    })
    .await;
    namespace.kubectl(&["delete", "pod", &killed, "--grace-period=0", "--force"]);
    has_workers(&namespace, 0).await;
    let mut times = BTreeMap::<String, (usize, usize)>::new();
    for done in broker.messages("runs.done").await {
        let (name, redelivered) = done.split_once(' ').expect("a name and whether it was redelivered");
        let seen = times.entry(name.to_owned()).or_default();
        seen.0 += 1;
        seen.1 += usize::from(redelivered == "true");
    }
    let wanted: BTreeSet<String> = all.into_iter().chain((0..6).map(|number| format!("late{number}"))).collect();
    let missing: Vec<_> = wanted.iter().filter(|name| !times.contains_key(*name)).collect();
    assert!(missing.is_empty(), "lost: {missing:?}");
    let repeated: Vec<_> = times.iter().filter(|(_, (times, _))| *times > 1).collect();
    let redelivered: usize = times.values().map(|(_, redelivered)| redelivered).sum();
    println!("{} messages; done twice: {repeated:?}; redelivered: {redelivered}", wanted.len());
    assert!(repeated.len() <= 1, "only the worker that was killed leaves a message to another: {repeated:?}");
}

/// Waits until a condition says all of `words`, or, without any, until it is gone.
async fn says(namespace: &Namespace, kind: &str, words: &[&str]) {
    comes_to(namespace, &format!("says {words:?} by {kind}"), |status| match get(&status.conditions, kind) {
        Some(said) if !words.is_empty() && words.iter().all(|word| said.message.contains(word)) => Ok(()),
        None if words.is_empty() => Ok(()),
        other => Err(format!("{:?}, {:?}", other.map(|said| &said.message), status.queue)),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_that_take_nothing_and_messages_that_end_them_are_named() {
    let namespace = Namespace::new("poison").await;
    let broker = Broker::start(&namespace).await;
    broker.put("runs", "run0 1");
    let right = scaled(2, "1h");
    namespace.apply(&right.replace("name: AMQ_QUEUE, value: runs", "name: AMQ_QUEUE, value: other"));
    // Its worker is ready, and takes from another queue.
    says(
        &namespace,
        WORKERS_NOT_CONNECTED,
        &["1 worker is ready, but the broker counts no consumer of the queue runs"],
    )
    .await;
    // One message was given up on, by whoever.
    broker.put("ActiveMQ.DLQ", "lost");
    says(&namespace, DEAD_LETTERS, &["1 message lies in the dead letter queue ActiveMQ.DLQ", "the first is ID:"]).await;
    let told = namespace.drover(&["status", "--namespace", namespace.name()]);
    assert!(told.stdout.contains("counts no consumer") && told.stdout.contains("the first is ID:"), "{}", told.said());
    let version =
        async || namespace.get::<QueueProcessor>("reduce").await.and_then(|found| found.metadata.resource_version);
    let before = version().await;
    steadily("it rests", Duration::from_secs(12), async || match version().await {
        same if same == before => Ok(()),
        other => Err(format!("{before:?} became {other:?}: {:?}", status(&namespace).await)),
    })
    .await;

    namespace.apply(&right);
    says(&namespace, WORKERS_NOT_CONNECTED, &[]).await;
    eventually("the message is done", SOON, async || match broker.messages("runs.done").await.len() {
        1 => Ok(()),
        other => Err(format!("{other} are done")),
    })
    .await;
    // A message that ends each worker that takes it: the broker gives it out again and again.
    broker.put("runs", "poison");
    comes_to(&namespace, "says that a message may end its workers", |status| {
        let said = ready(&status.conditions)?;
        let log =
            status.rollout.release.as_ref().and_then(|release| release.problem.as_ref()).map(|problem| &problem.log);
        let is_told = said.message.contains("messages of the queue runs have come back from workers")
            && said.message.contains("none was done, so one of them may end each worker");
        let is_logged = log.is_some_and(|log| log.iter().any(|line| line.contains("ValueError")));
        if is_told && is_logged { Ok(()) } else { Err(format!("{said:?}, {log:?}")) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_said_in_one_sentence_and_nothing_else_stops() {
    let namespace = Namespace::new("unasked").await;
    let api =
        namespace.bed().kubectl(&["config", "view", "--minify", "--output=jsonpath={.clusters[0].cluster.server}"]);
    namespace.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: amq}\nstringData: {password: x}\n");
    for (url, said) in [
        ("http://127.0.0.1:8161", "loopback"),
        ("http://169.254.169.254", "loopback, link-local"),
        (api.trim(), "API server"),
        ("http://nowhere:8161", "there is no Service nowhere"),
    ] {
        let spec = format!("{}  replicas: 0\n", source(url));
        namespace.apply(&workers(&spec));
        comes_to(&namespace, &format!("says {said}, and what runs goes its way"), |status| {
            let message = status.source.as_ref().and_then(|source| source.message.clone()).unwrap_or_default();
            let ready = ready(&status.conditions)?;
            if message.contains(said) && ready.reason == "SwitchedOff" {
                Ok(())
            } else {
                Err(format!("{message} {ready:?}"))
            }
        })
        .await;
    }
    namespace.kubectl(&["delete", "secret", "amq"]);
    namespace.apply(&workers(&format!("{}  replicas: 0\n", source("http://10.255.255.1:8161"))));
    comes_to(&namespace, "says that the password is not there", |status| {
        let message = status.source.as_ref().and_then(|source| source.message.clone()).unwrap_or_default();
        if message.contains("no Secret amq with a key password") { Ok(()) } else { Err(message) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_singleton_is_never_two_and_a_release_that_ends_is_taken_back() {
    let namespace = Namespace::new("single").await;
    let worker = |version: &str, command: &str| {
        let image = worker_image(Testbed::shared());
        format!(
            "apiVersion: drover.dev/v1alpha1
kind: QueueProcessor
metadata: {{name: reduce}}
spec:
  image: {image}
  singleton: true
  command: [python3, -uc, {command:?}]
  env: [{{name: VERSION, value: \"{version}\"}}]
  health: {{probation: 15s}}
  drain: {{timeout: 20s, preStop: {{exec: {{command: [sleep, \"3\"]}}}}}}
  resources: {{requests: {{cpu: 10m, memory: 24Mi}}, limits: {{memory: 128Mi}}}}
"
        )
    };
    let waits = "import time; time.sleep(3600)";
    namespace.apply(&worker("1", waits));
    let is_live = async |number: i64| {
        comes_to(&namespace, &format!("has release {number} live"), |status| match &status.rollout.release {
            Some(release) if release.number == number && release.step == ReleaseStep::Live => Ok(()),
            other => Err(format!("{other:?}")),
        })
        .await;
    };
    is_live(1).await;
    let two = async {
        steadily("there is one at most", Duration::from_secs(75), async || {
            let pods = pods(&namespace).await;
            let runs = |pod: &&Pod| {
                let states = pod.status.iter().flat_map(|status| status.container_statuses.iter().flatten());
                states.filter_map(|status| status.state.as_ref()).any(|state| state.running.is_some())
            };
            match pods.iter().filter(runs).count() {
                0 | 1 => Ok(()),
                _ => Err(format!("{:?}", pods.iter().map(|pod| &pod.metadata.name).collect::<Vec<_>>())),
            }
        })
        .await;
    };
    let rolls = async {
        namespace.apply(&worker("2", waits));
        is_live(2).await;
        let restarted = namespace.drover(&["restart", "reduce", "--namespace", namespace.name()]);
        assert_eq!(restarted.code, 0, "{}", restarted.said());
    };
    tokio::join!(two, rolls);
    namespace.apply(&worker("3", "raise SystemExit('no')"));
    let failed = comes_to(&namespace, "puts the last good release back", |status| {
        let release = status.rollout.release.as_ref().ok_or("no release")?;
        let problem = release.problem.clone().ok_or("no problem")?;
        if release.number == 3 && status.rollout.serving == Some(2) { Ok(problem) } else { Err(format!("{release:?}")) }
    })
    .await;
    assert!(failed.log.iter().any(|line| line.contains("no")), "{failed:?}");
    has_workers(&namespace, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn asleep_no_worker_runs_whatever_waits_and_awake_they_come() {
    let namespace = Namespace::new("asleep").await;
    let broker = Broker::start(&namespace).await;
    broker.put("runs", "run0 5");
    namespace.apply(&format!("{}  uptime: {{windows: []}}\n", scaled(2, "5s")));
    comes_to(&namespace, "sleeps beside a message", |status| {
        let said = ready(&status.conditions)?;
        let waiting = status.queue.as_ref().map(|queue| queue.ready);
        if said.reason == "WaitsForWindow" && waiting == Some(1) {
            Ok(())
        } else {
            Err(format!("{said:?}, {waiting:?}"))
        }
    })
    .await;
    steadily("no worker runs", Duration::from_secs(8), async || match desired(&namespace).await {
        Some(0) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    let say = |words: &[&str]| {
        let said = namespace.drover(&[words, &["--namespace", namespace.name()]].concat());
        assert_eq!(said.code, 0, "{}", said.said());
    };
    say(&["wake", "queueprocessor/reduce", "--for", "1h", "--no-wait"]);
    comes_to(&namespace, "is live", |status| match &status.rollout.release {
        Some(release) if release.step == ReleaseStep::Live => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    has_workers(&namespace, 0).await;
    let done = broker.messages("runs.done").await;
    assert!(matches!(&done[..], [done] if done.starts_with("run0 ")), "{done:?}");
    broker.put("runs", "run1 600");
    has_workers(&namespace, 1).await;
    say(&["sleep", "reduce"]);
    eventually("it sleeps, whatever waits", SOON, async || match desired(&namespace).await {
        Some(0) => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    comes_to(&namespace, "says so", |status| {
        let said = ready(&status.conditions)?;
        if said.reason == "ScheduledDown" { Ok(()) } else { Err(format!("{said:?}")) }
    })
    .await;
}
