//! Where the bytes of a write leave the process: a connection that carries them only while this process leads.
//!
//! A process can be stopped at any instruction, and so between any check of the lease and the socket; on waking it goes on where it
//! was. Here the check and the system call that writes stand side by side, so what waited anywhere above, in a queue, for a
//! connection, in a buffer behind a slow socket, stays here. A request that was begun and is cut off is none: the API server does
//! not act before it has all of it.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use futures::future::BoxFuture;
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper_util::client::legacy::connect::{Connected, Connection as Connects, HttpConnector};
use hyper_util::rt::{TokioExecutor, TokioIo};
use kube::client::{Body, ClientBuilder, ConfigExt as _, DynBody};
use kube::{Client, Config};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tower::util::BoxService;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _};

use super::lease::Leadership;
use super::writes::{NotLeader, WRITE_TIMEOUT};

/// On a request: it is a write of the leader, and goes through the gate.
#[derive(Clone, Debug)]
pub(super) struct Gated(pub Leadership);

/// Takes requests to the API server.
pub type Connection = BoxService<Request<Body>, Response<Box<DynBody>>, BoxError>;

/// A client for `config` without rules of its own, below [`with_policy`](super::client::with_policy).
pub fn connect(config: Config) -> kube::Result<Client> {
    Ok(connection(config)?.build())
}

/// What such a client is built on. Requests that [`with_policy`](super::client::with_policy) marks as writes of the leader go
/// through the gate, on connections of their own. Nothing is sent before an answer is polled for.
pub fn connection(mut config: Config) -> kube::Result<ClientBuilder<Connection>> {
    // Bounded by this program's own rules instead, see `client`.
    config.default_retry = false;
    let namespace = config.default_namespace.clone();
    let gate = Gate::default();
    let gated = gated(&config, gate.clone())?;
    let open = Client::try_from(config)?;
    let service = tower::service_fn(move |mut request: Request<Body>| {
        let client = match request.extensions_mut().remove::<Gated>() {
            Some(Gated(leadership)) => {
                gate.belongs_to(leadership);
                gated.clone()
            }
            None => open.clone(),
        };
        async move {
            let response = client.send(request).await?;
            Ok(response.map(|body| Box::new(body.map_err(BoxError::from)) as Box<DynBody>))
        }
    });
    Ok(ClientBuilder::new(service.boxed(), namespace))
}

/// kube's own stack of layers, on top of gated connections.
fn gated(config: &Config, gate: Gate) -> Result<Client, kube::Error> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(WRITE_TIMEOUT));
    let https = config.rustls_https_connector_with_connector(GatedConnector { http, gate })?;
    let client = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build::<_, Body>(https);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    Ok(Client::new(service, config.default_namespace.clone()))
}

/// Shut until the first write says whose leadership it depends on; a process has one.
#[derive(Clone, Debug, Default)]
struct Gate(Arc<OnceLock<Leadership>>);

impl Gate {
    fn belongs_to(&self, leadership: Leadership) {
        self.0.get_or_init(|| leadership);
    }

    fn check(&self) -> io::Result<()> {
        if self.0.get().is_some_and(Leadership::may_write) { Ok(()) } else { Err(io::Error::other(NotLeader)) }
    }
}

#[derive(Clone)]
struct GatedConnector {
    http: HttpConnector,
    gate: Gate,
}

impl Service<Uri> for GatedConnector {
    type Response = TokioIo<GatedStream<TcpStream>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.http.poll_ready(context).map_err(BoxError::from)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, gate) = (self.http.call(uri), self.gate.clone());
        Box::pin(async move {
            let stream = connecting.await?.into_inner();
            Ok(TokioIo::new(GatedStream { stream, gate }))
        })
    }
}

/// A connection whose every byte is a write's.
struct GatedStream<S> {
    stream: S,
    gate: Gate,
}

impl<S: AsyncRead + Unpin> AsyncRead for GatedStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for GatedStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.gate.check()?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.gate.check()?;
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl Connects for GatedStream<TcpStream> {
    fn connected(&self) -> Connected {
        self.stream.connected()
    }
}

#[cfg(test)]
mod tests;
