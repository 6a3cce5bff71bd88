//! One connection to a server: who we are, whom we trust, how much we take, and what its errors mean.

use std::cell::RefCell;
use std::rc::Rc;

use drover_core::render::amount;
use git2::{
    AutotagOption, CertificateCheckStatus, Cred, CredentialType, ErrorClass, ErrorCode, FetchOptions, FetchPrune,
    ProxyOptions, RemoteCallbacks, RemoteRedirect,
};

use jiff::Timestamp;

use super::heard;
use crate::answer::{self, Asked};
use crate::credential::Auth;
use crate::error::Error;
use crate::known_hosts::{self, Verdict};
use crate::limits::Limits;

pub(crate) struct Connection<'a> {
    pub url: &'a str,
    pub host: &'a str,
    pub port: u16,
    pub user: &'a str,
    pub auth: &'a Auth,
    pub limits: &'a Limits,
    /// What time it is, for what a server says of times.
    pub now: fn() -> Timestamp,
}

/// What a callback found out: better than what libgit2 makes of it.
pub(super) type Cause = Rc<RefCell<Option<Error>>>;

impl Connection<'_> {
    pub(super) fn options(&self, depth: i32) -> (FetchOptions<'_>, Cause) {
        heard::listen();
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
        let asked = Asked { url: self.url, host: self.host, auth: self.auth };
        answer::explain(&asked, error, &heard::head(), (self.now)())
    }
}

fn refuse(cause: &Cause, error: Error) -> git2::Error {
    let text = git2::Error::new(ErrorCode::User, ErrorClass::Callback, error.label());
    cause.replace(Some(error));
    text
}
