//! An API server that a test plays.

use std::sync::{Arc, Mutex};

use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::Value;

/// What `server` answers to a request: its method, path, query and body, which is null where there is none; the answer's status and
/// body.
pub type Answer<S> = fn(server: &mut S, &Method, path: &str, query: &str, body: &Value) -> (u16, Value);

/// A client of `server`. A watch shows nothing for ever.
///
/// # Panics
/// In a request: when the test panicked while it held `server`.
pub fn client<S: Send + 'static>(server: &Arc<Mutex<S>>, answer: Answer<S>) -> Client {
    let server = server.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let server = server.clone();
        async move {
            let (parts, body) = request.into_parts();
            let query = parts.uri.query().unwrap_or_default().to_owned();
            if query.contains("watch=true") {
                std::future::pending::<()>().await;
            }
            let body = body.collect_bytes().await.expect("a body");
            let body = serde_json::from_slice(&body).unwrap_or_default();
            let (status, answer) =
                answer(&mut server.lock().expect("no panic"), &parts.method, parts.uri.path(), &query, &body);
            let answer = Body::from(answer.to_string().into_bytes());
            Response::builder().status(status).body(answer).map_err(tower::BoxError::from)
        }
    });
    Client::new(service, "default")
}
