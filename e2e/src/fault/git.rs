//! A proxy on loopback between drover and the git server: it passes everything on until a test orders a fault, and writes down
//! what it was asked.
//!
//! It speaks plain HTTP on both sides, so drover must run with `--allow-http-git`.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame, Incoming};
use hyper::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep};

use crate::git_repo::GitRepo;
use crate::git_server::GitServer;

/// What a request asks of the git server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    /// The list of references: `GET …/info/refs`.
    References,
    /// Commits: `POST …/git-upload-pack`.
    Pack,
}

/// What is done to a request instead of passing it on, or to its answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answered at once, with these headers and no body.
    Status(u16, Vec<(&'static str, String)>),
    /// Passed on after that time.
    Delay(Duration),
    /// The connection ends after so many bytes of the body.
    CutAfter(usize),
    /// Answered with the right type and noise in it.
    Garbage,
}

/// Which requests a fault is for.
#[derive(Clone, Debug)]
pub struct Rule {
    service: Service,
    path: String,
    nth: RangeInclusive<usize>,
    fault: Fault,
    seen: usize,
}

impl Rule {
    /// All requests for `service` meet `fault`.
    pub fn every(service: Service, fault: Fault) -> Self {
        Self { service, path: String::new(), nth: 1..=usize::MAX, fault, seen: 0 }
    }

    /// Only the `nth` of them, counted from 1 since the rule was given.
    #[must_use]
    pub fn nth(self, nth: usize) -> Self {
        Self { nth: nth..=nth, ..self }
    }

    /// Only those with `part` in their path.
    #[must_use]
    pub fn at(self, part: &str) -> Self {
        Self { path: part.to_owned(), ..self }
    }

    fn meets(&mut self, request: &Request) -> Option<Fault> {
        if Some(self.service) != request.service || !request.path.contains(&self.path) {
            return None;
        }
        self.seen += 1;
        self.nth.contains(&self.seen).then(|| self.fault.clone())
    }
}

/// One request that came in.
#[derive(Clone, Debug)]
pub struct Request {
    /// When.
    pub at: Instant,
    /// When the answer, or what there was of it, was over; `None` while it is not.
    pub ended: Option<Instant>,
    /// Its path, without the query.
    pub path: String,
    /// What it asks; `None` for what git does not ask.
    pub service: Option<Service>,
    /// The fault it met.
    pub fault: Option<Fault>,
}

/// What listens now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Door {
    Open,
    /// Each connection gets noise in place of HTTP.
    Noise,
}

#[derive(Debug)]
struct State {
    rules: Vec<Rule>,
    journal: Vec<Request>,
    door: Door,
}

type Shared = Arc<Mutex<State>>;

/// A running proxy; it ends when it is dropped.
#[derive(Debug)]
pub struct GitProxy {
    address: SocketAddr,
    shared: Shared,
    listening: Mutex<Option<JoinHandle<()>>>,
}

impl GitProxy {
    /// A proxy before the shared git server, on a free port.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let shared = Shared::new(Mutex::new(State { rules: Vec::new(), journal: Vec::new(), door: Door::Open }));
        let listening = Mutex::new(Some(tokio::spawn(listen(listener, shared.clone()))));
        Self { address, shared, listening }
    }

    /// The address of a repository behind this proxy.
    pub fn url(&self, repo: &GitRepo) -> String {
        let address = repo.https();
        let name = address.rsplit('/').next().expect("an address has a last part");
        format!("http://{}/{name}", self.address)
    }

    /// From now on these rules hold, and no others; the first that a request meets counts.
    pub fn order(&self, rules: impl Into<Vec<Rule>>) {
        let mut state = lock(&self.shared);
        state.rules = rules.into();
        state.door = Door::Open;
    }

    /// From now on everything is passed on.
    pub fn relent(&self) {
        self.order([]);
    }

    /// From now on each connection gets noise in place of HTTP.
    pub fn talk_noise(&self) {
        lock(&self.shared).door = Door::Noise;
    }

    /// Ends all connections, and refuses new ones until [`GitProxy::accept`].
    pub async fn refuse(&self) {
        let listening = lock(&self.listening).take();
        if let Some(listening) = listening {
            listening.abort();
            // When it has ended the port is closed.
            let _ = listening.await;
        }
    }

    /// Takes connections again, at the same address.
    pub async fn accept(&self) {
        let listener = TcpListener::bind(self.address).await.expect("nobody else took the port");
        let task = tokio::spawn(listen(listener, self.shared.clone()));
        *lock(&self.listening) = Some(task);
    }

    /// Everything that it was asked so far.
    pub fn journal(&self) -> Vec<Request> {
        lock(&self.shared).journal.clone()
    }

    /// When it was asked for references, in order: each sync begins with that.
    pub fn syncs(&self) -> Vec<Instant> {
        let asked = |request: Request| (request.service == Some(Service::References)).then_some(request.at);
        self.journal().into_iter().filter_map(asked).collect()
    }

    /// The most requests that were open at one time.
    pub fn most_at_once(&self) -> usize {
        let journal = self.journal();
        let open = |at: Instant| journal.iter().filter(|r| r.at <= at && r.ended.is_none_or(|end| end > at)).count();
        journal.iter().map(|request| open(request.at)).max().unwrap_or(0)
    }
}

impl Drop for GitProxy {
    fn drop(&mut self) {
        if let Some(listening) = self.listening.get_mut().unwrap_or_else(PoisonError::into_inner) {
            listening.abort();
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves connections; they end with this future.
async fn listen(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    loop {
        let Ok((connection, _)) = listener.accept().await else { continue };
        while connections.try_join_next().is_some() {}
        connections.spawn(serve(connection, shared.clone()));
    }
}

async fn serve(mut connection: TcpStream, shared: Shared) {
    let door = lock(&shared).door;
    if door == Door::Noise {
        let _ = connection.write_all(&noise()).await;
        return;
    }
    let client: Upstream = Client::builder(TokioExecutor::new()).build_http();
    let answer = service_fn(|request| answer(request, client.clone(), shared.clone()));
    // It ends with an error whenever a fault cuts an answer.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(connection), answer).await;
}

type Upstream = Client<HttpConnector, Full<Bytes>>;
type Answer = hyper::Response<UnsyncBoxBody<Bytes, io::Error>>;

async fn answer(request: hyper::Request<Incoming>, client: Upstream, shared: Shared) -> Result<Answer, Infallible> {
    let service = match request.uri().path() {
        path if path.ends_with("/info/refs") => Some(Service::References),
        path if path.ends_with("/git-upload-pack") => Some(Service::Pack),
        _ => None,
    };
    let (entry, fault) = {
        let mut state = lock(&shared);
        let path = request.uri().path().to_owned();
        let mut entry = Request { at: Instant::now(), ended: None, path, service, fault: None };
        entry.fault = state.rules.iter_mut().find_map(|rule| rule.meets(&entry));
        let fault = entry.fault.clone();
        state.journal.push(entry);
        (Entry { number: state.journal.len() - 1, shared: shared.clone() }, fault)
    };
    let whole = match fault {
        Some(Fault::Status(status, headers)) => return Ok(refusal(status, &headers)),
        Some(Fault::Garbage) => return Ok(garbage(service)),
        Some(Fault::Delay(time)) => {
            sleep(time).await;
            forward(request, &client).await
        }
        _ => forward(request, &client).await,
    };
    let (head, bytes) = whole.into_parts();
    let pieces: Pieces = match fault {
        Some(Fault::CutAfter(most)) => {
            let cut = io::Error::other("cut, as ordered");
            let kept = bytes.slice(..bytes.len().min(most));
            Box::pin(stream::iter([Ok(kept), Err(cut)]))
        }
        _ => Box::pin(stream::iter([Ok(bytes)])),
    };
    let frames = pieces.map(move |piece| {
        let _until_the_end = &entry;
        piece.map(Frame::data)
    });
    Ok(hyper::Response::from_parts(head, StreamBody::new(frames).boxed_unsync()))
}

type Pieces = std::pin::Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// A place in the journal; when it is dropped the request has ended.
struct Entry {
    number: usize,
    shared: Shared,
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.shared).journal[self.number].ended = Some(Instant::now());
    }
}

/// Asks the git server, and returns its whole answer.
async fn forward(request: hyper::Request<Incoming>, client: &Upstream) -> hyper::Response<Bytes> {
    let (mut head, body) = request.into_parts();
    let upstream = GitServer::shared().http();
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri: Uri = format!("{upstream}{path}").parse().expect("an address and a path are an address");
    let exchange = async {
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        head.headers.remove(HOST);
        head.uri = uri;
        let answer = client.request(hyper::Request::from_parts(head, Full::new(body))).await;
        let (head, body) = answer.map_err(|error| error.to_string())?.into_parts();
        let body = body.collect().await.map_err(|error| error.to_string())?.to_bytes();
        Ok::<_, String>(hyper::Response::from_parts(head, body))
    };
    exchange.await.unwrap_or_else(|error| panic!("the git server at {upstream} does not answer its proxy: {error}"))
}

fn refusal(status: u16, headers: &[(&'static str, String)]) -> Answer {
    let mut answer = hyper::Response::new(empty());
    *answer.status_mut() = StatusCode::from_u16(status).expect("the test names a status");
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).expect("the test writes a header");
        answer.headers_mut().insert(HeaderName::from_static(name), value);
    }
    answer
}

fn garbage(service: Option<Service>) -> Answer {
    let kind = match service {
        Some(Service::Pack) => "application/x-git-upload-pack-result",
        _ => "application/x-git-upload-pack-advertisement",
    };
    let body = Full::new(Bytes::from(noise())).map_err(|never| match never {});
    let mut answer = hyper::Response::new(body.boxed_unsync());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer
}

fn empty() -> UnsyncBoxBody<Bytes, io::Error> {
    Full::default().map_err(|never| match never {}).boxed_unsync()
}

fn noise() -> Vec<u8> {
    (0..4096).map(|_| rand::random()).collect()
}
