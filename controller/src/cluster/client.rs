//! The Kubernetes client that everything uses: kube's own, with the rules that a controller needs put around it.
//!
//! - every call ends: reads after [`READ_TIMEOUT`], writes after [`WRITE_TIMEOUT`], body included (kube has no limit on
//!   ordinary calls); watches and followed logs are exempt, their readers notice silence themselves;
//! - 429 and 503 are tried again a few times, honouring `Retry-After` up to [`RETRY_AFTER_CAP`] (kube honours any value);
//! - the API server is told the limit of each write, so that it gives the write up when this process does, or would;
//! - a write is only sent while this process is the leader: checked here, and again where its bytes leave, see `gate`;
//! - an impersonating client adds the account to every request.

use std::sync::Arc;
use std::time::Duration;

use http::uri::{PathAndQuery, Uri};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use kube::Client;
use kube::client::Body;
use tower::BoxError;

use super::gate::Gated;
use super::lease::Leadership;
use super::writes::{NotLeader, WRITE_TIMEOUT};
use crate::metrics;

/// The longest a read may take.
pub const READ_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest wait that an API server can impose between two tries.
pub const RETRY_AFTER_CAP: Duration = Duration::from_secs(5);
/// How often a call is tried when the API server answers that it is busy.
const TRIES: u32 = 4;

/// The call took too long.
#[derive(Debug, thiserror::Error)]
#[error("the API server did not answer within {0:?}")]
pub struct TimedOut(Duration);

/// Puts the rules of this module around `inner`.
pub fn with_policy(inner: Client, leadership: Leadership) -> Client {
    let namespace = inner.default_namespace().to_owned();
    let leadership = Arc::new(leadership);
    Client::new(
        tower::service_fn(move |request: Request<Body>| {
            let (inner, leadership) = (inner.clone(), leadership.clone());
            async move { send(&inner, &leadership, request).await }
        }),
        namespace,
    )
}

/// A client whose every request acts as a service account.
pub fn impersonating(inner: Client, namespace: &str, service_account: &str) -> Client {
    let user = format!("system:serviceaccount:{namespace}:{service_account}");
    let value = HeaderValue::from_str(&user).ok();
    Client::new(
        tower::service_fn(move |mut request: Request<Body>| {
            let (inner, value) = (inner.clone(), value.clone());
            async move {
                // A name that cannot stand in a header is no service account: refused here, never sent without one.
                let value = value.ok_or_else(|| BoxError::from("the service account's name is not valid"))?;
                request.headers_mut().insert("impersonate-user", value);
                inner.send(request).await.map_err(BoxError::from)
            }
        }),
        namespace.to_owned(),
    )
}

async fn send(client: &Client, leadership: &Leadership, request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let streams = streams(&request);
    let writes = !matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) && !only_asks(&request);
    let limit = if writes { WRITE_TIMEOUT } else { READ_TIMEOUT };
    let (mut parts, body) = request.into_parts();
    if writes {
        parts.uri = with_limit(&parts.uri)?;
        if leadership.is_elected() {
            parts.extensions.insert(Gated(leadership.clone()));
        }
    }
    let mut body = Some(body);
    let mut tried = 0;
    loop {
        tried += 1;
        let again = body.as_ref().and_then(Body::try_clone);
        let Some(this_body) = body.take() else { return Err("the request's body was already sent".into()) };
        let mut request = Request::new(this_body);
        *request.method_mut() = parts.method.clone();
        *request.uri_mut() = parts.uri.clone();
        *request.version_mut() = parts.version;
        *request.headers_mut() = parts.headers.clone();
        *request.extensions_mut() = parts.extensions.clone();
        if writes && !leadership.may_write() {
            return Err(Box::new(NotLeader));
        }
        let answered = if streams {
            // Only the answer's head is bounded: the body goes on for as long as there are events.
            tokio::time::timeout(READ_TIMEOUT, client.send(request))
                .await
                .map_err(|_| TimedOut(READ_TIMEOUT))?
                .map_err(BoxError::from)
        } else {
            tokio::time::timeout(limit, whole(client, request)).await.map_err(|_| TimedOut(limit))?
        };
        let response = answered.map_err(|error| if stopped_at_the_gate(&*error) { NotLeader.into() } else { error })?;
        metrics::request(&parts.method, response.status());
        body = again;
        match wait_before_retry(&response) {
            Some(wait) if tried < TRIES && body.is_some() => tokio::time::sleep(wait).await,
            _ => return Ok(response),
        }
    }
}

/// Sends the request and reads the whole answer, so that one time limit covers both.
async fn whole(client: &Client, request: Request<Body>) -> Result<Response<Body>, BoxError> {
    let (parts, body) = client.send(request).await?.into_parts();
    let bytes = body.collect_bytes().await?;
    Ok(Response::from_parts(parts, Body::from(bytes)))
}

/// The API server's own limit for a request, of which clients can only make less: it does not go on with a write that its sender,
/// frozen or cut off, no longer waits for.
fn with_limit(uri: &Uri) -> Result<Uri, BoxError> {
    let sign = if uri.query().is_some() { '&' } else { '?' };
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let mut parts = uri.clone().into_parts();
    parts.path_and_query = Some(format!("{path}{sign}timeout={}s", WRITE_TIMEOUT.as_secs()).parse()?);
    Ok(Uri::from_parts(parts)?)
}

/// Whether the gate is what a request failed at, somewhere below the layers of the HTTP client.
fn stopped_at_the_gate(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        // An I/O error does not count what it wraps among its causes.
        let wrapped = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        if error.is::<NotLeader>()
            || wrapped.and_then(<dyn std::error::Error + Send + Sync>::downcast_ref::<NotLeader>).is_some()
        {
            return true;
        }
        cause = error.source();
    }
    false
}

fn streams(request: &Request<Body>) -> bool {
    request.uri().query().is_some_and(|query| {
        query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1" | "follow=true" | "follow=1"))
    })
}

/// Reviews are created with POST, yet change nothing.
fn only_asks(request: &Request<Body>) -> bool {
    request.uri().path().starts_with("/apis/authorization.k8s.io/")
}

fn wait_before_retry(response: &Response<Body>) -> Option<Duration> {
    if !matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        return None;
    }
    let asked = response.headers().get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()?.parse().ok());
    let wait = Duration::from_secs(asked.unwrap_or(1)).min(RETRY_AFTER_CAP);
    // Spread, so that many waiting calls do not return as one burst.
    Some(wait.mul_f64(rand::random_range(1.0..1.5)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, retry_after: Option<&str>) -> Response<Body> {
        let mut builder = Response::builder().status(status);
        if let Some(value) = retry_after {
            builder = builder.header("Retry-After", value);
        }
        builder.body(Body::empty()).expect("a response")
    }

    #[test]
    fn retry_after_is_honoured_and_capped() {
        assert!(wait_before_retry(&answer(200, None)).is_none());
        assert!(wait_before_retry(&answer(409, None)).is_none());
        let two = wait_before_retry(&answer(429, Some("2"))).expect("429 is tried again");
        assert!(two >= Duration::from_secs(2) && two < Duration::from_secs(3));
        let year = wait_before_retry(&answer(503, Some("31536000"))).expect("503 is tried again");
        assert!(year < RETRY_AFTER_CAP.mul_f64(1.6));
    }

    fn mock() -> (Client, tower_test::mock::Handle<Request<Body>, Response<Body>>) {
        let (service, handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
        (Client::new(service, "default"), handle)
    }

    #[tokio::test(start_paused = true)]
    async fn a_write_is_not_sent_without_the_lease() {
        let (client, mut handle) = mock();
        let client = with_policy(client, Leadership::lost());
        let request = Request::patch("/api/v1/namespaces/a/configmaps/b").body(Body::empty()).expect("a request");
        let error = client.send(request).await.expect_err("refused");
        assert!(error.to_string().contains("does not hold the lease"), "{error}");
        // Nothing arrived; a read does.
        let read = tokio::spawn(async move {
            client.send(Request::get("/api/v1/namespaces").body(Body::empty()).expect("a request")).await
        });
        let (request, reply) = handle.next_request().await.expect("the read");
        assert_eq!(request.method(), Method::GET);
        reply.send_response(answer(200, None));
        assert!(read.await.expect("no panic").is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_without_answer_ends() {
        let (client, mut handle) = mock();
        let client = with_policy(client, Leadership::sole());
        let call = tokio::spawn(async move {
            client.send(Request::get("/api/v1/pods").body(Body::empty()).expect("a request")).await
        });
        let _kept_open = handle.next_request().await.expect("the call");
        let error = call.await.expect("no panic").expect_err("timed out");
        assert!(error.to_string().contains("did not answer within"), "{error}");
    }

    #[tokio::test]
    async fn the_account_is_on_every_request() {
        let (client, mut handle) = mock();
        let client = impersonating(client, "shop", "drover");
        tokio::spawn(
            async move { client.send(Request::get("/api/v1/pods").body(Body::empty()).expect("a request")).await },
        );
        let (request, _reply) = handle.next_request().await.expect("the call");
        assert_eq!(request.headers()["impersonate-user"], "system:serviceaccount:shop:drover");
    }
}
