//! Questions to brokers: where a connection may lead, and what an answer may be.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use drover_core::address;
use drover_core::queue::{
    Broker, DeadLetter, Host, Reading, Unasked, answer, first, first_of, found, question, search,
};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{CONTENT_TYPE, ORIGIN};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::registry::cause;
use crate::unpoisoned;

/// The longest that an answer may take.
const LIMIT: Duration = Duration::from_secs(5);
/// The longest that a question waits for others to the same broker.
const QUEUED: Duration = Duration::from_secs(15);
/// The longest answer, in bytes.
const LONGEST: usize = 64 << 10;
/// Questions to one broker at a time.
const AT_ONCE: usize = 8;
/// Connections to one broker that are kept.
const KEPT: usize = AT_ONCE;

/// What a broker is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// Where it is.
    pub broker: Broker,
    /// The address of the Service that it is.
    pub service: Option<SocketAddr>,
    /// The queue.
    pub queue: String,
    /// The queue of dead letters.
    pub dead: String,
    /// As whom it is asked.
    pub login: Option<Login>,
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub user: String,
    /// The password.
    pub password: String,
}

/// Without the password.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// No client for brokers can be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot make the client for brokers: {0}")]
pub struct NoClient(String);

/// Whether a spec may lead to an address, some being refused.
type MayAsk = fn(SocketAddr, &[SocketAddr]) -> bool;

/// The addresses of Services, by their whole names.
type Services = Arc<Mutex<HashMap<String, IpAddr>>>;

/// What asks.
pub(super) struct Transport {
    client: Client,
    refused: Vec<SocketAddr>,
    may_ask: MayAsk,
    services: Services,
    /// Questions to each broker.
    places: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Refuses, at the moment of connecting, names that lead to this machine: a name may have changed since it was looked up. Services are
/// where they were found, since not every machine on which drover runs resolves their names.
struct Guarded {
    services: Services,
    may_ask: MayAsk,
}

impl Resolve for Guarded {
    fn resolve(&self, name: Name) -> Resolving {
        let host = name.as_str().to_owned();
        let service = unpoisoned::lock(&self.services).get(&host).copied();
        let may_ask = self.may_ask;
        Box::pin(async move {
            let found: Vec<SocketAddr> = match service {
                Some(address) => vec![(address, 0).into()],
                None => tokio::net::lookup_host((host.as_str(), 0)).await?.collect(),
            };
            let kept: Vec<SocketAddr> = found.into_iter().filter(|address| may_ask(*address, &[])).collect();
            if kept.is_empty() {
                return Err(format!("{host} has no address that may be asked").into());
            }
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}

impl Transport {
    /// One that asks no address of `refused`, and none that a spec may not lead to.
    pub(super) fn new(refused: Vec<SocketAddr>) -> Result<Self, NoClient> {
        Self::that(address::allowed, refused)
    }

    pub(super) fn that(may_ask: MayAsk, refused: Vec<SocketAddr>) -> Result<Self, NoClient> {
        let services = Services::default();
        let client = Client::builder()
            .user_agent(concat!("drover/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(LIMIT)
            .timeout(LIMIT)
            .redirect(reqwest::redirect::Policy::none())
            .dns_resolver(Arc::new(Guarded { services: services.clone(), may_ask }))
            // A proxy would connect on drover's behalf, to addresses that nobody checked.
            .no_proxy()
            .pool_max_idle_per_host(KEPT)
            .build()
            .map_err(|error| NoClient(cause(&error)))?;
        Ok(Self { client, refused, may_ask, services, places: Mutex::default() })
    }

    /// What the broker says.
    pub(super) async fn ask(&self, asked: &Question) -> Result<Reading, Unasked> {
        let body = self.post(asked, &question(&asked.queue, &asked.dead)).await?;
        answer(&body, &asked.queue, &asked.broker.origin())
    }

    /// The first of the dead letters. The broker may well not tell: to look into a queue takes more than to count it.
    pub(super) async fn first_dead(&self, asked: &Question) -> Option<DeadLetter> {
        let mbean = found(&self.post(asked, &search(&asked.dead)).await.ok()?)?;
        first(&self.post(asked, &first_of(&mbean)).await.ok()?, &asked.queue)
    }

    /// What comes back for a question.
    async fn post(&self, asked: &Question, question: &Value) -> Result<Vec<u8>, Unasked> {
        let at = asked.broker.origin();
        let place = unpoisoned::lock(&self.places)
            .entry(at.clone())
            .or_insert_with(|| Arc::new(Semaphore::new(AT_ONCE)))
            .clone();
        let unreachable = |why: String| Unasked::Unreachable { at: at.clone(), why };
        let waited = tokio::time::timeout(QUEUED, place.acquire()).await;
        let _place =
            waited.map_err(|_| unreachable("it answers the questions for other queues too slowly".to_owned()))?;
        self.is_allowed(asked, &at).await?;
        let request = self
            .client
            .post(asked.broker.jolokia())
            // Without one Jolokia answers nobody; it guards against pages of others in a browser.
            .header(ORIGIN, &at)
            .header(CONTENT_TYPE, "application/json")
            .body(question.to_string());
        let request = match &asked.login {
            Some(Login { user, password }) => request.basic_auth(user, Some(password)),
            None => request,
        };
        let failed = |error: reqwest::Error| {
            unreachable(if error.is_timeout() {
                format!("it said nothing within {} seconds", LIMIT.as_secs())
            } else {
                cause(&error)
            })
        };
        let response = request.send().await.map_err(failed)?;
        check(&response, asked, &at)?;
        whole(response, &at, failed).await
    }

    /// Refuses addresses where no broker is, as its name resolves now.
    async fn is_allowed(&self, asked: &Question, at: &str) -> Result<(), Unasked> {
        let Broker { host, port, .. } = &asked.broker;
        let addresses: Vec<SocketAddr> = match (host, asked.service) {
            (Host::Service { whole, .. }, Some(service)) => {
                unpoisoned::lock(&self.services).insert(whole.clone(), service.ip());
                vec![service]
            }
            (Host::Address(address), _) => vec![(*address, *port).into()],
            (Host::Service { whole: name, .. } | Host::Named(name), _) => {
                let found = tokio::time::timeout(LIMIT, tokio::net::lookup_host((name.as_str(), *port))).await;
                let found = found.ok().and_then(Result::ok).map(Iterator::collect::<Vec<_>>).unwrap_or_default();
                if found.is_empty() {
                    let why = format!("the name {name} does not resolve");
                    return Err(Unasked::Unreachable { at: at.to_owned(), why });
                }
                found
            }
        };
        if addresses.iter().all(|address| (self.may_ask)(*address, &self.refused)) {
            Ok(())
        } else {
            Err(Unasked::Refused { host: host.to_string() })
        }
    }
}

/// Refuses an answer that says by its status that it is none.
fn check(response: &Response, asked: &Question, at: &str) -> Result<(), Unasked> {
    let at = at.to_owned();
    match response.status() {
        status if status.is_success() => Ok(()),
        status if status.is_redirection() => Err(Unasked::Redirect { at }),
        StatusCode::UNAUTHORIZED => {
            let with = asked.login.as_ref().map_or_else(
                || "drover, which asks without a user".to_owned(),
                |login| format!("the user {}", login.user),
            );
            Err(Unasked::Unauthorised { at, with })
        }
        status if status.is_server_error() => Err(Unasked::Failing { at, status: status.as_u16() }),
        status => Err(Unasked::Status { at, status: status.as_u16() }),
    }
}

/// The body, unless it is longer than any answer.
async fn whole(
    mut response: Response,
    at: &str,
    failed: impl Fn(reqwest::Error) -> Unasked,
) -> Result<Vec<u8>, Unasked> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(&failed)? {
        if body.len() + chunk.len() > LONGEST {
            return Err(Unasked::TooLarge { at: at.to_owned() });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
