//! The layer that lets requests meet the faults of the plan.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::Frame;
use kube::client::{Body, DynBody};
use tower::{BoxError, Service};

use super::call::Call;
use super::events;
use super::journal::Journal;
use super::plan::{Fault, Plan, When};

/// A `tower` layer for `kube::client::ClientBuilder::with_layer`.
#[derive(Clone)]
pub struct Layer {
    faults: Arc<Faults>,
}

struct Faults {
    path: PathBuf,
    journal: Journal,
    plan: Mutex<Loaded>,
    /// What was first got under an address, for those that are answered with it again.
    first: Mutex<HashMap<String, (http::response::Parts, Bytes)>>,
}

#[derive(Default)]
struct Loaded {
    written: Option<SystemTime>,
    plan: Plan,
    /// How many requests each rule has matched.
    counts: Vec<u32>,
}

impl Layer {
    /// Follows the plan at `plan`, which may change at any time, and notes all requests in `journal`.
    pub fn new(plan: &Path, journal: Journal) -> Self {
        let faults = Faults { path: plan.to_owned(), journal, plan: Mutex::default(), first: Mutex::default() };
        Self { faults: Arc::new(faults) }
    }
}

impl Faults {
    /// The fault that meets this call, by the plan as it is now.
    fn meets(&self, call: &Call) -> Option<Fault> {
        let mut loaded = self.plan.lock().expect("no holder of this lock panics");
        let written = std::fs::metadata(&self.path).and_then(|file| file.modified()).ok();
        if written != loaded.written {
            let plan = Plan::read(&self.path);
            *loaded = Loaded { written, counts: vec![0; plan.rules.len()], plan };
        }
        let Loaded { plan, counts, .. } = &mut *loaded;
        let mut met = None;
        for (rule, count) in plan.rules.iter().zip(counts) {
            if rule.matches.fits(call) {
                *count += 1;
                if met.is_none() && rule.matches.counts(*count) {
                    met = Some(rule.fault.clone());
                }
            }
        }
        met
    }
}

impl<S> tower::Layer<S> for Layer {
    type Service = Faulty<S>;

    fn layer(&self, inner: S) -> Faulty<S> {
        Faulty { inner, faults: self.faults.clone() }
    }
}

/// A service with faults.
pub struct Faulty<S> {
    inner: S,
    faults: Arc<Faults>,
}

type Answer = Response<Box<DynBody>>;

impl<S> Service<Request<Body>> for Faulty<S>
where
    S: Service<Request<Body>, Response = Answer, Error = BoxError>,
    S::Future: Send + 'static,
{
    type Response = Answer;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Answer, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let call = Call::of(&request);
        let fault = self.faults.meets(&call);
        self.faults.journal.note(&call, fault.as_ref());
        let address = request.uri().to_string();
        // Nothing is sent before this is polled.
        let answer = self.inner.call(request);
        let faults = self.faults.clone();
        Box::pin(async move {
            match fault {
                None => answer.await,
                Some(Fault::Fail { status, retry_after }) => Ok(failure(status, retry_after)),
                Some(Fault::Delay(milliseconds)) => {
                    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                    answer.await
                }
                Some(Fault::Hang(when)) => {
                    if when == When::After {
                        whole(answer.await?).await?;
                    }
                    std::future::pending().await
                }
                Some(Fault::Cut(when)) => {
                    if when == When::After {
                        whole(answer.await?).await?;
                    }
                    Err("the connection was cut, as the plan says".into())
                }
                Some(Fault::Kill(when)) => {
                    if when == When::After {
                        whole(answer.await?).await?;
                    }
                    rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL)?;
                    std::future::pending().await
                }
                Some(Fault::Stale) => faults.as_at_first(&address, answer).await,
                Some(Fault::Events(events)) => {
                    let (parts, body) = answer.await?.into_parts();
                    let lines = events::treat(body.into_data_stream(), events);
                    let frames = futures::StreamExt::map(lines, |line| line.map(Frame::data));
                    let body: Box<DynBody> = Box::new(StreamBody::new(Box::pin(frames)));
                    Ok(Response::from_parts(parts, body))
                }
            }
        })
    }
}

impl Faults {
    async fn as_at_first(
        &self,
        address: &str,
        answer: impl Future<Output = Result<Answer, BoxError>>,
    ) -> Result<Answer, BoxError> {
        let known = self.first.lock().expect("no holder of this lock panics").get(address).cloned();
        let (parts, bytes) = match known {
            Some(known) => known,
            None => {
                let got = whole(answer.await?).await?;
                self.first.lock().expect("no holder of this lock panics").insert(address.to_owned(), got.clone());
                got
            }
        };
        Ok(Response::from_parts(parts, bytes_body(bytes)))
    }
}

async fn whole(answer: Answer) -> Result<(http::response::Parts, Bytes), BoxError> {
    let (parts, body) = answer.into_parts();
    Ok((parts, body.collect().await?.to_bytes()))
}

fn bytes_body(bytes: impl Into<Bytes>) -> Box<DynBody> {
    Box::new(Full::new(bytes.into()).map_err(|never| match never {}))
}

/// An error as the API server words it.
fn failure(status: u16, retry_after: Option<u64>) -> Answer {
    let reason = match status {
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        504 => "Timeout",
        _ => "InternalError",
    };
    let body = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "so says the plan of faults", "reason": reason, "code": status});
    let mut answer = Response::builder().status(status).header("Content-Type", "application/json");
    if let Some(seconds) = retry_after {
        answer = answer.header("Retry-After", seconds);
    }
    answer.body(bytes_body(body.to_string())).expect("a status from a plan is a status")
}
