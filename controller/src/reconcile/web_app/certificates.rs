//! The Secrets of certificates that a WebApp's hosts are served with, read as the namespace's account, and told of when they change.

use std::collections::BTreeMap;
use std::time::Duration;

use drover_core::certificate::{Certificates, Entry, Held, Key};
use drover_core::workload::App;
use drover_core::workload::pods::settings::SettingKind;
use drover_crds::{Owner, Tls};
use jiff::Timestamp;
use k8s_openapi::ByteString;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};

use crate::cluster::{Acting, Sight};
use crate::rollout::dereference;
use crate::settings::{self, Settings, UNSEEN, Watched};

/// What was found.
#[derive(Default)]
pub(super) struct Looked {
    /// What is to be told; `None` where it cannot be seen, so that what was told stays.
    pub(super) told: Option<Certificates>,
    /// When to look again all the same, where changes are not told.
    pub(super) again: Option<Duration>,
}

/// Looks at what `tls` names. What the account may not read is nobody's fault: the ingress controller may all the same.
pub(super) async fn look(
    acting: &Acting,
    watched: &Settings,
    owner: &Owner,
    app: &App,
    tls: &[Tls],
    now: Timestamp,
) -> Looked {
    let (mut contents, mut again) = (Vec::with_capacity(tls.len()), None);
    for entry in tls {
        let secret = Watched::Setting(SettingKind::Secret);
        watched.interest().wait(owner, &settings::key(secret, &app.namespace, &entry.secret_name));
        if watched.ensure(acting, &app.namespace, secret) == Sight::Blind {
            again = Some(UNSEEN);
        }
        let Ok(found) = dereference::secret(acting, app, &entry.secret_name).await else {
            return Looked { told: None, again };
        };
        contents.push(found.map(|secret| secret.data.unwrap_or_default()));
    }
    let entries = tls.iter().zip(&contents).map(|(entry, data)| Entry {
        secret: (&app.namespace, &entry.secret_name),
        hosts: &entry.hosts,
        held: data.as_ref().map(held),
    });
    Looked { told: Some(Certificates::judge(entries, now)), again }
}

fn held(data: &BTreeMap<String, ByteString>) -> Held<'_> {
    let bytes = |key: &str| data.get(key).map(|value| value.0.as_slice());
    let certificates = bytes("tls.crt");
    Held { certificates, key: key(certificates.unwrap_or_default(), bytes("tls.key").unwrap_or_default()) }
}

/// What is known of a private key beside these certificates. One of a sort that cannot be compared here counts as fitting.
fn key(certificates: &[u8], key: &[u8]) -> Key {
    if key.trim_ascii().is_empty() {
        return Key::Missing;
    }
    let Ok(key) = PrivateKeyDer::from_pem_slice(key) else { return Key::Unreadable };
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificates).filter_map(Result::ok).collect();
    let Ok(key) = any_supported_type(&key) else { return Key::Fits };
    match CertifiedKey::new(chain, key).keys_match() {
        Err(Error::InconsistentKeys(InconsistentKeys::KeyMismatch)) => Key::Other,
        _ => Key::Fits,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Made for this test: a certificate, its key, and the key of another.
    const CERTIFICATE: &str = include_str!("samples/certificate.pem");
    const OWN: &str = include_str!("samples/key.pem");
    const OTHER: &str = include_str!("samples/other-key.pem");

    #[test]
    fn a_key_is_told_from_that_of_another_certificate() {
        let known = |text: &str| key(CERTIFICATE.as_bytes(), text.as_bytes());
        assert_eq!(known(OWN), Key::Fits);
        assert_eq!(known(OTHER), Key::Other);
        assert_eq!(known(" \n"), Key::Missing);
        let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\naHVudGVyMg==\n-----END ENCRYPTED PRIVATE KEY-----\n";
        for text in ["hunter2", CERTIFICATE, locked] {
            assert_eq!(known(text), Key::Unreadable, "{text}");
        }
        assert_eq!(key(b"", OWN.as_bytes()), Key::Fits, "what is no certificate is told as that");
    }
}
