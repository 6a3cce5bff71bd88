//! Pure: what a git server's refusal means, in one sentence.

use std::time::Duration;

use git2::{ErrorClass, ErrorCode};
use jiff::Timestamp;

use super::credential::Auth;
use super::error::Error;

/// Who was asked, and as whom.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The repository's address.
    pub url: &'a str,
    /// Its host.
    pub host: &'a str,
    /// What was sent to prove who asks; none of it appears in an error.
    pub auth: &'a Auth,
}

/// The sentence for an error of libgit2. `head` is the head of the last HTTP response, empty where there was none.
pub fn explain(asked: &Asked<'_>, error: &git2::Error, head: &[u8], now: Timestamp) -> Error {
    let url = asked.url.to_owned();
    let host = asked.host.to_owned();
    let detail = asked.scrubbed(error.message());
    let said = detail.to_ascii_lowercase();
    let says = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
    let advice = asked.auth.advice().to_owned();
    match (error.class(), error.code()) {
        _ if says(&["cannot redirect", "unexpected redirect"]) => Error::Redirected { url, detail },
        _ if says(&["failed to resolve address"]) => Error::UnresolvedHost { url, host },
        (_, ErrorCode::Auth) => Error::AuthenticationFailed { url, advice },
        (_, ErrorCode::Certificate) => Error::UntrustedCertificate { host, detail },
        (ErrorClass::Ssl, _) if says(&["certificate"]) => Error::UntrustedCertificate { host, detail },
        (ErrorClass::Http, _) if says(&["status code: 404", "invalid content-type", "no content-type"]) => {
            Error::NotARepository { url }
        }
        (ErrorClass::Http, _) if says(&["status code: 413"]) => Error::TooLarge { url, detail },
        (ErrorClass::Http, _) => match retry_after(head, now) {
            Some(wait) => Error::Throttled { url, wait: Some(wait.as_secs()) },
            None if says(&["status code: 429"]) => Error::Throttled { url, wait: None },
            None if says(&["status code: 403"]) => Error::Forbidden { url, advice: asked.auth.right().to_owned() },
            None => Error::Server { url, detail },
        },
        _ if says(&[
            "authentication failed",
            "unable to extract public key",
            "public key file",
            "callback returned",
        ]) =>
        {
            Error::AuthenticationFailed { url, advice }
        }
        _ if says(&["does not appear to be a git repository", "repository not found", "not a git repository"]) => {
            Error::NotARepository { url }
        }
        (ErrorClass::NoMemory, _) => Error::OutOfMemory,
        (
            ErrorClass::Odb | ErrorClass::Zlib | ErrorClass::Reference | ErrorClass::Repository | ErrorClass::Object,
            _,
        ) => Error::DamagedCache { detail },
        (ErrorClass::Indexer | ErrorClass::Filesystem, _) => Error::Server { url, detail },
        _ => Error::Unreachable { url, detail },
    }
}

/// For how long a server asks to be left alone: `Retry-After` of a response with status 429, 503, or 403 as GitHub sends it, in
/// seconds or as a date.
pub fn retry_after(head: &[u8], now: Timestamp) -> Option<Duration> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let complete = response.parse(head).is_ok_and(|status| status.is_complete());
    if !complete || !matches!(response.code, Some(403 | 429 | 503)) {
        return None;
    }
    let header = response.headers.iter().find(|header| header.name.eq_ignore_ascii_case("retry-after"))?;
    let value = std::str::from_utf8(header.value).ok()?.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        // More digits than a number holds are an absurdly long time.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = Timestamp::try_from(httpdate::parse_http_date(value).ok()?).ok()?;
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

impl Asked<'_> {
    /// What a server made libgit2 say may quote what we sent.
    fn scrubbed(&self, message: &str) -> String {
        let plain = |text: &str| -> String { text.chars().filter(|c| !c.is_control()).collect() };
        let mut message = plain(message);
        let secrets: Vec<&str> = match self.auth {
            Auth::Nothing => vec![],
            Auth::Password { password, .. } => vec![password],
            Auth::Bearer { token } => vec![token],
            Auth::Key { identity, passphrase, .. } => vec![identity, passphrase.as_deref().unwrap_or("")],
        };
        let header = self.auth.header().unwrap_or_default();
        let encoded = header.rsplit(' ').next().unwrap_or("");
        for secret in secrets.into_iter().chain([encoded]).map(plain).filter(|secret| !secret.is_empty()) {
            message = message.replace(&secret, "…");
        }
        // Not before: half a secret would not be found.
        message.chars().take(300).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn explained(class: ErrorClass, message: &str, head: &str) -> Error {
        let auth = Auth::Password { username: "ann".into(), password: "hunter2".into() };
        let asked = Asked { url: "https://h.example/a", host: "h.example", auth: &auth };
        let error = git2::Error::new(ErrorCode::GenericError, class, message);
        explain(&asked, &error, head.as_bytes(), NOW)
    }

    #[test]
    fn the_time_that_a_server_asks_for_is_read_in_both_forms() {
        let wait = |head: &str| retry_after(head.as_bytes(), NOW).map(|wait| wait.as_secs());
        assert_eq!(wait("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 120\r\n\r\n"), Some(120));
        assert_eq!(wait("HTTP/1.1 503 x\r\nA: b\r\nretry-after:  7 \r\n\r\nbody"), Some(7));
        assert_eq!(wait("HTTP/1.1 429 x\r\nRetry-After: Thu, 01 Jan 1970 00:01:30 GMT\r\n\r\n"), Some(90));
        assert_eq!(
            wait("HTTP/1.1 429 x\r\nRetry-After: Wed, 31 Dec 1969 23:59:00 GMT\r\n\r\n"),
            None,
            "no date of HTTP"
        );
        assert_eq!(wait("HTTP/1.1 429 x\r\nRetry-After: 99999999999999999999999\r\n\r\n"), Some(u64::MAX));
        for head in [
            "",
            "HTTP/1.1 429 x\r\n\r\n",
            "HTTP/1.1 429 x\r\nRetry-After: soon\r\n\r\n",
            "HTTP/1.1 429 x\r\nRetry-After: -5\r\n\r\n",
            "HTTP/1.1 429 x\r\nRetry-After: 5\r\n",
            "HTTP/1.1 200 OK\r\nRetry-After: 5\r\n\r\n",
            "SSH-2.0-OpenSSH\r\n\r\n",
        ] {
            assert_eq!(wait(head), None, "{head}");
        }
    }

    #[test]
    fn a_server_that_wants_fewer_requests_is_told_from_one_that_is_ill() {
        let http = |status: u16, head: &str| {
            explained(ErrorClass::Http, &format!("unexpected http status code: {status}"), head)
        };
        let url = || "https://h.example/a".to_owned();
        let asks = "HTTP/1.1 429 x\r\nRetry-After: 9\r\n\r\n";
        assert_eq!(http(429, asks), Error::Throttled { url: url(), wait: Some(9) });
        assert_eq!(http(429, ""), Error::Throttled { url: url(), wait: None });
        assert_eq!(http(503, &asks.replace("429", "503")), Error::Throttled { url: url(), wait: Some(9) });
        assert_eq!(http(403, &asks.replace("429", "403")), Error::Throttled { url: url(), wait: Some(9) });
        assert_eq!(http(403, "").label(), "Forbidden");
        assert_eq!(http(503, "").label(), "GitServerError");
        assert_eq!(http(500, &asks.replace("429", "500")).label(), "GitServerError");
    }

    #[test]
    fn what_was_sent_is_not_repeated() {
        let said = explained(ErrorClass::Net, "they said hunter2\u{7} and YW5uOmh1bnRlcjI=", "").to_string();
        assert!(!said.contains("hunter2") && !said.contains("YW5u") && said.contains("they said …"), "{said}");
        let at_the_cut = format!("{}hunter2", "x".repeat(296));
        assert!(!explained(ErrorClass::Net, &at_the_cut, "").to_string().contains("hunt"));
    }
}
