use std::sync::{Arc, Mutex, MutexGuard};

use http::{Method, Request, Response, StatusCode};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tower::BoxError;

use super::*;

/// An API server that knows one Lease, shared by the replicas of a test.
#[derive(Clone, Default)]
struct Server(Arc<Mutex<Store>>);

#[derive(Default)]
struct Store {
    lease: Option<Value>,
    version: u64,
    gets: u32,
    puts: u32,
}

impl Store {
    fn write(&mut self, mut lease: Value) -> Value {
        self.version += 1;
        lease["metadata"]["resourceVersion"] = json!(self.version.to_string());
        lease["metadata"]["uid"] = json!("uid");
        self.lease = Some(lease.clone());
        lease
    }

    fn answer(&mut self, method: &Method, body: &[u8]) -> (StatusCode, Value) {
        let status = |code: StatusCode| {
            let reason = if code == StatusCode::NOT_FOUND { "NotFound" } else { "Conflict" };
            (code, json!({"status": "Failure", "reason": reason, "code": code.as_u16()}))
        };
        if method == Method::GET {
            self.gets += 1;
            return self.lease.clone().map_or(status(StatusCode::NOT_FOUND), |lease| (StatusCode::OK, lease));
        }
        self.puts += 1;
        let sent: Value = serde_json::from_slice(body).expect("JSON");
        let version = |lease: &Value| lease["metadata"]["resourceVersion"].clone();
        match (method == Method::POST, &self.lease) {
            (true, Some(_)) => status(StatusCode::CONFLICT),
            (false, Some(lease)) if version(lease) != version(&sent) => status(StatusCode::CONFLICT),
            _ => (StatusCode::OK, self.write(sent)),
        }
    }
}

/// How one replica reaches the server.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Up,
    Cut,
    /// Requests arrive, answers do not.
    Deaf,
    /// The same for writes alone.
    DeafToWrites,
}

/// A replica that takes part.
struct Part {
    line: Arc<Mutex<Line>>,
    leadership: Leadership,
    role: watch::Receiver<Role>,
    stop: watch::Sender<bool>,
    running: JoinHandle<Ended>,
}

impl Server {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.lock().expect("no panic")
    }

    /// Reads and writes so far.
    fn counts(&self) -> (u32, u32) {
        let store = self.store();
        (store.gets, store.puts)
    }

    fn join(&self, identity: &str) -> Part {
        let line = Arc::new(Mutex::new(Line::Up));
        let (server, seen) = (self.clone(), line.clone());
        let service = tower::service_fn(move |request: Request<Body>| {
            let (server, line) = (server.clone(), *seen.lock().expect("no panic"));
            async move {
                let (parts, body) = request.into_parts();
                let body = body.collect_bytes().await?;
                if line == Line::Cut {
                    return Err(BoxError::from("connection refused"));
                }
                let (code, answer) = server.store().answer(&parts.method, &body);
                if line == Line::Deaf || line == Line::DeafToWrites && parts.method != Method::GET {
                    std::future::pending::<()>().await;
                }
                Ok(Response::builder().status(code).body(Body::from(answer.to_string().into_bytes()))?)
            }
        });
        let (election, leadership, role) = Election::new(Client::new(service, "ops"), "ops", identity, None);
        let (stop, stopped) = watch::channel(false);
        Part { line, leadership, role, stop, running: tokio::spawn(election.run(stopped)) }
    }
}

impl Part {
    fn set(&self, line: Line) {
        *self.line.lock().expect("no panic") = line;
    }

    fn leads(&self) -> bool {
        *self.role.borrow() == Role::Leader
    }

    async fn comes_to_lead(&self) -> Duration {
        let began = Instant::now();
        let waited = tokio::time::timeout(Duration::from_secs(60), self.leadership.until_it_may_write()).await;
        assert!(waited.is_ok(), "it does not come to lead: {:?}", *self.role.borrow());
        began.elapsed()
    }
}

async fn seconds(count: u64) {
    tokio::time::sleep(Duration::from_secs(count)).await;
}

#[tokio::test(start_paused = true)]
async fn in_a_quiet_minute_the_holder_only_renews() {
    let server = Server::default();
    let a = server.join("a");
    a.comes_to_lead().await;
    let before = server.counts();
    seconds(60).await;
    let after = server.counts();
    assert_eq!(after.0, before.0, "a renewal reads nothing first");
    assert!((29..=31).contains(&(after.1 - before.1)), "{before:?} {after:?}");
    assert!(a.leads());
}

#[tokio::test(start_paused = true)]
async fn a_holder_that_cannot_renew_stops_writing_and_goes_on_when_it_can() {
    let server = Server::default();
    let mut a = server.join("a");
    a.comes_to_lead().await;
    for line in [Line::Cut, Line::Deaf] {
        a.set(line);
        let cut = crate::clock::now();
        let out = a.role.wait_for(|role| matches!(role, Role::OutOfTouch { .. }));
        let role = tokio::time::timeout(Duration::from_secs(12), out).await.expect("says so").expect("runs").clone();
        assert!(!a.leadership.may_write(), "it says that it writes nothing");
        let Role::OutOfTouch { since, why } = role else { unreachable!("waited for") };
        assert!(since <= cut && !why.is_empty(), "{since} {why}");
        seconds(300).await;
        assert!(!a.leadership.may_write());
        a.set(Line::Up);
        assert!(a.comes_to_lead().await <= Duration::from_secs(7));
        a.role.wait_for(|role| *role == Role::Leader).await.expect("runs");
    }
    assert!(!a.running.is_finished(), "without a restart");
}

#[tokio::test(start_paused = true)]
async fn two_never_write_at_the_same_time_and_a_lost_holder_ends() {
    let server = Server::default();
    let a = server.join("a");
    a.comes_to_lead().await;
    let b = server.join("b");
    for cut_at in [100, 700, 1300, 1900] {
        // Each way of going away, at several moments of a renewal's two seconds.
        tokio::time::sleep(Duration::from_millis(cut_at)).await;
        assert!(a.leads() && !b.leads());
    }
    a.set(Line::Cut);
    let began = Instant::now();
    while !b.leadership.may_write() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert!(!(a.leadership.may_write() && b.leadership.may_write()));
        assert!(began.elapsed() < Duration::from_millis(19_500), "a takeover takes less than 20 s");
    }
    a.set(Line::Up);
    seconds(7).await;
    assert_eq!(a.running.await.expect("no panic"), Ended::Lost(Loss::TakenOver));
    assert!(b.leads());
}

#[tokio::test(start_paused = true)]
async fn a_takeover_whose_answer_was_lost_still_waits_for_the_last_holder() {
    let server = Server::default();
    let a = server.join("a");
    a.comes_to_lead().await;
    let b = server.join("b");
    seconds(3).await;
    a.set(Line::Cut);
    b.set(Line::DeafToWrites);
    while server.store().lease.as_ref().is_some_and(|lease| lease["spec"]["holderIdentity"] == "a") {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    b.set(Line::Up);
    let waited = b.comes_to_lead().await;
    // It finds the lease its own at the next look, and does not forget from whom it has it.
    assert!(waited > WRITE_TIMEOUT + PAUSE + HAND_OVER / 2, "{waited:?}");
}

#[tokio::test(start_paused = true)]
async fn a_clean_stop_hands_over_at_once() {
    let server = Server::default();
    let a = server.join("a");
    a.comes_to_lead().await;
    let b = server.join("b");
    seconds(3).await;
    assert_eq!(*b.role.borrow(), Role::Standby { forward_to: None });
    a.stop.send_replace(true);
    assert_eq!(a.running.await.expect("no panic"), Ended::Stopped);
    assert!(b.comes_to_lead().await <= PAUSE);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_was_put_back_ends_the_holder() {
    let server = Server::default();
    let a = server.join("a");
    a.comes_to_lead().await;
    let backup = server.store().lease.clone();
    seconds(60).await;
    server.store().lease = backup;
    seconds(3).await;
    assert_eq!(a.running.await.expect("no panic"), Ended::Lost(Loss::Restored));
    assert!(!a.leadership.may_write());
}
