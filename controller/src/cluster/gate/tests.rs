use std::time::Duration;

use http::Method;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::cluster::client::with_policy;
use crate::cluster::lease::{DURATION, Leadership};

/// A server that takes connections and tells, for each that ends, what arrived on it. It answers nothing.
async fn silent_server() -> (Config, mpsc::UnboundedReceiver<Vec<u8>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
    let url = format!("http://{}", listener.local_addr().expect("an address")).parse().expect("an address is a URL");
    let (tell, told) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut all = Vec::new();
                let _ = stream.read_to_end(&mut all).await;
                let _ = tell.send(all);
            });
        }
    });
    (Config::new(url), told)
}

fn request(method: Method, body: &'static [u8]) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri("/api/v1/namespaces/a/configmaps/b")
        .body(Body::from(body.to_vec()))
        .expect("ok")
}

#[tokio::test]
async fn a_write_that_waited_above_the_connection_does_not_leave_without_the_lease() {
    let (config, mut arrived) = silent_server().await;
    let client = connect(config).expect("a client");
    let (lease, leadership) = Leadership::of_a_lease(DURATION);
    // Between the policy's check and the connection: a layer in which the lease is lost.
    let slow = Client::new(
        tower::service_fn(move |request: Request<Body>| {
            let (client, lease) = (client.clone(), lease.clone());
            async move {
                lease.send_replace(None);
                client.send(request).await.map_err(BoxError::from)
            }
        }),
        "a",
    );
    let client = with_policy(slow, leadership);
    for method in [Method::PATCH, Method::DELETE, Method::POST] {
        let error = client.send(request(method, b"{}")).await.expect_err("refused");
        assert!(error.to_string().contains("does not hold the lease"), "{error}");
    }
    drop(client);
    while let Ok(Some(bytes)) = tokio::time::timeout(Duration::from_millis(200), arrived.recv()).await {
        assert_eq!(bytes, b"", "something of the write left");
    }
}

#[tokio::test]
async fn a_write_leaves_with_its_limit_while_the_lease_holds() {
    let (config, mut arrived) = silent_server().await;
    let (_lease, leadership) = Leadership::of_a_lease(DURATION);
    let client = with_policy(connect(config).expect("a client"), leadership);
    let call = tokio::spawn(async move { client.send(request(Method::PATCH, b"{}")).await });
    assert!(tokio::time::timeout(Duration::from_millis(300), arrived.recv()).await.is_err(), "it waits for the answer");
    call.abort();
    let bytes = arrived.recv().await.expect("a connection");
    let text = String::from_utf8_lossy(&bytes).into_owned();
    assert!(text.starts_with("PATCH /api/v1/namespaces/a/configmaps/b?timeout=4s HTTP/1.1"), "{text}");
}

#[tokio::test]
async fn what_waits_behind_a_slow_socket_stays_when_the_lease_ends() {
    let (lease, leadership) = Leadership::of_a_lease(DURATION);
    let gate = Gate::default();
    gate.belongs_to(leadership);
    let (stream, mut far_end) = tokio::io::duplex(16);
    let mut stream = GatedStream { stream, gate };
    let write = tokio::spawn(async move { stream.write_all(&[b'x'; 64]).await });
    let mut first = [0; 16];
    far_end.read_exact(&mut first).await.expect("the first bytes");
    lease.send_replace(None);
    let mut rest = Vec::new();
    far_end.read_to_end(&mut rest).await.expect("the connection ends");
    assert!(first.len() + rest.len() < 64, "the whole write left");
    write.await.expect("no panic").expect_err("cut off");
}

#[tokio::test]
async fn a_read_needs_no_lease() {
    let (config, mut arrived) = silent_server().await;
    let client = with_policy(connect(config).expect("a client"), Leadership::lost());
    let call = tokio::spawn(async move { client.send(request(Method::GET, b"")).await });
    assert!(tokio::time::timeout(Duration::from_millis(300), arrived.recv()).await.is_err(), "it waits for the answer");
    call.abort();
    assert!(arrived.recv().await.expect("a connection").starts_with(b"GET /api/v1/namespaces/a/configmaps/b HTTP/1.1"));
}
