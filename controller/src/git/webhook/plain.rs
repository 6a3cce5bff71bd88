//! Answers for people who try an address out.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};

pub(super) fn plain(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}
