//! `manifests/examples/jacow-validator`, used as its people do: slow uploads, an hourly list of references, an image that is pushed again.

use std::path::Path;
use std::time::Duration;

use drover_crds::WebAppStatus;
use drover_e2e::{App, DataServer, Namespace, System, eventually, ready};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Of one document.
const DOCUMENT: usize = 50 << 20;
/// How long the slow line takes for one. `make soak ONLY=uploads` has slower ones.
fn upload_time() -> Duration {
    let seconds = std::env::var("JACOW_UPLOAD_SECONDS");
    Duration::from_secs(seconds.map_or(15, |text| text.parse().expect("JACOW_UPLOAD_SECONDS is a number")))
}

/// For how long Traefik reads a request, unless it is told otherwise.
const READ_BY_TRAEFIK: Duration = Duration::from_secs(60);
/// Pieces that it comes in.
const PIECES: usize = 150;
const REVISIONS: [&str; 2] = ["1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222"];

fn references(lines: usize) -> String {
    let line = |n| format!("MOPB{n:03},A title of a paper about beams,Ada Lovelace\n");
    (0..lines).map(line).collect::<Vec<_>>().concat()
}

/// Sends a document as slowly as a hotel's network would, and returns what the app says of it.
async fn upload(address: String, host: String) -> Result<Value, String> {
    let piece = vec![b'x'; DOCUMENT / PIECES];
    let length = piece.len() * PIECES;
    let mut line = TcpStream::connect(&address).await.map_err(|error| format!("connecting: {error}"))?;
    let head = format!(
        "POST /upload HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/octet-stream\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    line.write_all(head.as_bytes()).await.map_err(|error| format!("asking: {error}"))?;
    let pause = upload_time() / u32::try_from(PIECES).expect("a few");
    let mut digest = Sha256::new();
    for n in 0..PIECES {
        line.write_all(&piece).await.map_err(|error| format!("piece {n} of {PIECES}: {error}"))?;
        digest.update(&piece);
        sleep(pause).await;
    }
    let mut answer = String::new();
    let read = timeout(Duration::from_secs(60), line.read_to_string(&mut answer)).await;
    read.map_err(|_| "no answer".to_owned())?.map_err(|error| format!("the answer: {error}"))?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("no answer: {answer:?}"))?;
    let body = body.trim().split_once('{').map_or(body.to_owned(), |(_, rest)| format!("{{{rest}"));
    let body = body.rsplit_once('}').map_or(body.clone(), |(rest, _)| format!("{rest}}}"));
    let said: Value = serde_json::from_str(&body).map_err(|error| format!("{head} {body:?}: {error}"))?;
    if said["sha256"] == hex::encode(digest.finalize()) && said["bytes"] == length { Ok(said) } else { Err(answer) }
}

/// Three at once, for three workers. None may fail.
async fn three_uploads(address: &str, host: &str, meanwhile: impl Future<Output = ()>) {
    let each = || upload(address.to_owned(), host.to_owned());
    let began = Instant::now();
    let (one, two, three, ()) = tokio::join!(each(), each(), each(), meanwhile);
    println!("three uploads, and what was done meanwhile, took {:?}", began.elapsed());
    for said in [one, two, three] {
        said.unwrap_or_else(|error| panic!("an upload failed: {error}"));
    }
}

/// The first page.
async fn page(app: &App<'_>) -> Value {
    serde_json::from_str(&app.page("/").await).expect("JSON")
}

async fn comes_to_say(namespace: &Namespace, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
    let (address, host) = (namespace.ingress(), namespace.host());
    eventually(&format!("the page says {what}"), Duration::from_secs(120), async || {
        let answer = drover_e2e::get(&address, &host, "/").await?;
        match serde_json::from_str::<Value>(&answer.body) {
            Ok(page) if is_so(&page) => Ok(page),
            _ => Err(format!("{answer:?}")),
        }
    })
    .await
}

fn restarts(pods: &[Pod]) -> i32 {
    let statuses = pods.iter().filter_map(|pod| pod.status.as_ref()?.container_statuses.as_ref());
    statuses.flatten().map(|container| container.restart_count).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_validator_runs_from_git_and_is_used_as_its_people_do() {
    let namespace = Namespace::new("jacow").await;
    let bed = namespace.bed();
    let image = format!("{}/{}:latest", bed.registry(), namespace.name());
    let push = |revision: &str, change: &dyn Fn(&Path)| {
        let label = format!("org.opencontainers.image.revision={revision}");
        bed.push_python(&image, "jacow", |folder| change(folder), &["--label", &label])
    };
    push(REVISIONS[0], &|_| ());
    let server = DataServer::start("jacow");
    server.put("references.csv", &references(10));
    let settled = |system: System| {
        system
            .with("registry.example.org/jacow-validator:latest", &image)
            .with("https://data.example.org/references.csv", &server.url("references.csv"))
            .with("jacow.example.org", &namespace.host())
            // Two of its pods at a time, beside those of other tests, on a node of two cores.
            .with(
                "{limits: {cpu: \"1\", memory: 400Mi}}",
                "{limits: {cpu: \"1\", memory: 400Mi}, requests: {cpu: 100m}}",
            )
    };

    // One push, and it is live.
    let repo = namespace.repository("jacow");
    let first = settled(System::first("jacow-validator")).push(&repo, "Validate papers");
    let environment = namespace.follow(&repo).await;
    let app = namespace.app("jacow");
    app.is_live_at(&first).await;
    environment.is_ready_at(&first).await;
    let said = page(&app).await;
    assert_eq!((&said["revision"], &said["references"]), (&json!(REVISIONS[0]), &json!(10)), "{said}");
    let container = app.deployment().await.spec.and_then(|s| s.template.spec).expect("pods").containers.remove(0);
    let command = container.command.unwrap_or_default().join(" ");
    assert!(command.contains("--workers 3") && command.contains("--timeout 180"), "{command}");

    if upload_time() >= READ_BY_TRAEFIK {
        // As the condition ExposeLimited tells people.
        bed.suffers(&["ingress", "--entryPoints.web.transport.respondingTimeouts.readTimeout=180s"]);
        app.answers("/", REVISIONS[0]).await;
    }
    // Uploads through the Ingress, and a push in the middle of them, which brings new pods.
    three_uploads(&namespace.ingress(), &namespace.host(), async {
        sleep(upload_time() / 3).await;
        let second = settled(System::second("jacow-validator")).push(&repo, "Be more patient");
        app.is_live_at(&second).await;
    })
    .await;
    // And past it, on the app's own port. kubectl prefers the pod that has been ready for longest, which is one that ends.
    let pods = app.pods().await;
    let stays =
        pods.iter().find(|pod| pod.metadata.deletion_timestamp.is_none()).and_then(|pod| pod.metadata.name.clone());
    let forward = namespace.forward(&format!("pod/{}", stays.expect("it is live")), 8080);
    three_uploads(forward.address(), &namespace.host(), async {}).await;
    assert_eq!(restarts(&app.pods().await), 0, "nothing is restarted for its health");

    // The list of references: new bytes at the same path, without new pods; kept when the source fails.
    let before = app.standing().await;
    let sync = || namespace.drover(&["sync", "csv", "--namespace", namespace.name()]);
    server.put("references.csv", &references(25));
    assert_eq!(sync().code, 0);
    comes_to_say(&namespace, "25 references", |page| page["references"] == 25).await;
    server.remove("references.csv");
    assert_eq!(sync().code, 0);
    eventually("the failed sync is told", Duration::from_secs(60), async || {
        let told = namespace.drover(&["status", "--namespace", namespace.name()]);
        if told.stdout.contains("LastSyncFailed") { Ok(()) } else { Err(told.said()) }
    })
    .await;
    assert_eq!(page(&app).await["references"], 25, "what was published stays");
    assert_eq!(app.standing().await, before, "no pod is new");

    // The image is pushed again under its tag; then one that does not start, which one command takes back.
    push(REVISIONS[1], &|_| ());
    namespace.app("jacow").look_now("moved").await;
    comes_to_say(&namespace, "the new revision", |page| page["revision"] == REVISIONS[1]).await;
    app.comes_to("is live", |status: &WebAppStatus| match ready(&status.conditions) {
        Ok(ready) if ready.status == "True" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    push("3333333333333333333333333333333333333333", &|folder| {
        std::fs::write(folder.join("wsgi.py"), "import a_module_that_is_not_there\n")
            .expect("the folder is the test's");
    });
    namespace.app("jacow").look_now("broken").await;
    app.fails_with(&["CrashLoopBackOff", "Error"]).await;
    assert_eq!(page(&app).await["revision"], REVISIONS[1], "the old pods serve");
    let back = namespace.drover(&["rollback", "webapp/jacow", "--namespace", namespace.name()]);
    assert_eq!(back.code, 0, "{}", back.said());
    let said = page(&app).await;
    assert_eq!((&said["revision"], &said["references"]), (&json!(REVISIONS[1]), &json!(25)), "{said}");
}
