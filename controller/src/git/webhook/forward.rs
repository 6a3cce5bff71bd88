//! A standby knows no subscriptions: it hands a webhook on to the leader, once.

use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;

/// Whether this process is the one that works.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leadership {
    /// It is.
    Leader,
    /// It waits.
    Standby {
        /// Where the leader's webhook service is, such as `http://10.0.0.7:9292`, if that is known.
        forward_to: Option<String>,
    },
}

/// Marks a webhook that was handed on, so that two standbys do not play ball with it.
const FORWARDED: HeaderName = HeaderName::from_static("x-drover-forwarded");
const TIMEOUT: Duration = Duration::from_secs(5);
/// drover's own answers are far shorter.
const MAX_ANSWER: usize = 64 << 10;
/// Headers that belong to a connection, not to the message.
const OF_THE_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::TE,
    header::TRAILER,
    header::UPGRADE,
    header::EXPECT,
];

pub(super) type Forwarder = Client<HttpConnector, Full<axum::body::Bytes>>;

pub(super) fn forwarder() -> Forwarder {
    Client::builder(TokioExecutor::new()).build_http()
}

/// Hands the request on and answers as the leader did.
pub(super) async fn forward(
    client: &Forwarder,
    leader: Option<&str>,
    path: &str,
    headers: &HeaderMap,
    body: axum::body::Bytes,
) -> Response {
    let Some(leader) = leader.filter(|_| !headers.contains_key(FORWARDED)) else {
        return retry_later(StatusCode::SERVICE_UNAVAILABLE);
    };
    let Ok(mut request) = Request::post(format!("{}{path}", leader.trim_end_matches('/'))).body(Full::new(body)) else {
        return retry_later(StatusCode::SERVICE_UNAVAILABLE);
    };
    *request.headers_mut() = headers.clone();
    for name in OF_THE_CONNECTION {
        request.headers_mut().remove(name);
    }
    request.headers_mut().insert(FORWARDED, HeaderValue::from_static("1"));
    let exchange = async {
        let answer = client.request(request).await.ok()?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), MAX_ANSWER).collect().await.ok()?.to_bytes();
        Some(super::plain::plain(status, Body::from(body)))
    };
    match tokio::time::timeout(TIMEOUT, exchange).await {
        Ok(Some(response)) => response,
        Ok(None) => retry_later(StatusCode::BAD_GATEWAY),
        Err(_) => retry_later(StatusCode::GATEWAY_TIMEOUT),
    }
}

fn retry_later(status: StatusCode) -> Response {
    let text = "drover's leader cannot be reached now; send it again later, or wait for the next poll\n";
    let mut response = super::plain::plain(status, Body::from(text));
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    response
}
