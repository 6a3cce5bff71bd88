//! Requests to where data lives. The address comes from a spec, so nothing is believed of it: connections to this machine, to
//! link-local addresses and to where clouds keep their credentials are refused after the name is resolved.

use std::error::Error as StdError;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use drover_core::address::is_private_to_the_node;
use drover_core::errand::{Reason, Refusal};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT_ENCODING, CONTENT_LENGTH, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Certificate, Client, ClientBuilder, Method, Response, StatusCode};
use url::{Host, Url};

use crate::clock;
use crate::retry::{Fault, Retry};
use crate::secret::Secret;

/// The longest until a connection stands.
const CONNECT: Duration = Duration::from_secs(10);

/// The longest that a server may say nothing, also in the middle of an answer.
const SILENCE: Duration = Duration::from_secs(30);

/// The longest that sending something may take.
const UPLOAD: Duration = Duration::from_secs(20 * 60);

/// Makes requests, and checks where they lead.
#[derive(Clone)]
pub struct Web {
    client: Client,
    /// Waits for an answer until what is sent has arrived.
    uploads: Client,
    allow_loopback: bool,
}

impl Web {
    /// Trusts the machine's authorities, and the Secret's where it names some.
    pub fn new(secret: &Secret, allow_loopback: bool) -> Result<Self, Refusal> {
        let authorities = match secret.ca.as_deref().map(Certificate::from_pem_bundle) {
            None => Vec::new(),
            Some(Ok(bundle)) if !bundle.is_empty() => bundle,
            Some(_) => {
                let sentence = "the Secret's key ca.crt holds no certificate: it must be in PEM";
                return Err(Refusal::new(Reason::BadSecret, sentence));
            }
        };
        let client = |patience: fn(ClientBuilder) -> ClientBuilder| {
            let builder = Client::builder()
                .user_agent(concat!("drover/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(CONNECT)
                // Followed by hand: another host is refused with its name.
                .redirect(reqwest::redirect::Policy::none())
                .retry(reqwest::retry::never())
                .dns_resolver(Arc::new(Guarded { allow_loopback }))
                // A proxy would connect on drover's behalf, to addresses that nobody checked.
                .no_proxy()
                .http1_only()
                .tls_certs_merge(authorities.clone());
            patience(builder)
                .build()
                .map_err(|error| Refusal::new(Reason::BadSecret, format!("no client can be made: {}", cause(&error))))
        };
        Ok(Self {
            client: client(|builder| builder.read_timeout(SILENCE))?,
            uploads: client(|builder| builder.timeout(UPLOAD))?,
            allow_loopback,
        })
    }

    /// One request. The body comes as it is stored, never unpacked.
    pub async fn send(
        &self,
        method: Method,
        url: &Url,
        mut headers: HeaderMap,
        content: Option<Bytes>,
    ) -> Result<Response, Fault> {
        let literal = match url.host() {
            Some(Host::Ipv4(ip)) => Some(ip.into()),
            Some(Host::Ipv6(ip)) => Some(ip.into()),
            _ => None,
        };
        if literal.is_some_and(|ip| is_private_to_the_node(ip) && !self.allow_loopback) {
            return Err(forbidden(url).into());
        }
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let request = match content {
            Some(content) => self.uploads.request(method, url.clone()).body(content),
            None => self.client.request(method, url.clone()),
        };
        let request = request.headers(headers);
        request.send().await.map_err(|error| {
            if find::<NoAddress>(&error).is_some() {
                return forbidden(url).into();
            }
            Fault::passing(Reason::Unreachable, format!("{} cannot be reached: {}", name(url), why(&error)))
        })
    }
}

/// What an answer that is no success is worth. `what` begins the sentence; `code` is the server's own word for it.
pub fn fault(what: &str, status: StatusCode, headers: &HeaderMap, code: Option<&str>) -> Fault {
    let said = match code {
        Some(code) => format!("{} {code}", status.as_u16()),
        None => status.as_u16().to_string(),
    };
    let after = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()).and_then(retry_after);
    let (reason, sentence, retry) = match (status, after) {
        (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => (
            Reason::Denied,
            format!("{what} may not be read ({said}): check the Secret and the rights there"),
            Retry::Never,
        ),
        (StatusCode::NOT_FOUND | StatusCode::GONE, _) => {
            (Reason::NotFound, format!("{what} is not there ({said}): check the address"), Retry::Never)
        }
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Some(after)) => {
            (Reason::RateLimited, format!("{what} asks for fewer requests ({said})"), Retry::After(after))
        }
        (StatusCode::TOO_MANY_REQUESTS, None) => {
            (Reason::RateLimited, format!("{what} asks for fewer requests ({said})"), Retry::Soon)
        }
        (status, _) if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => (
            Reason::SourceFails,
            format!("{what} answers {said}: the server does not work, ask who runs it"),
            Retry::Soon,
        ),
        _ => (Reason::SourceFails, format!("{what} answers {said}, which is not what was asked for"), Retry::Never),
    };
    Fault { refusal: Refusal::new(reason, sentence), retry }
}

/// The address without its query, which may hold a secret.
pub fn name(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    url.into()
}

/// The answer's length, where it says so.
pub fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Why a request or the reading of an answer failed, in the innermost error's words: the outer ones repeat the address.
pub fn why(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        let limit = if error.is_connect() { CONNECT } else { SILENCE };
        return format!("no answer for {} s", limit.as_secs());
    }
    cause(error)
}

fn cause(error: &(dyn StdError + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(clock::now().into()).unwrap_or_default())
}

fn forbidden(url: &Url) -> Refusal {
    let host = url.host_str().unwrap_or_default();
    let sentence = format!(
        "{host} is this machine, link-local, or a cloud's own service, which no sync may read: use another address"
    );
    Refusal::new(Reason::AddressRefused, sentence)
}

/// Leaves out, at the moment of connecting, addresses that may not be asked: a name may lead elsewhere than when it was looked up.
struct Guarded {
    allow_loopback: bool,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let allow = self.allow_loopback;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let kept: Vec<SocketAddr> = found.filter(|a| allow || !is_private_to_the_node(a.ip())).collect();
            if kept.is_empty() {
                return Err(NoAddress.into());
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

/// No address of a name may be asked.
#[derive(Debug)]
struct NoAddress;

impl fmt::Display for NoAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it has no address that may be asked")
    }
}

impl StdError for NoAddress {}
