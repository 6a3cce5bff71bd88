//! Requests as a browser or a git host sends them, to an address of our choice.

use std::fmt::Write as _;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    /// Its status code.
    pub status: u16,
    /// Its body.
    pub body: String,
}

/// `GET http://HOST/PATH`, sent to `address` (`ip:port`) whatever DNS says of the host.
pub async fn get(address: &str, host: &str, path: &str) -> Result<Response, String> {
    exchange(address, &format!("GET {path} HTTP/1.0\r\nHost: {host}\r\n\r\n")).await
}

/// An answer with its head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status code.
    pub status: u16,
    /// Its headers, a line each.
    pub head: String,
    /// Its body.
    pub body: String,
}

impl Answer {
    /// The values of the headers of that name.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let named = |line: &&str| line.split_once(':').is_some_and(|(known, _)| known.eq_ignore_ascii_case(name));
        self.head.lines().filter(named).filter_map(|line| line.split_once(':')).map(|(_, value)| value.trim()).collect()
    }
}

/// `GET` with these headers, sent to `address` whatever DNS says of the host.
pub async fn ask(address: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> Result<Answer, String> {
    let mut request = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
    for (name, value) in headers {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    let answer = talk(address, &format!("{request}\r\n")).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| format!("{address} answers {answer:?}"))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    let status = status.ok_or_else(|| format!("{address} answers {answer:?}"))?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned() })
}

/// `DELETE http://ADDRESS/PATH`.
pub async fn delete(address: &str, path: &str) -> Result<Response, String> {
    exchange(address, &format!("DELETE {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")).await
}

/// `POST` with the given headers and body.
pub async fn post(address: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Response, String> {
    let mut request = format!("POST {path} HTTP/1.0\r\nHost: {address}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        let _ = write!(request, "{name}: {value}\r\n");
    }
    exchange(address, &format!("{request}\r\n{body}")).await
}

/// The value of `X-Hub-Signature-256` for that body.
pub fn signature(secret: &str, body: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes a key of any length");
    mac.update(body.as_bytes());
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

async fn exchange(address: &str, request: &str) -> Result<Response, String> {
    let answer = talk(address, request).await?;
    let status = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    match (status, answer.split_once("\r\n\r\n")) {
        (Some(status), Some((_, body))) => Ok(Response { status, body: body.to_owned() }),
        _ => Err(format!("{address} answers with what is not HTTP: {answer:?}")),
    }
}

async fn talk(address: &str, request: &str) -> Result<String, String> {
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok::<_, std::io::Error>(answer)
    };
    match timeout(PATIENCE, talk).await {
        Ok(Ok(answer)) => Ok(String::from_utf8_lossy(&answer).into_owned()),
        Ok(Err(error)) => Err(format!("{address} does not answer: {error}")),
        Err(_) => Err(format!("{address} does not answer within {} s", PATIENCE.as_secs())),
    }
}
