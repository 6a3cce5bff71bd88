//! One file from a web server.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use base64::Engine as _;
use drover_core::errand::{self, Guard, HttpSource, Reason, Refusal};
use reqwest::header::{
    AUTHORIZATION, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, LOCATION, RANGE,
};
use reqwest::{Method, Response, StatusCode};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use url::Url;

use crate::claim::Claim;
use crate::failure::Final as _;
use crate::progress::Progress;
use crate::retry::{Fault, patiently};
use crate::secret::{Login, Secret};
use crate::web::{self, Web};

/// How many redirects are followed, all of them at the same server.
const REDIRECTS: usize = 5;

/// A file's name ends so where a server may rightly call its bytes packed.
const PACKED: [&str; 6] = [".gz", ".tgz", ".z", ".bz2", ".xz", ".br"];

/// A page to be read.
pub struct Page<'a> {
    web: &'a Web,
    source: &'a HttpSource,
    guard: &'a Guard,
    url: Url,
    authorization: Option<HeaderValue>,
}

/// What of a file is there already.
struct Partial {
    file: File,
    offset: u64,
    hash: Sha256,
    headers: HeaderMap,
}

impl<'a> Page<'a> {
    pub fn new(web: &'a Web, source: &'a HttpSource, guard: &'a Guard, secret: &Secret) -> Result<Self, Refusal> {
        let url = source.url.parse().map_err(|_| Refusal::new(Reason::BadOrder, "url is not an address"))?;
        let authorization = if source.authenticated { Some(authorization(&secret.login()?)?) } else { None };
        Ok(Self { web, source, guard, url, authorization })
    }

    /// Its name in sentences, and as an entry of the source.
    pub fn entry(&self) -> String {
        web::name(&self.url)
    }

    /// What tells it from the server's other pages, without what a query may hold.
    fn key(&self) -> String {
        let query =
            self.url.query().map(|query| format!("?{}", hex::encode(Sha256::digest(query)))).unwrap_or_default();
        self.entry() + &query
    }

    /// Reads the page into a file; `None` where it is the one of `before`.
    pub async fn fetch(
        &self,
        before: Option<&errand::File>,
        into: &Path,
        claim: &Claim,
        progress: &Progress,
        deadline: Instant,
    ) -> Result<Option<errand::File>, Refusal> {
        let before = before.filter(|file| file.key == self.key() && file.path == self.source.to);
        if let Some(folder) = into.parent() {
            fs::create_dir_all(folder).or_final(Reason::ClaimFails, "the claim cannot be written")?;
        }
        let file = File::create(into).or_final(Reason::ClaimFails, "the claim cannot be written")?;
        let mut partial = Partial { file, offset: 0, hash: Sha256::new(), headers: HeaderMap::new() };
        progress.begin(1, 0);
        let is_new = patiently(deadline, async || self.attempt(before, &mut partial, claim, progress).await).await?;
        if !is_new {
            return Ok(None);
        }
        progress.add_file();
        let text = |name: HeaderName| partial.headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        if partial.offset == 0 && self.guard.min_bytes != Some(0) {
            let sentence = format!("{} is empty: mend the source, or set minBytes to 0", self.entry());
            return Err(Refusal::of(Reason::Empty, &self.source.to, sentence));
        }
        Ok(Some(errand::File {
            entry: self.entry(),
            key: self.key(),
            path: self.source.to.clone(),
            size: partial.offset,
            etag: text(ETAG),
            modified: text(LAST_MODIFIED),
            sha256: Some(hex::encode(partial.hash.finalize())),
            content_type: text(CONTENT_TYPE),
        }))
    }

    /// One request and its answer to the end; `false` where nothing changed. What is there already is kept for the next attempt
    /// where the server's strong name for it makes sure that the rest is of the same file.
    async fn attempt(
        &self,
        before: Option<&errand::File>,
        partial: &mut Partial,
        claim: &Claim,
        progress: &Progress,
    ) -> Result<bool, Fault> {
        let mut headers = HeaderMap::new();
        let resumes = partial.offset > 0;
        if resumes {
            headers.insert(RANGE, value(&format!("bytes={}-", partial.offset)));
            headers.extend(partial.headers.get(ETAG).map(|etag| (IF_RANGE, etag.clone())));
        } else if let Some(before) = before {
            headers.extend(before.etag.as_deref().map(|etag| (IF_NONE_MATCH, value(etag))));
            headers.extend(before.modified.as_deref().map(|date| (IF_MODIFIED_SINCE, value(date))));
        }
        let response = self.follow(headers).await?;
        let status = response.status();
        match status {
            StatusCode::NOT_MODIFIED if before.is_some() && !resumes => return Ok(false),
            StatusCode::PARTIAL_CONTENT if resumes && continues(&response, partial) => {}
            StatusCode::OK => {
                restart(partial, progress)?;
                self.judge(&response, claim)?;
                partial.headers = response.headers().clone();
            }
            StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE if resumes => {
                restart(partial, progress)?;
                let sentence = format!("{} broke off, and its rest is not of the same file", self.entry());
                return Err(Fault::passing(Reason::SourceFails, sentence));
            }
            _ => return Err(web::fault(&self.entry(), status, response.headers(), None)),
        }
        self.read(response, partial, progress).await?;
        Ok(true)
    }

    async fn read(&self, mut response: Response, partial: &mut Partial, progress: &Progress) -> Result<(), Fault> {
        let expected = web::length(response.headers()).map(|rest| partial.offset.saturating_add(rest));
        progress.expect_bytes(expected.unwrap_or(0));
        let broken = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    let written = partial.file.write_all_at(&chunk, partial.offset);
                    written.or_final(Reason::ClaimFails, "the claim cannot be written")?;
                    partial.hash.update(&chunk);
                    partial.offset += chunk.len() as u64;
                    progress.add_bytes(chunk.len() as u64);
                }
                Ok(None) if expected.is_none_or(|expected| expected == partial.offset) => return Ok(()),
                Ok(None) => break "its end is missing".to_owned(),
                Err(error) => break web::why(&error),
            }
        };
        let had = partial.offset;
        if !partial.headers.get(ETAG).is_some_and(|etag| etag.as_bytes().starts_with(b"\"")) {
            restart(partial, progress)?;
        }
        let of = expected.map(|expected| format!(" of {expected}")).unwrap_or_default();
        let sentence = format!("{} broke off after {had}{of} bytes ({broken}): ask who runs the server", self.entry());
        Err(Fault::passing(Reason::SourceFails, sentence))
    }

    /// What can be refused before a byte of it is read.
    fn judge(&self, response: &Response, claim: &Claim) -> Result<(), Refusal> {
        let text = |name: HeaderName| response.headers().get(name).and_then(|v| v.to_str().ok());
        errand::judge_content_type(self.guard, &self.source.to, text(CONTENT_TYPE)).map_err(|refusal| {
            let sentence = format!("{}: {}", self.entry(), refusal.sentence);
            Refusal { sentence, ..refusal }
        })?;
        let to = self.source.to.to_ascii_lowercase();
        let packed = text(CONTENT_ENCODING).filter(|encoding| !encoding.eq_ignore_ascii_case("identity"));
        if let Some(encoding) = packed.filter(|_| !PACKED.iter().any(|ending| to.ends_with(ending))) {
            let sentence = format!(
                "{} comes packed ({}) although it was asked for as it is: mend the server, or let `to` end in .gz",
                self.entry(),
                encoding.escape_debug()
            );
            return Err(Refusal::of(Reason::WrongType, &self.source.to, sentence));
        }
        claim.refuse_without_room(web::length(response.headers()).unwrap_or(0), 1)
    }

    /// One request and its redirects. Another server is not asked: it would get the credentials, and nobody named it.
    async fn follow(&self, headers: HeaderMap) -> Result<Response, Fault> {
        let mut url = self.url.clone();
        for _ in 0..=REDIRECTS {
            let mut headers = headers.clone();
            headers.extend(self.authorization.clone().map(|value| (AUTHORIZATION, value)));
            let response = self.web.send(Method::GET, &url, headers, None).await?;
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let Some(location) = location
                .filter(|_| response.status().is_redirection() && response.status() != StatusCode::NOT_MODIFIED)
            else {
                return Ok(response);
            };
            let next = url.join(location).map_err(|_| self.redirected("redirects to what is no address"))?;
            if !is_same_server(&self.url, &next) {
                let host = next.host_str().unwrap_or_default();
                let port = next.port().map(|port| format!(":{port}")).unwrap_or_default();
                return Err(self.redirected(&format!(
                    "redirects to {}://{host}{port}, another server: name it in url if it is meant",
                    next.scheme()
                )));
            }
            url = next;
        }
        Err(self.redirected("redirects again and again"))
    }

    fn redirected(&self, what: &str) -> Fault {
        Refusal::new(Reason::Redirected, format!("{} {what}", self.entry())).into()
    }
}

fn restart(partial: &mut Partial, progress: &Progress) -> Result<(), Refusal> {
    progress.take_back(partial.offset);
    partial.offset = 0;
    partial.hash = Sha256::new();
    partial.file.set_len(0).or_final(Reason::ClaimFails, "the claim cannot be written")
}

/// Whether the answer goes on where the file ends, and is of the same file.
fn continues(response: &Response, partial: &Partial) -> bool {
    let range = response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok());
    range.is_some_and(|range| range.starts_with(&format!("bytes {}-", partial.offset)))
        && response.headers().get(ETAG).is_none_or(|etag| Some(etag) == partial.headers.get(ETAG))
}

/// The same host and port, or the same host by TLS instead.
fn is_same_server(from: &Url, to: &Url) -> bool {
    let is_upgrade = from.scheme() == "http" && to.scheme() == "https" && from.port().is_none() && to.port().is_none();
    from.host() == to.host()
        && (is_upgrade || (from.scheme() == to.scheme() && from.port_or_known_default() == to.port_or_known_default()))
}

fn value(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or(HeaderValue::from_static(""))
}

fn authorization(login: &Login) -> Result<HeaderValue, Refusal> {
    let text = match login {
        Login::Bearer(token) => format!("Bearer {token}"),
        Login::Basic { user, password } => {
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}")))
        }
    };
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Refusal::new(Reason::BadSecret, "the Secret's token holds what cannot be sent"))?;
    value.set_sensitive(true);
    Ok(value)
}
