//! An API server that answers as a test says.
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use serde_json::Value;

/// What was asked: method, path with query, body.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    pub method: String,
    pub path: String,
    pub body: Value,
}

/// A client whose every request is recorded and answered by `answer`: a status code and a body.
pub fn server(answer: impl Fn(&Asked) -> (u16, Value) + Send + 'static) -> (Client, Arc<Mutex<Vec<Asked>>>) {
    let (service, mut handle) = tower_test::mock::pair::<Request<Body>, Response<Body>>();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let record = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Some((request, send)) = handle.next_request().await {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await.expect("a body").to_bytes();
            let one = Asked {
                method: parts.method.to_string(),
                path: parts.uri.to_string(),
                body: serde_json::from_slice(&bytes).unwrap_or(Value::Null),
            };
            let (code, body) = answer(&one);
            record.lock().expect("no panic").push(one);
            let body = serde_json::to_vec(&body).expect("JSON");
            send.send_response(Response::builder().status(code).body(Body::from(body)).expect("a response"));
        }
    });
    (Client::new(service, "default"), asked)
}

/// The API server's refusal.
pub fn refusal(code: u16, message: &str, name: &str, kind: &str) -> (u16, Value) {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        _ => "Forbidden",
    };
    let details = serde_json::json!({"name": name, "kind": kind});
    (
        code,
        serde_json::json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message, "reason": reason, "details": details}),
    )
}
