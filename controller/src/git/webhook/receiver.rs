//! Takes a webhook, finds who gave its sender a token, and has their repositories looked at.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::response::Response;
use axum::routing::post;
use drover_core::branch::CommitId;
use drover_crds::Owner;
use futures::future::BoxFuture;
use http::{HeaderMap, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use super::forward::{Forwarder, Leadership, forward, forwarder};
use super::payload::Hint;
use super::plain::plain;
use super::signature::verifies;
use crate::git::registry::Hooked;
use crate::git::repositories::Repositories;
use crate::unpoisoned;

/// A push of two thousand commits makes a payload of about 4 MiB; what is larger is found by the next poll. The body has to be
/// held until it is verified, so each MiB more could be held by strangers.
const MAX_BODY: usize = 5 << 20;
/// Bodies held at a time.
const MAX_BODIES: usize = 16;
const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Every refusal is sent this long after the request came, so that its time does not tell whether the address exists or how
/// far a proof was looked at.
const REFUSAL_AFTER: Duration = Duration::from_secs(1);
/// How long a refresh of the tokens may take: less than a refusal.
const REFRESH_TIMEOUT: Duration = Duration::from_millis(800);
/// At most one refresh per address in this time.
const REFRESH_EVERY: Duration = Duration::from_secs(10);

/// Called with the Environments of a webhook whose proof none of their tokens made: reads their tokens again and subscribes
/// them anew, because a token may have been rotated since.
pub type Refresh = Arc<dyn Fn(Vec<Owner>) -> BoxFuture<'static, ()> + Send + Sync>;

/// What the receiver needs; cheap to clone.
#[derive(Clone)]
pub struct Receiver {
    shared: Arc<Shared>,
}

struct Shared {
    repositories: Repositories,
    leadership: watch::Receiver<Leadership>,
    refresh: Refresh,
    refreshed: Mutex<HashMap<String, Instant>>,
    bodies: Semaphore,
    forwarder: Forwarder,
}

impl Receiver {
    /// A receiver for the subscribers of `repositories`.
    pub fn new(repositories: Repositories, leadership: watch::Receiver<Leadership>, refresh: Refresh) -> Self {
        Self {
            shared: Arc::new(Shared {
                repositories,
                leadership,
                refresh,
                refreshed: Mutex::default(),
                bodies: Semaphore::new(MAX_BODIES),
                forwarder: forwarder(),
            }),
        }
    }
}

/// `POST /webhook/{id}`. 202 when it was verified; 404 for an unknown address and for a wrong proof alike; 413 for a body over
/// 5 MiB; 503 from a standby that knows no leader.
pub fn router(receiver: Receiver) -> Router {
    Router::new().route("/webhook/{id}", post(receive)).with_state(receiver)
}

async fn receive(State(receiver): State<Receiver>, Path(id): Path<String>, headers: HeaderMap, body: Body) -> Response {
    let arrival = Instant::now();
    let shared = &receiver.shared;
    let Ok(place) = shared.bodies.acquire().await else { return refusal() };
    let body = match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, MAX_BODY).collect()).await {
        Ok(Ok(body)) => body.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            return plain(StatusCode::PAYLOAD_TOO_LARGE, Body::from("the payload is larger than 5 MiB\n"));
        }
        _ => return plain(StatusCode::REQUEST_TIMEOUT, Body::from("the payload did not arrive in full\n")),
    };
    let leadership = shared.leadership.borrow().clone();
    if let Leadership::Standby { forward_to } = leadership {
        let known = id.len() <= 64 && id.bytes().all(|b| b.is_ascii_alphanumeric());
        let path = if known { format!("/webhook/{id}") } else { "/webhook/-".to_owned() };
        return forward(&shared.forwarder, forward_to.as_deref(), &path, &headers, body).await;
    }
    let mut verified = verified(&shared.repositories.hooked(&id), &headers, &body);
    if verified.is_empty() && shared.may_refresh(&id, arrival) {
        let known = shared.repositories.hooked(&id);
        let names = known.into_iter().filter(|hooked| hooked.token.is_some()).map(|hooked| hooked.name).collect();
        let _ = tokio::time::timeout(REFRESH_TIMEOUT, (shared.refresh)(names)).await;
        verified = self::verified(&shared.repositories.hooked(&id), &headers, &body);
    }
    if verified.is_empty() {
        drop(body);
        drop(place);
        tokio::time::sleep_until(arrival + REFUSAL_AFTER).await;
        return refusal();
    }
    let hint = Hint::read(&body);
    let looks = |hooked: &&Hooked| hint.concerns(&hooked.reference, hooked.head.as_ref().map(CommitId::as_str));
    let concerned: BTreeSet<&Owner> = verified.iter().filter(looks).map(|hooked| &hooked.name).collect();
    tracing::info!(webhook = id, subscribers = verified.len(), concerned = concerned.len(), "webhook received");
    for key in concerned {
        shared.repositories.sync_now(key);
    }
    plain(StatusCode::ACCEPTED, Body::from("accepted\n"))
}

/// Those whose token made the proof. Equal tokens are tried once.
fn verified(hooked: &[Hooked], headers: &HeaderMap, body: &Bytes) -> Vec<Hooked> {
    let tokens: BTreeSet<&[u8]> = hooked.iter().filter_map(|hooked| hooked.token.as_deref()).collect();
    let proven: BTreeSet<&[u8]> = tokens.into_iter().filter(|token| verifies(headers, body, token)).collect();
    hooked
        .iter()
        .filter(|hooked| hooked.token.as_deref().is_some_and(|token| proven.contains(token)))
        .cloned()
        .collect()
}

impl Shared {
    /// Whether the tokens behind this address may be read again now. An address that nobody has takes no place in memory.
    fn may_refresh(&self, id: &str, now: Instant) -> bool {
        if !self.repositories.hooked(id).iter().any(|hooked| hooked.token.is_some()) {
            return false;
        }
        let mut refreshed = unpoisoned::lock(&self.refreshed);
        refreshed.retain(|_, at| now.duration_since(*at) < REFRESH_EVERY);
        let allowed = !refreshed.contains_key(id);
        if allowed {
            refreshed.insert(id.to_owned(), now);
        }
        allowed
    }
}

fn refusal() -> Response {
    plain(StatusCode::NOT_FOUND, Body::from("there is no such webhook, or its signature is wrong\n"))
}
