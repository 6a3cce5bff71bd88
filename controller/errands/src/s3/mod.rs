//! Objects of a bucket: listed whole or not at all, and read as they were listed; and those that are drover's own, written.
//!
//! Keys are taken as the server writes them. A client that makes paths of them cannot tell `dir/` from `dir`, nor name a key that no
//! file can have.

use bytes::Bytes;
use drover_core::errand::{Object, Reason, Refusal, S3Source, Selection};
use reqwest::header::{ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH, LAST_MODIFIED, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::time::Instant;
use url::Url;

use crate::clock;
use crate::retry::{Fault, patiently};
use crate::secret::{Keys, Secret};
use crate::web::{self, Web};

pub use fetch::{fetch, folded, make_folders};

mod fetch;
mod listing;
mod sign;

/// The largest page of a listing: a thousand keys of 1,024 bytes, each byte written as six.
const LARGEST_PAGE: usize = 16 << 20;

/// The largest object that is read as a whole, in bytes: a pack of a repository of some hundred GB.
const LARGEST_OBJECT: usize = 1 << 30;

/// The largest answer in which an error's word is looked for.
const LARGEST_ERROR: usize = 64 << 10;

/// A bucket.
pub struct Bucket {
    web: Web,
    source: S3Source,
    /// The endpoint with the bucket, without a slash at its end.
    base: String,
    keys: Option<Keys>,
    deadline: Instant,
}

impl Bucket {
    pub fn new(web: &Web, source: &S3Source, secret: &Secret, deadline: Instant) -> Result<Self, Refusal> {
        let keys = if source.signed { Some(secret.keys()?) } else { None };
        let endpoint = source.endpoint.clone().unwrap_or_else(|| {
            let partition = if source.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
            format!("https://s3.{}.{partition}", source.region)
        });
        let base = format!("{}/{}", endpoint.trim_end_matches('/'), source.bucket);
        if base.parse::<Url>().is_err() {
            return Err(Refusal::new(Reason::BadOrder, "endpoint is not an address"));
        }
        Ok(Self { web: web.clone(), source: source.clone(), base, keys, deadline })
    }

    /// What is there of each entry of the source's paths. An entry of which not all can be told fails all.
    pub async fn list(&self) -> Result<Vec<(Selection, Vec<Object>)>, Refusal> {
        let mut listed = Vec::new();
        for selection in self.source.selections() {
            let objects = if selection.is_prefix {
                self.list_prefix(&selection.from).await?
            } else {
                self.look_up(&selection.from).await?.into_iter().collect()
            };
            listed.push((selection, objects));
        }
        Ok(listed)
    }

    /// All keys that begin so.
    pub async fn list_prefix(&self, prefix: &str) -> Result<Vec<Object>, Refusal> {
        let (mut objects, mut token) = (Vec::new(), None::<String>);
        let what = format!("the listing of `{}` in bucket {}", prefix.escape_debug(), self.source.bucket);
        loop {
            let mut query =
                vec![("encoding-type", "url"), ("list-type", "2"), ("max-keys", "1000"), ("prefix", prefix)];
            query.extend(token.as_deref().map(|token| ("continuation-token", token)));
            let page = patiently(self.deadline, async || {
                let response = self.send(Method::GET, "", &query, HeaderMap::new(), None).await?;
                let text = self.text(&what, response, LARGEST_PAGE).await?;
                listing::read(&what, &text)
            })
            .await?;
            objects.extend(page.objects);
            if objects.len() > drover_core::errand::LARGEST_SET * 2 {
                return Err(Refusal::new(Reason::TooManyFiles, format!("{what} has no end: sync a part of it")));
            }
            match page.next {
                None => return Ok(objects),
                Some(next) if token.as_ref() == Some(&next) => {
                    return Err(Refusal::new(
                        Reason::SourceFails,
                        format!("{what} gives the same page again and again"),
                    ));
                }
                Some(next) => token = Some(next),
            }
        }
    }

    /// One object by its key: that needs no right to list others.
    pub async fn look_up(&self, key: &str) -> Result<Option<Object>, Refusal> {
        patiently(self.deadline, async || {
            let response = self.send(Method::HEAD, key, &[], HeaderMap::new(), None).await?;
            let text = |name: HeaderName| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
            match response.status() {
                StatusCode::NOT_FOUND => Ok(None),
                StatusCode::OK => {
                    let Some(size) = web::length(response.headers()) else {
                        let sentence = format!("{} is of unknown length: the server does not speak S3", self.name(key));
                        return Err(Refusal::of(Reason::SourceFails, key, sentence).into());
                    };
                    Ok(Some(Object { key: key.to_owned(), size, etag: text(ETAG), modified: text(LAST_MODIFIED) }))
                }
                _ => Err(self.fault(&self.name(key), response).await),
            }
        })
        .await
    }

    /// The object, or so many bytes of it from an offset on, if it is still the one that was listed.
    async fn get(&self, key: &str, etag: Option<&str>, range: Option<(u64, u64)>) -> Result<Response, Fault> {
        let mut headers = HeaderMap::new();
        // Some servers leave out the quotes where they list.
        let quoted = etag.map(|etag| format!("\"{}\"", bare(etag)));
        headers.extend(quoted.and_then(|etag| HeaderValue::from_str(&etag).ok()).map(|etag| (IF_MATCH, etag)));
        let part = range.map(|(from, length)| format!("bytes={from}-{}", from + length - 1));
        headers.extend(part.and_then(|part| HeaderValue::from_str(&part).ok()).map(|part| (RANGE, part)));
        let response = self.send(Method::GET, key, &[], headers, None).await?;
        let found = response.headers().get(ETAG).and_then(|etag| etag.to_str().ok());
        let is_same = match (etag, found) {
            (Some(listed), Some(found)) => bare(listed) == bare(found),
            _ => true,
        };
        match response.status() {
            StatusCode::OK if range.is_none() && is_same => Ok(response),
            StatusCode::PARTIAL_CONTENT if range.is_some() && is_same => Ok(response),
            StatusCode::OK | StatusCode::PARTIAL_CONTENT if !is_same => Err(self.changed(key).into()),
            StatusCode::PRECONDITION_FAILED | StatusCode::NOT_FOUND | StatusCode::RANGE_NOT_SATISFIABLE => {
                Err(self.changed(key).into())
            }
            _ => Err(self.fault(&self.name(key), response).await),
        }
    }

    /// The whole object, or so many bytes of it from an offset on.
    pub async fn read(&self, key: &str, range: Option<(u64, u64)>) -> Result<Bytes, Refusal> {
        patiently(self.deadline, async || {
            let headers = range.map(|(from, length)| format!("bytes={from}-{}", from + length - 1));
            let headers = headers.and_then(|range| HeaderValue::from_str(&range).ok()).map(|range| (RANGE, range));
            let response = self.send(Method::GET, key, &[], headers.into_iter().collect(), None).await?;
            let expected = if range.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
            if response.status() != expected {
                return Err(self.fault(&self.name(key), response).await);
            }
            let broke_off = |why| Fault::passing(Reason::SourceFails, format!("{} broke off: {why}", self.name(key)));
            let largest = range.and_then(|(_, length)| length.try_into().ok()).unwrap_or(LARGEST_OBJECT);
            let content = body(response, largest).await.map_err(broke_off)?;
            match range {
                Some((_, length)) if content.len() as u64 != length => Err(broke_off("it is too short".to_owned())),
                _ => Ok(content.into()),
            }
        })
        .await
    }

    /// Makes an object; `false` where it has to be `new` and there is one already. Servers that do not know of new ones make it all the
    /// same.
    pub async fn write(&self, key: &str, content: Bytes, mut new: bool) -> Result<bool, Refusal> {
        patiently(self.deadline, async || {
            loop {
                let condition = new.then_some((IF_NONE_MATCH, HeaderValue::from_static("*")));
                let headers = condition.into_iter().collect();
                let response = self.send(Method::PUT, key, &[], headers, Some(content.clone())).await?;
                match response.status() {
                    status if status.is_success() => return Ok(true),
                    StatusCode::PRECONDITION_FAILED | StatusCode::CONFLICT if new => return Ok(false),
                    StatusCode::NOT_IMPLEMENTED if new => new = false,
                    _ => return Err(self.refused_change(key, "written", response).await),
                }
            }
        })
        .await
    }

    /// Takes an object away, if it is there.
    pub async fn remove(&self, key: &str) -> Result<(), Refusal> {
        patiently(self.deadline, async || {
            let response = self.send(Method::DELETE, key, &[], HeaderMap::new(), None).await?;
            match response.status() {
                status if status.is_success() || status == StatusCode::NOT_FOUND => Ok(()),
                _ => Err(self.refused_change(key, "removed", response).await),
            }
        })
        .await
    }

    async fn refused_change(&self, key: &str, change: &str, response: Response) -> Fault {
        let mut fault = self.fault(&self.name(key), response).await;
        if fault.refusal.reason == Reason::Denied {
            let said = &fault.refusal.sentence;
            let said = said.rsplit_once('(').and_then(|(_, rest)| rest.split_once(')')).map_or("403", |(code, _)| code);
            fault.refusal.sentence = format!(
                "{} may not be {change} ({said}): give the keys of the Secret the right to read, write, list and delete there",
                self.name(key)
            );
        }
        fault
    }

    fn changed(&self, key: &str) -> Refusal {
        let sentence = format!("{} changed while it was read: set settle, or sync when nobody writes", self.name(key));
        Refusal::of(Reason::SourceChanged, key, sentence)
    }

    fn name(&self, key: &str) -> String {
        format!("`{}` in bucket {}", key.escape_debug(), self.source.bucket)
    }

    /// One request, signed where there are keys.
    async fn send(
        &self,
        method: Method,
        key: &str,
        query: &[(&str, &str)],
        headers: HeaderMap,
        content: Option<Bytes>,
    ) -> Result<Response, Fault> {
        let address = sign::address(&self.base, key, query);
        let url: Url = address
            .parse()
            .map_err(|_| Refusal::of(Reason::BadKey, key, format!("{} cannot be asked for", self.name(key))))?;
        let mut headers = headers;
        if let Some(keys) = &self.keys {
            let content = content.as_deref().unwrap_or_default();
            headers.extend(sign::headers(keys, &self.source.region, &method, &url, content, clock::now())?);
        }
        self.web.send(method, &url, headers, content).await
    }

    async fn text(&self, what: &str, response: Response, largest: usize) -> Result<String, Fault> {
        if response.status() != StatusCode::OK {
            return Err(self.fault(what, response).await);
        }
        let body = body(response, largest)
            .await
            .map_err(|why| Fault::passing(Reason::SourceFails, format!("{what} broke off: {why}")))?;
        String::from_utf8(body).map_err(|_| Fault::passing(Reason::SourceFails, format!("{what} is no text")))
    }

    /// The failure with the server's own word for it, such as `NoSuchBucket`.
    async fn fault(&self, what: &str, response: Response) -> Fault {
        let (status, headers) = (response.status(), response.headers().clone());
        let region = headers.get("x-amz-bucket-region").and_then(|region| region.to_str().ok()).map(str::to_owned);
        let body = body(response, LARGEST_ERROR).await.unwrap_or_default();
        let code = listing::error_code(&String::from_utf8_lossy(&body));
        if status.is_redirection() {
            let there = region.map(|region| format!(", which is in {}", region.escape_debug())).unwrap_or_default();
            let sentence = format!(
                "bucket {} is not at this endpoint and region{there}: set region and endpoint",
                self.source.bucket
            );
            return Refusal::new(Reason::Redirected, sentence).into();
        }
        web::fault(what, status, &headers, code.as_deref())
    }
}

async fn body(mut response: Response, largest: usize) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| web::why(&error))? {
        if body.len() + chunk.len() > largest {
            return Err("it is too long".to_owned());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn bare(etag: &str) -> &str {
    etag.trim_start_matches("W/").trim_matches('"')
}
