//! Servers that hang, drip, send too much, or are not there.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use drover::git::{Credential, Error, Limits};
use drover_core::branch::CommitId;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::pool::{Pool, branch, eventually, team};
use super::server::{GitServer, noise};

fn hasty() -> Limits {
    Limits { sync_timeout: Duration::from_secs(2), ..Limits::default() }
}

/// Takes connections and never says anything; tells when the first one came.
async fn hanging() -> (SocketAddr, oneshot::Receiver<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    let (came, arrival) = oneshot::channel();
    tokio::spawn(async move {
        let (first, _) = listener.accept().await.expect("accepted");
        let _ = came.send(());
        let mut held = vec![first];
        while let Ok((connection, _)) = listener.accept().await {
            held.push(connection);
        }
    });
    (address, arrival)
}

#[tokio::test]
async fn a_server_that_hangs_or_drips_is_given_up_and_delays_nobody() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let head = repo.git(&["rev-parse", "HEAD"]);
    let mut pool = Pool::with(hasty());
    let (address, _) = hanging().await;
    // More of them than places for healthy repositories.
    for n in 0..8 {
        pool.follow(&format!("hang{n}"), &format!("http://{address}/{n}"), branch("prod"), Credential::default());
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let dripping = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut ticks = tokio::time::interval(Duration::from_millis(100));
                let mut answer = b"HTTP/1.1 200 OK\r\nX-Long: ".iter().copied().chain(std::iter::repeat(b'x'));
                while connection.write_all(&[answer.next().expect("endless")]).await.is_ok() {
                    ticks.tick().await;
                }
            });
        }
    });
    pool.follow("drip", &format!("http://{dripping}/a"), branch("prod"), Credential::default());
    pool.follow("healthy", &server.https("demo"), branch("prod"), server.password());
    pool.until_at("healthy", &head).await;
    let error = pool.until_failed("drip").await;
    assert_eq!(
        error.to_string(),
        format!(
            "http://{dripping}/a did not answer in full within 2 s, so drover gave up: check the git server and the size of the repository"
        )
    );
    assert!(!error.is_terminal());
    for n in 0..8 {
        assert_eq!(pool.until_failed(&format!("hang{n}")).await.label(), "TimedOut");
    }
    // While they are tried again and again, news of the healthy one is at hand.
    let next = repo.push("prod", &[("deploy/app.yaml", "a: 2")], "next");
    pool.repositories.sync_now(&team("healthy"));
    pool.until_at("healthy", &next).await;
}

#[tokio::test]
async fn nobody_there_and_no_such_host() {
    let closed = TcpListener::bind("127.0.0.1:0").await.expect("bound").local_addr().expect("address");
    let mut pool = Pool::with(hasty());
    pool.follow("closed", &format!("https://{closed}/a"), branch("prod"), Credential::default());
    let error = pool.until_failed("closed").await;
    assert_eq!(error.label(), "Unreachable", "{error}");
    pool.follow("unnamed", "https://no-such-host.invalid/a", branch("prod"), Credential::default());
    let error = pool.until_failed("unnamed").await;
    assert_eq!(error.label(), "UnresolvedHost", "{error}");
    assert!(error.to_string().contains("no-such-host.invalid"));
}

#[tokio::test]
async fn a_server_that_answers_nonsense() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("address");
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let read = connection.read(&mut request).await.unwrap_or(0);
            let status = match String::from_utf8_lossy(&request[..read]).split('/').nth(1) {
                Some("busy") => "429 Too Many Requests",
                Some("broken") => "500 Internal Server Error",
                _ => "200 OK",
            };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nwhat");
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    let mut pool = Pool::with(hasty());
    for (name, label) in [("busy", "GitServerThrottles"), ("broken", "GitServerError"), ("page", "NotARepository")] {
        pool.follow(name, &format!("http://{address}/{name}/a"), branch("prod"), Credential::default());
        let error = pool.until_failed(name).await;
        assert_eq!(error.label(), label, "{error}");
    }
}

#[tokio::test]
async fn a_server_that_asks_to_be_left_alone_is_until_then() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let mut pool = Pool::new();
    let url = format!("{}/demo.git", server.setting("GIT_BUSY_URL"));
    pool.follow("busy", &url, branch("prod"), server.password());
    let error = pool.until_failed("busy").await;
    assert_eq!(error, Error::Throttled { url: url.clone(), wait: Some(7) });
    let requests = server.requests("/busy/");
    for _ in 0..10 {
        pool.repositories.sync_now(&team("busy"));
    }
    // Another repository of the same server takes a turn meanwhile, so that there was time to ask.
    pool.follow("other", &server.https("demo"), branch("prod"), server.password());
    pool.until_at("other", &repo.git(&["rev-parse", "HEAD"])).await;
    assert_eq!(server.requests("/busy/"), requests);
    eventually("it is asked again", || server.requests("/busy/") > requests).await;
}

#[tokio::test]
async fn a_repository_that_is_too_large() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let mut pool = Pool::with(Limits { download: 64 << 10, ..Limits::default() });
    let noise = noise();
    repo.push("prod", &[("deploy/big.txt", &noise)], "big");
    pool.follow("bytes", &server.https("demo"), branch("prod"), server.password());
    let error = pool.until_failed("bytes").await;
    assert_eq!(error.label(), "RepositoryTooLarge", "{error}");
    assert!(error.to_string().contains("64 KiB") && error.is_terminal(), "{error}");

    let mut pool = Pool::with(Limits { objects: 4, ..Limits::default() });
    pool.follow("objects", &server.https("demo"), branch("prod"), server.password());
    let error = pool.until_failed("objects").await;
    assert!(error.to_string().contains("objects and the limit is 4"), "{error}");
}

#[tokio::test]
async fn a_repository_that_unfolds_into_more_memory_than_there_is() {
    let server = GitServer::start();
    let repo = server.repo("demo");
    let mut pool = Pool::with(Limits { memory: 64 << 20, ..Limits::default() });
    // A few hundred bytes on the wire: one is sent as what differs from the other, and both are needed in full to check that.
    let (one, other) = ("a".repeat(48 << 20), "a".repeat((48 << 20) + 1));
    repo.push("prod", &[("deploy/one.txt", &one), ("deploy/other.txt", &other)], "bomb");
    pool.follow("bomb", &server.https("demo"), branch("prod"), server.password());
    let error = pool.until_failed("bomb").await;
    assert_eq!(error.label(), "RepositoryTooLarge", "{error}");
    assert_eq!(error, Error::OutOfMemory);
    assert!(error.is_terminal());
}

#[tokio::test]
async fn a_repository_that_needs_more_memory_than_usual_gets_it() {
    let server = GitServer::start();
    let repo = server.repo("large");
    let (one, other) = ("a".repeat(24 << 20), "a".repeat((24 << 20) + 1));
    let files = [("deploy/one.txt", one.as_str()), ("deploy/other.txt", other.as_str())];
    let head = repo.push("prod", &files, "large files");
    let usual = Limits::default().usual_memory;
    let mut scant = Pool::with(Limits { memory: usual, ..Limits::default() });
    scant.follow("large", &server.https("large"), branch("prod"), server.password());
    assert_eq!(scant.until_failed("large").await, Error::OutOfMemory);
    let mut pool = Pool::new();
    pool.follow("large", &server.https("large"), branch("prod"), server.password());
    pool.until_at("large", &head).await;
    let id = CommitId::parse(&head).expect("a commit");
    let tree = pool.repositories.read(&team("large"), &id, "deploy", None).await.expect("it can be read");
    assert_eq!(tree.files.expect("they are not known yet").len(), 1, "the texts are no manifests");
}

#[tokio::test]
async fn manifests_that_need_more_memory_than_usual_are_read() {
    let server = GitServer::start();
    let repo = server.repo("many");
    let most = Limits::default();
    // As many and as large as may be read: more than the usual memory holds twice.
    let manifest = format!("# {}", "x".repeat(usize::try_from(most.manifests.file_bytes).expect("small") - 2));
    let paths: Vec<String> =
        (0..most.manifests.total_bytes / most.manifests.file_bytes - 1).map(|n| format!("deploy/{n}.yaml")).collect();
    let files: Vec<(&str, &str)> = paths.iter().map(|path| (path.as_str(), manifest.as_str())).collect();
    let head = repo.push("prod", &files, "many");
    let mut pool = Pool::with(Limits { usual_memory: 16 << 20, ..most });
    pool.follow("many", &server.https("many"), branch("prod"), server.password());
    pool.until_at("many", &head).await;
    let id = CommitId::parse(&head).expect("a commit");
    let tree = pool.repositories.read(&team("many"), &id, "deploy", None).await.expect("they can be read");
    assert_eq!(tree.files.expect("they are not known yet").len(), paths.len() + 1);
}

#[tokio::test]
async fn a_killed_child_is_told_and_tried_again() {
    let (address, arrival) = hanging().await;
    let mut pool = Pool::new();
    pool.follow("app", &format!("http://{address}/a"), branch("prod"), Credential::default());
    arrival.await.expect("the child connected");
    let child = child_in(pool.cache.path()).expect("a child runs");
    kill_process(child, Signal::KILL).expect("killed");
    let error = pool.until_failed("app").await;
    assert_eq!(error.label(), "GitProcessFailed", "{error}");
    assert!(error.to_string().contains("signal: 9") && !error.is_terminal(), "{error}");
}

#[tokio::test]
async fn a_child_ends_with_its_subscription() {
    let (address, arrival) = hanging().await;
    let pool = Pool::new();
    pool.follow("app", &format!("http://{address}/a"), branch("prod"), Credential::default());
    arrival.await.expect("the child connected");
    assert!(child_in(pool.cache.path()).is_some());
    pool.repositories.unsubscribe(&team("app"));
    eventually("the child is gone", || child_in(pool.cache.path()).is_none()).await;
}

#[tokio::test]
async fn a_child_ends_with_its_parent() {
    let (address, arrival) = hanging().await;
    let folder = tempfile::tempdir().expect("folder");
    let duration = |secs: u64| serde_json::json!({"secs": secs, "nanos": 0});
    let request = serde_json::json!({
        "repository": folder.path().join("repository"),
        "url": format!("http://{address}/a"),
        "limits": {
            "sync_timeout": duration(600), "read_timeout": duration(600), "memory": 512 << 20, "usual_memory": 512 << 20, "download": 1 << 20,
            "objects": 10, "packs": 1, "manifests": drover_core::render::Limits::default()
        },
        "operation": {"Sync": {"host": "127.0.0.1", "port": address.port(), "user": "git", "auth": "Nothing",
            "references": [{"branch": "prod"}], "left_out": [null]}}
    });
    let message = request.to_string().into_bytes();
    let mut child = tokio::process::Command::new(env!("CARGO_BIN_EXE_drover"))
        .args(["child", "git"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .expect("started");
    let mut pipe = child.stdin.take().expect("piped");
    pipe.write_all(&u32::try_from(message.len()).expect("short").to_be_bytes()).await.expect("written");
    pipe.write_all(&message).await.expect("written");
    arrival.await.expect("the child connected");
    assert_eq!(child.try_wait().expect("asked"), None, "it waits for the server");
    drop(pipe);
    let ended = tokio::time::timeout(super::pool::DEADLINE, child.wait()).await.expect("it ends").expect("asked");
    assert_eq!(ended.code(), Some(1));
}

/// The process that works in a folder below `cache`.
fn child_in(cache: &Path) -> Option<Pid> {
    std::fs::read_dir("/proc").expect("/proc").flatten().find_map(|entry| {
        let works_in = std::fs::read_link(entry.path().join("cwd")).ok()?;
        let pid = entry.file_name().to_str()?.parse().ok()?;
        works_in.starts_with(cache).then(|| Pid::from_raw(pid)).flatten()
    })
}
