//! What drover serves to machines: probes and metrics.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::routing::get;
use tokio::net::TcpListener;
use tower_http::timeout::TimeoutLayer;

use crate::metrics;
use crate::unpoisoned;

/// The longest that answering a probe may take.
const LIMIT: Duration = Duration::from_secs(5);

/// What the probes tell: whether this replica does its part, so leads, or stands by for a leader that it can see. If not, one
/// sentence why.
#[derive(Clone)]
pub struct Readiness {
    ready: Arc<RwLock<Result<(), String>>>,
}

impl Readiness {
    /// It does not, for that reason.
    pub fn not_yet(why: &str) -> Self {
        Self { ready: Arc::new(RwLock::new(Err(why.to_owned()))) }
    }

    /// Says how it is now.
    pub fn set(&self, ready: Result<(), String>) {
        *unpoisoned::write(&self.ready) = ready;
    }

    fn answer(&self) -> (StatusCode, String) {
        match &*unpoisoned::read(&self.ready) {
            Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
            Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")),
        }
    }
}

/// `/healthz`, `/readyz` and `/metrics`.
pub fn router(readiness: Readiness) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(move || async move { readiness.answer() }))
        .route(
            "/metrics",
            get(|| async {
                (
                    [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")],
                    metrics::text(),
                )
            }),
        )
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, LIMIT))
}

/// Listens on `address`. Logs the address really bound, so that port 0 can be used.
pub async fn bind(what: &'static str, address: SocketAddr) -> std::io::Result<TcpListener> {
    let listener = TcpListener::bind(address).await?;
    tracing::info!(what, address = %listener.local_addr()?, "listening");
    Ok(listener)
}

/// Serves `router` until `stop` is done.
pub async fn serve(listener: TcpListener, router: Router, stop: impl Future<Output = ()> + Send + 'static) {
    if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(stop).await {
        tracing::error!(%error, "a server ended");
    }
}
