//! Requests to a registry: authentication, redirects, and where a connection may lead.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use drover_core::release::reference;
use oci_spec::distribution::Reference;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{ACCEPT, AUTHORIZATION, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use reqwest::{Client, Method, Response, StatusCode};
use url::Url;

use super::challenge::{self, Challenge, challenges};
use super::credentials::{Credentials, Login};
use super::{Error, Mirror, Settings, manifest};
use drover_core::address;

/// The longest that one request may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many redirects are followed: registries send blobs from elsewhere, in one step.
const REDIRECTS: usize = 3;

/// The largest answer of a token service.
const LARGEST_TOKEN: usize = 64 << 10;

/// The header by which registries tell a manifest's digest.
const CONTENT_DIGEST: &str = "docker-content-digest";

pub struct Transport {
    client: Client,
    settings: Settings,
}

/// Refuses, at the moment of connecting, names that lead to this machine: a name may have changed since it was looked up.
struct Guarded {
    exempt: Vec<String>,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let exempt = self.exempt.contains(&host);
        Box::pin(async move {
            let found = tokio::net::lookup_host((host.as_str(), 0)).await?;
            let kept: Vec<SocketAddr> = found.filter(|a| exempt || !address::is_private_to_the_node(a.ip())).collect();
            if kept.is_empty() {
                return Err(format!("{host} has no address that may be asked").into());
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

fn host_of(registry: &str) -> &str {
    registry.rsplit_once(':').map_or(registry, |(host, _)| host)
}

impl Transport {
    pub fn new(settings: Settings) -> Result<Self, Error> {
        let mirrors = settings.mirrors.iter().filter_map(|m| m.address.host_str());
        let exempt = settings.insecure.iter().map(|r| host_of(r)).chain(mirrors).map(str::to_owned).collect();
        let client = Client::builder()
            .user_agent(concat!("drover/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(Guarded { exempt }))
            // A proxy would connect on drover's behalf, to addresses that nobody checked.
            .no_proxy()
            .build()
            .map_err(|error| Error::NoClient(cause(&error)))?;
        Ok(Self { client, settings })
    }

    /// Where `registry` is asked, without a slash at its end.
    fn base(&self, registry: &str) -> String {
        if let Some(mirror) = Mirror::of(&self.settings.mirrors, registry) {
            return mirror.base().to_owned();
        }
        let scheme = if self.is_insecure(registry) { "http" } else { "https" };
        format!("{scheme}://{registry}")
    }

    fn is_insecure(&self, registry: &str) -> bool {
        self.settings.insecure.iter().any(|r| r == registry)
    }

    /// Whether a spec may lead to this address, as its name resolves now.
    async fn may_ask(&self, url: &Url) -> Result<(), Refusal> {
        let host = url.host_str().unwrap_or_default();
        let port = url.port_or_known_default().unwrap_or(443);
        let listed = self.is_insecure(host) || self.is_insecure(&format!("{host}:{port}"));
        if listed || self.settings.mirrors.iter().any(|m| m.is_at(url)) {
            return Ok(());
        }
        if url.scheme() != "https" {
            return Err(Refusal::Address);
        }
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
            Ok(ip) => vec![SocketAddr::new(ip, port)],
            Err(_) => tokio::net::lookup_host((bare, port))
                .await
                .map_err(|_| Refusal::Unknown(format!("the name {host} does not resolve")))?
                .collect(),
        };
        if addresses.iter().all(|a| address::allowed(*a, &self.settings.refused)) {
            Ok(())
        } else {
            Err(Refusal::Address)
        }
    }
}

enum Refusal {
    Address,
    Unknown(String),
}

/// The requests for one image.
pub struct Session<'a> {
    transport: &'a Transport,
    image: &'a str,
    registry: String,
    repository: String,
    login: Option<Login>,
    authorization: Option<HeaderValue>,
}

impl<'a> Session<'a> {
    pub fn new(transport: &'a Transport, image: &'a str, reference: &Reference, credentials: &Credentials) -> Self {
        let registry = reference.resolve_registry().to_owned();
        let repository = reference.repository().to_owned();
        let login = credentials.login(&registry, &repository);
        Self { transport, image, registry, repository, login, authorization: None }
    }

    /// The body of `rest` below the repository, at most `largest` bytes.
    pub async fn get(&mut self, rest: &str, largest: usize) -> Result<Vec<u8>, Error> {
        let response = self.ask(Method::GET, rest).await?;
        self.check(&response)?;
        self.body(response, largest).await
    }

    /// The digest of the manifest of that name; `None` where the registry does not tell it without the manifest itself.
    pub async fn digest(&mut self, name: &str) -> Result<Option<String>, Error> {
        let response = self.ask(Method::HEAD, &format!("manifests/{name}")).await?;
        let refuses_heads = matches!(
            response.status(),
            StatusCode::BAD_REQUEST
                | StatusCode::NOT_FOUND
                | StatusCode::METHOD_NOT_ALLOWED
                | StatusCode::NOT_IMPLEMENTED
        );
        if refuses_heads {
            return Ok(None);
        }
        self.check(&response)?;
        let digest = response.headers().get(CONTENT_DIGEST).and_then(|value| value.to_str().ok());
        Ok(digest.filter(|digest| reference::is_digest(digest)).map(str::to_owned))
    }

    /// What `rest` below the repository is answered with, once it is known who asks.
    async fn ask(&mut self, method: Method, rest: &str) -> Result<Response, Error> {
        let address = format!("{}/v2/{}/{rest}", self.transport.base(&self.registry), self.repository);
        let url: Url = address.parse().map_err(|_| Error::Invalid { image: self.image.to_owned() })?;
        let response = self.follow(&method, url.clone()).await?;
        if response.status() != StatusCode::UNAUTHORIZED || self.authorization.is_some() {
            return Ok(response);
        }
        self.authorization = Some(self.authorize(response.headers()).await?);
        self.follow(&method, url).await
    }

    /// One request and its redirects. What proves who drover is goes to the registry's own host and port only.
    async fn follow(&self, method: &Method, start: Url) -> Result<Response, Error> {
        let home = (start.scheme().to_owned(), start.host_str().map(str::to_owned), start.port_or_known_default());
        let mut url = start;
        for _ in 0..=REDIRECTS {
            let at_home =
                home == (url.scheme().to_owned(), url.host_str().map(str::to_owned), url.port_or_known_default());
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(manifest::ACCEPT));
            if let Some(authorization) = self.authorization.as_ref().filter(|_| at_home) {
                headers.insert(AUTHORIZATION, authorization.clone());
            }
            let response = self.send(method.clone(), &url, headers).await?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let location = response.headers().get(LOCATION).and_then(|l| l.to_str().ok());
            url = location.and_then(|l| url.join(l).ok()).ok_or_else(|| self.unreachable("it redirects to nowhere"))?;
        }
        Err(self.unreachable("it redirects again and again"))
    }

    async fn send(&self, method: Method, url: &Url, headers: HeaderMap) -> Result<Response, Error> {
        self.transport.may_ask(url).await.map_err(|refusal| match refusal {
            Refusal::Unknown(why) => self.unreachable(&why),
            Refusal::Address => {
                let host = url.host_str().unwrap_or_default().to_owned();
                Error::Refused { image: self.image.to_owned(), host }
            }
        })?;
        let answer = self.transport.client.request(method, url.clone()).headers(headers).send().await;
        answer.map_err(|error| {
            self.unreachable(&if error.is_timeout() {
                format!("it did not answer within {} seconds", TIMEOUT.as_secs())
            } else {
                cause(&error)
            })
        })
    }

    /// What the registry wants to see, from its challenge.
    async fn authorize(&self, headers: &HeaderMap) -> Result<HeaderValue, Error> {
        for challenge in challenges(headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|h| h.to_str().ok())) {
            match (challenge, &self.login) {
                (Challenge::Bearer { realm, service }, _) => return self.token(realm, service.as_deref()).await,
                (Challenge::Basic, Some(login)) => return self.header(&basic(login)),
                (Challenge::Basic, None) => {}
            }
        }
        Err(self.unauthorised())
    }

    /// A token for reading the repository.
    async fn token(&self, realm: Option<Url>, service: Option<&str>) -> Result<HeaderValue, Error> {
        let realm = realm.ok_or_else(|| self.unreachable("it asks for a token and does not say where from"))?;
        let url = challenge::token_address(realm, service, &self.repository);
        let mut headers = HeaderMap::new();
        if let Some(login) = &self.login {
            headers.insert(AUTHORIZATION, self.header(&basic(login))?);
        }
        let response = self.send(Method::GET, &url, headers).await?;
        self.check(&response)?;
        let body = self.body(response, LARGEST_TOKEN).await?;
        let token = challenge::token(&body).ok_or_else(|| self.unreachable("its token service gave no token"))?;
        self.header(&format!("Bearer {token}"))
    }

    fn header(&self, text: &str) -> Result<HeaderValue, Error> {
        let mut value = HeaderValue::from_str(text).map_err(|_| self.unauthorised())?;
        value.set_sensitive(true);
        Ok(value)
    }

    fn check(&self, response: &Response) -> Result<(), Error> {
        let (image, registry) = (self.image.to_owned(), self.registry.clone());
        match response.status() {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND => Err(Error::NotFound { image, registry }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(self.unauthorised()),
            StatusCode::TOO_MANY_REQUESTS => {
                let asked = response.headers().get(RETRY_AFTER).and_then(|v| v.to_str().ok());
                let retry_after = asked.and_then(challenge::retry_after);
                Err(Error::RateLimited { image, registry, retry_after })
            }
            status => Err(self.unreachable(&format!("it answered {}", status.as_u16()))),
        }
    }

    async fn body(&self, mut response: Response, largest: usize) -> Result<Vec<u8>, Error> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&cause(&error)))? {
            if body.len() + chunk.len() > largest {
                return Err(self.unreachable("its answer is too large for a manifest"));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, why: &str) -> Error {
        Error::Unreachable { image: self.image.to_owned(), registry: self.registry.clone(), why: why.to_owned() }
    }

    fn unauthorised(&self) -> Error {
        let with =
            self.login.as_ref().map_or_else(|| "no credentials".to_owned(), |l| format!("the Secret {}", l.secret));
        Error::Unauthorised { image: self.image.to_owned(), registry: self.registry.clone(), with }
    }
}

fn basic(login: &Login) -> String {
    use base64::Engine as _;
    let pair = format!("{}:{}", login.user, login.password);
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

/// The innermost cause: the outer ones repeat the address, and only say that something went wrong.
pub fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
