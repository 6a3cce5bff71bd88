//! One connection to a server: who we are, whom we trust, how much we take, and what its errors mean.

use std::cell::RefCell;
use std::rc::Rc;

use git2::{
    AutotagOption, CertificateCheckStatus, Cred, CredentialType, ErrorClass, ErrorCode, FetchOptions, FetchPrune,
    ProxyOptions, RemoteCallbacks, RemoteRedirect,
};

use crate::git::credential::Auth;
use crate::git::error::{Error, amount};
use crate::git::known_hosts::{self, Verdict};
use crate::git::limits::Limits;

pub(super) struct Connection<'a> {
    pub url: &'a str,
    pub host: &'a str,
    pub port: u16,
    pub user: &'a str,
    pub auth: &'a Auth,
    pub limits: &'a Limits,
}

/// What a callback found out: better than what libgit2 makes of it.
pub(super) type Cause = Rc<RefCell<Option<Error>>>;

impl Connection<'_> {
    pub(super) fn options(&self, depth: i32) -> (FetchOptions<'_>, Cause) {
        let cause = Cause::default();
        let mut options = FetchOptions::new();
        options
            .remote_callbacks(self.callbacks(&cause))
            .proxy_options({
                let mut proxy = ProxyOptions::new();
                proxy.auto();
                proxy
            })
            .prune(FetchPrune::Off)
            .update_fetchhead(false)
            .download_tags(AutotagOption::None)
            .follow_redirects(RemoteRedirect::None)
            .depth(depth);
        if let Some(header) = self.auth.header() {
            options.custom_headers(&[&header]);
        }
        (options, cause)
    }

    fn callbacks(&self, cause: &Cause) -> RemoteCallbacks<'_> {
        let mut callbacks = RemoteCallbacks::new();
        let failed = cause.clone();
        let mut key_offered = false;
        callbacks.credentials(move |_, _, allowed| match self.auth {
            Auth::Key { .. } if allowed.contains(CredentialType::USERNAME) => Cred::username(self.user),
            Auth::Key { identity, passphrase, .. } if !key_offered && allowed.contains(CredentialType::SSH_MEMORY) => {
                key_offered = true;
                Cred::ssh_key_from_memory(self.user, None, identity, passphrase.as_deref())
            }
            // Over http the credential went with the first request, so a question means that it was refused.
            _ => Err(refuse(
                &failed,
                Error::AuthenticationFailed { url: self.url.to_owned(), advice: self.auth.advice().to_owned() },
            )),
        });
        let failed = cause.clone();
        callbacks.certificate_check(move |certificate, _| {
            let (Some(key), Auth::Key { known_hosts, .. }) =
                (certificate.as_hostkey().and_then(|c| c.hostkey()), self.auth)
            else {
                return Ok(CertificateCheckStatus::CertificatePassthrough);
            };
            let fingerprint = known_hosts::fingerprint(key);
            let host = self.host.to_owned();
            match known_hosts::check(known_hosts, self.host, self.port, key) {
                Verdict::Trusted => Ok(CertificateCheckStatus::CertificateOk),
                Verdict::Changed => Err(refuse(&failed, Error::ChangedHostKey { host, fingerprint })),
                Verdict::Unknown => {
                    let line = known_hosts::line(self.host, self.port, key);
                    Err(refuse(&failed, Error::UnknownHostKey { host, fingerprint, line }))
                }
            }
        });
        let failed = cause.clone();
        callbacks.transfer_progress(move |progress| {
            let too_large = |detail: String| {
                failed.replace(Some(Error::TooLarge { url: self.url.to_owned(), detail }));
                false
            };
            if progress.total_objects() > self.limits.objects {
                let (count, limit) = (progress.total_objects(), self.limits.objects);
                return too_large(format!("it sends {count} objects and the limit is {limit}"));
            }
            if progress.received_bytes() as u64 > self.limits.download {
                return too_large(format!("it sends more than the limit of {}", amount(self.limits.download)));
            }
            true
        });
        callbacks
    }

    /// The sentence for an error of libgit2, `cause` first.
    pub(super) fn explain(&self, error: &git2::Error, cause: &Cause) -> Error {
        if let Some(cause) = cause.borrow_mut().take() {
            return cause;
        }
        let url = self.url.to_owned();
        let host = self.host.to_owned();
        let detail = self.scrubbed(error.message());
        let said = detail.to_ascii_lowercase();
        let says = |parts: &[&str]| parts.iter().any(|part| said.contains(part));
        let advice = self.auth.advice().to_owned();
        match (error.class(), error.code()) {
            _ if says(&["cannot redirect", "unexpected redirect"]) => Error::Redirected { url, detail },
            _ if says(&["failed to resolve address"]) => Error::UnresolvedHost { url, host },
            (_, ErrorCode::Auth) => Error::AuthenticationFailed { url, advice },
            (_, ErrorCode::Certificate) => Error::UntrustedCertificate { host, detail },
            (ErrorClass::Ssl, _) if says(&["certificate"]) => Error::UntrustedCertificate { host, detail },
            (ErrorClass::Http, _) if says(&["status code: 404", "invalid content-type", "no content-type"]) => {
                Error::NotARepository { url }
            }
            (ErrorClass::Http, _) if says(&["status code: 403"]) => Error::Forbidden { url },
            (ErrorClass::Http, _) if says(&["status code: 413"]) => Error::TooLarge { url, detail },
            (ErrorClass::Http, _) => Error::Server { url, detail },
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
            (ErrorClass::NoMemory, _) => {
                Error::TooLarge { url, detail: "it needs more memory than the git process may use".into() }
            }
            (
                ErrorClass::Odb
                | ErrorClass::Zlib
                | ErrorClass::Reference
                | ErrorClass::Repository
                | ErrorClass::Object,
                _,
            ) => Error::DamagedCache { detail },
            (ErrorClass::Indexer | ErrorClass::Filesystem, _) => Error::Server { url, detail },
            _ => Error::Unreachable { url, detail },
        }
    }

    /// What a server made libgit2 say may quote what we sent.
    fn scrubbed(&self, message: &str) -> String {
        let mut message: String = message.chars().filter(|c| !c.is_control()).take(300).collect();
        let secrets: Vec<&str> = match self.auth {
            Auth::Nothing => vec![],
            Auth::Password { password, .. } => vec![password],
            Auth::Bearer { token } => vec![token],
            Auth::Key { identity, passphrase, .. } => vec![identity, passphrase.as_deref().unwrap_or("")],
        };
        let header = self.auth.header().unwrap_or_default();
        let encoded = header.rsplit(' ').next().unwrap_or("");
        for secret in secrets.into_iter().chain([encoded]).filter(|secret| !secret.is_empty()) {
            message = message.replace(secret, "…");
        }
        message
    }
}

fn refuse(cause: &Cause, error: Error) -> git2::Error {
    let text = git2::Error::new(ErrorCode::User, ErrorClass::Callback, error.label());
    cause.replace(Some(error));
    text
}
