//! A server over TLS that answers as a test says: never, a byte at a time, with a redirect, or as an admission webhook does.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::interval;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::server::TlsStream;

use crate::command::run;

/// How it answers a request.
pub enum Manner {
    /// Not at all.
    Hang,
    /// With headers that never end, one byte a second.
    Drip,
    /// With a redirect to that address.
    Redirect(String),
    /// With 200 and the JSON that is made of the request's body.
    Answer(Box<dyn Fn(&str) -> String + Send + Sync>),
}

/// A running server; it ends when it is dropped.
pub struct TlsServer {
    address: SocketAddr,
    certificate: String,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl TlsServer {
    /// Starts one at a free port of that address.
    pub async fn start(ip: &str, manner: Manner) -> Self {
        let folder = tempfile::tempdir().expect("the temporary folder is ours to write");
        let (key, certificate) = (folder.path().join("key"), folder.path().join("certificate"));
        run(Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
            .args(["-subj", "/CN=test", "-addext", &format!("subjectAltName=IP:{ip}"), "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate));
        let read = |path| fs::read_to_string(path).expect("openssl has written it");
        let (key, certificate) = (read(&key), read(&certificate));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider has them")
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate")],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("a key"),
            )
            .expect("the key fits the certificate");
        let listener = TcpListener::bind((ip, 0)).await.expect("the address is this machine's");
        let address = listener.local_addr().expect("a bound socket has an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let task =
            tokio::spawn(serve(listener, TlsAcceptor::from(Arc::new(config)), Arc::new(manner), requests.clone()));
        Self { address, certificate, requests, task }
    }

    /// `https://IP:PORT`.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// The certificate, which is its own authority, as PEM.
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// What it was sent so far: the head and the body of each request.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("no holder of this lock panics").clone()
    }
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(listener: TcpListener, acceptor: TlsAcceptor, manner: Arc<Manner>, requests: Arc<Mutex<Vec<String>>>) {
    while let Ok((connection, _)) = listener.accept().await {
        let (acceptor, manner, requests) = (acceptor.clone(), manner.clone(), requests.clone());
        tokio::spawn(async move {
            // Who hangs up is none of the server's business.
            if let Ok(mut stream) = acceptor.accept(connection).await
                && let Some((head, body)) = request(&mut stream).await
            {
                requests.lock().expect("no holder of this lock panics").push(format!("{head}{body}"));
                answer(&mut stream, &manner, &body).await;
            }
        });
    }
}

async fn request(stream: &mut TlsStream<TcpStream>) -> Option<(String, String)> {
    let mut read = Vec::new();
    loop {
        let mut part = [0; 8192];
        let count = stream.read(&mut part).await.ok().filter(|count| *count > 0)?;
        read.extend_from_slice(&part[..count]);
        let text = String::from_utf8_lossy(&read);
        let Some(end) = text.find("\r\n\r\n").map(|end| end + 4) else { continue };
        let (head, body) = text.split_at(end);
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        if body.len() >= length.unwrap_or(0) {
            return Some((head.to_owned(), body.to_owned()));
        }
    }
}

async fn answer(stream: &mut TlsStream<TcpStream>, manner: &Manner, body: &str) {
    let text = match manner {
        Manner::Hang => return std::future::pending().await,
        Manner::Drip => {
            let mut clock = interval(Duration::from_secs(1));
            let mut bytes = b"HTTP/1.1 200 OK\r\nX-Long: ".iter().chain(std::iter::repeat(&b'x'));
            while stream.write_all(&[*bytes.next().expect("endless")]).await.is_ok() && stream.flush().await.is_ok() {
                clock.tick().await;
            }
            return;
        }
        Manner::Redirect(target) => {
            format!("HTTP/1.1 302 Found\r\nLocation: {target}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        }
        Manner::Answer(make) => {
            let json = make(body);
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{json}",
                json.len()
            )
        }
    };
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}
