//! Many QueueProcessors whose queues one controller asks about: what that costs it, and how often it asks.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use drover_crds::{QueueProcessor, condition};
use drover_e2e::{Controller, Namespace, Testbed, eventually};
use kube::api::ListParams;
use serde_json::{Value, json};

use crate::figures::Row;

const PROCESSORS: usize = 500;
/// How often each queue is asked about.
const POLL: u64 = 10;
/// For how long is counted.
const SECONDS: u64 = 60;

/// What stands in a broker's place: it answers each question with an empty queue, and counts. A real one would take the processor that is measured.
struct Answers {
    address: String,
    asked: Arc<AtomicUsize>,
    connections: Arc<AtomicUsize>,
}

impl Answers {
    fn start(bed: &Testbed) -> Self {
        let listener = TcpListener::bind((bed.host_ip(), 0)).expect("a port");
        let address = listener.local_addr().expect("bound").to_string();
        let (asked, connections) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
        let counted = (Arc::clone(&asked), Arc::clone(&connections));
        std::thread::spawn(move || {
            for line in listener.incoming().flatten() {
                counted.1.fetch_add(1, Relaxed);
                let asked = Arc::clone(&counted.0);
                std::thread::spawn(move || answer_all(&line, &asked));
            }
        });
        Self { address, asked, connections }
    }
}

/// Answers one connection for as long as it is open.
fn answer_all(line: &TcpStream, asked: &AtomicUsize) -> Option<()> {
    let (mut reader, mut writer) = (BufReader::new(line), line);
    loop {
        let mut length = 0;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header).ok()? == 0 {
                return None;
            }
            if let Some(value) = header.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().ok()?;
            }
            if header == "\r\n" {
                break;
            }
        }
        let mut question = vec![0; length];
        reader.read_exact(&mut question).ok()?;
        let question: Value = serde_json::from_slice(&question).ok()?;
        let (_, name) = question[1]["mbean"].as_str()?.split_once("destinationName=")?;
        let bean = format!(
            "org.apache.activemq:brokerName=localhost,destinationName={name},destinationType=Queue,type=Broker"
        );
        let numbers = json!({"Name": name, "QueueSize": 0, "InFlightCount": 0, "ConsumerCount": 0});
        let body = json!([
            {"value": {"org.apache.activemq:brokerName=localhost,type=Broker": {"BrokerName": "localhost"}}, "status": 200},
            {"value": {bean: numbers}, "status": 200},
            {"error_type": "javax.management.InstanceNotFoundException", "error": "no", "status": 404},
        ])
        .to_string();
        let head = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain;charset=utf-8\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        writer.write_all((head + &body).as_bytes()).ok()?;
        asked.fetch_add(1, Relaxed);
    }
}

/// Makes them, waits until all have said that there is nothing to do, and counts for a minute.
pub async fn many(bed: &'static Testbed, controller: &Controller) -> Vec<Row> {
    let answers = Answers::start(bed);
    let namespace = Namespace::new("queues").await;
    namespace.apply("apiVersion: v1\nkind: Secret\nmetadata: {name: amq}\nstringData: {password: x}\n");
    let processor = |number: usize| {
        format!(
            "apiVersion: drover.dev/v1alpha1
kind: QueueProcessor
metadata: {{name: reduce-{number}}}
spec:
  image: registry.example.org/reduce:1
  imagePullPolicy: Never
  source: {{activemq: {{url: \"http://{}\", queue: runs-{number}, username: admin, passwordSecretRef: {{name: amq, key: password}}}}}}
  scaling: {{minReplicas: 0, maxReplicas: 4, messagesPerReplica: 1, pollingInterval: {POLL}s, cooldown: 1s}}
",
            answers.address
        )
    };
    namespace.apply(&(0..PROCESSORS).map(processor).collect::<Vec<_>>().join("---\n"));
    eventually("all of them are idle", Duration::from_secs(300), async || {
        let found =
            namespace.api::<QueueProcessor>().list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let is_idle = |processor: &&QueueProcessor| {
            let conditions = processor.status.as_ref().map(|status| &*status.conditions).unwrap_or_default();
            condition::get(conditions, condition::READY).is_some_and(|ready| ready.reason == "Idle")
        };
        match found.items.iter().filter(is_idle).count() {
            PROCESSORS => Ok(()),
            idle => Err(format!("{idle} of {PROCESSORS}")),
        }
    })
    .await;
    // What came with their beginning is over then.
    tokio::time::sleep(Duration::from_secs(2 * POLL)).await;
    let before = (controller.processor_time(), answers.asked.load(Relaxed), answers.connections.load(Relaxed));
    tokio::time::sleep(Duration::from_secs(SECONDS)).await;
    let after = (controller.processor_time(), answers.asked.load(Relaxed), answers.connections.load(Relaxed));
    let core = after.0.saturating_sub(before.0).as_secs_f64() / Duration::from_secs(SECONDS).as_secs_f64();
    let polls = PROCESSORS * usize::try_from(SECONDS / POLL).expect("a few");
    let each =
        f64::from(u32::try_from(after.1 - before.1).expect("few")) / f64::from(u32::try_from(polls).expect("few"));
    vec![
        Row::new(
            format!("{PROCESSORS} QueueProcessors, each asked about every {POLL} s: of a core"),
            format!("{:.1} %", 100.0 * core),
        ),
        Row::new("requests per processor and poll", format!("{each:.2}")),
        Row::new(
            "connections to the broker: at first, and in that minute",
            format!("{} and {}", before.2, after.2 - before.2),
        ),
    ]
}
