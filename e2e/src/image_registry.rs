//! An image registry in which a test moves the tag, and that answers as badly as real ones do. Its images cannot be pulled.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// How it answers who asks where the tag points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manners {
    /// As the specification says.
    #[default]
    Good,
    /// It knows nothing of HEAD, and answers it with that code.
    NoHead(u16),
    /// It names no digest.
    NoDigest,
    /// It has been asked too often, and wants to be left alone for so many seconds.
    Limited(u32),
}

#[derive(Default)]
struct State {
    manners: Manners,
    tag: Option<String>,
    content: BTreeMap<String, Vec<u8>>,
    asked: usize,
}

/// A registry on this machine, until the runtime ends that started it.
#[derive(Clone)]
pub struct ImageRegistry {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

impl ImageRegistry {
    /// A registry without images.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let registry = Self { address, state: Arc::default() };
        let serving = registry.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let registry = serving.clone();
                tokio::spawn(async move { registry.serve(stream).await });
            }
        });
        registry
    }

    /// `host:port`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// The image, by its tag.
    pub fn image(&self) -> String {
        format!("{}/team/app:prod", self.address)
    }

    /// Pushes an image that was built from that revision: the tag points to it, and its digest is returned.
    pub fn push(&self, revision: &str) -> String {
        let labels = json!({"org.opencontainers.image.revision": revision});
        let mut state = self.state();
        let mut keep = |content: String| {
            let digest = format!("sha256:{}", hex::encode(Sha256::digest(&content)));
            state.content.insert(digest.clone(), content.into_bytes());
            digest
        };
        let config = keep(json!({"config": {"User": "65532:65532", "Labels": labels}}).to_string());
        let manifest = keep(json!({"config": {"digest": config}}).to_string());
        state.tag = Some(manifest.clone());
        manifest
    }

    /// Deletes the tag.
    pub fn delete_tag(&self) {
        self.state().tag = None;
    }

    /// How it answers from now on.
    pub fn has(&self, manners: Manners) {
        self.state().manners = manners;
    }

    /// How often it was asked anything.
    pub fn asked(&self) -> usize {
        self.state().asked
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no holder of this lock panics")
    }

    async fn serve(&self, mut stream: TcpStream) {
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            match stream.read_u8().await {
                Ok(byte) => request.push(byte),
                Err(_) => return,
            }
        }
        let request = String::from_utf8_lossy(&request).into_owned();
        let answer = self.answer(&request);
        // Whoever asked may have gone.
        let _ = stream.write_all(&answer).await;
    }

    fn answer(&self, request: &str) -> Vec<u8> {
        let mut state = self.state();
        state.asked += 1;
        let mut words = request.split(' ');
        let (is_head, path) = (words.next() == Some("HEAD"), words.next().unwrap_or_default());
        let name = path.rsplit('/').next().unwrap_or_default();
        let digest = if name == "prod" { state.tag.clone() } else { Some(name.to_owned()) };
        let found = digest.and_then(|digest| Some((state.content.get(&digest)?.clone(), digest)));
        let (status, header, body) = match (state.manners, found) {
            (Manners::Limited(seconds), _) => (429, format!("Retry-After: {seconds}\r\n"), Vec::new()),
            (Manners::NoHead(code), _) if is_head => (code, String::new(), Vec::new()),
            (_, None) => (404, String::new(), Vec::new()),
            (Manners::NoDigest, Some((body, _))) => (200, String::new(), body),
            (_, Some((body, digest))) => (200, format!("Docker-Content-Digest: {digest}\r\n"), body),
        };
        let head =
            format!("HTTP/1.1 {status} x\r\n{header}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
        let body = if is_head { Vec::new() } else { body };
        [head.into_bytes(), body].concat()
    }
}
