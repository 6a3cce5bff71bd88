//! The certificates that a WebApp's hosts are served with: until when they hold, and what a person is told before they end.
//!
//! Of a chain the first end counts, whoever's it is: a leaf that is good for a year is of no use with what signs it at an end.

use std::fmt;

use drover_crds::condition::{self, CERTIFICATE_EXPIRING, CERTIFICATE_INVALID};
use drover_crds::{TlsStatus, WebAppStatus};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::Pem;

use crate::news::News;
use crate::render::{named, short};

/// How long before its end a certificate is told of: renewing by hand takes weeks, and who renews by a program does so before.
const TOLD_BEFORE: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Certificates of a chain that are read, and bytes of them.
const MOST: usize = 16;
const LARGEST: usize = 256 << 10;

/// A Secret that `spec.tls` names.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// Its namespace and name.
    pub secret: (&'a str, &'a str),
    /// The hosts that are served with it.
    pub hosts: &'a [String],
    /// What it has; `None` where it is not there.
    pub held: Option<Held<'a>>,
}

/// What a Secret of certificates has.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// What stands under `tls.crt`.
    pub certificates: Option<&'a [u8]>,
    /// What is known of the key.
    pub key: Key,
}

/// What is known of what stands under `tls.key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// Nothing stands there.
    Missing,
    /// It is no private key.
    Unreadable,
    /// It is the key of another certificate.
    Other,
    /// It is the key of the first certificate, or of one that cannot be read.
    Fits,
}

/// What is told of all certificates of an app.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Certificates {
    /// The first end, and the name of the Secret that has it.
    ends: Option<(Timestamp, String)>,
    /// A sentence for each, the one that ends first before all others.
    expiring: Vec<String>,
    is_over: bool,
    invalid: Vec<(&'static str, String)>,
    /// When something else is to be said.
    pub again: Option<Timestamp>,
}

impl Certificates {
    /// What is told at that time of what these Secrets have.
    pub fn judge<'a>(entries: impl IntoIterator<Item = Entry<'a>>, now: Timestamp) -> Self {
        let mut all = Self::default();
        for entry in entries {
            match chain(&entry) {
                Ok(chain) => all.add(&entry, &chain, now),
                Err(wrong) => all.invalid.push((wrong.reason(), say(&entry, &wrong))),
            }
        }
        all
    }

    fn add(&mut self, entry: &Entry<'_>, chain: &[Link], now: Timestamp) {
        let Some(first) = chain.iter().min_by_key(|link| link.ends) else { return };
        let is_first = self.ends.as_ref().is_none_or(|(ends, _)| first.ends < *ends);
        if is_first {
            self.ends = Some((first.ends, entry.secret.1.to_owned()));
        }
        let told_from = first.ends.saturating_sub(TOLD_BEFORE).unwrap_or(Timestamp::MIN);
        let again = [told_from, first.ends].into_iter().find(|time| *time > now);
        self.again = self.again.into_iter().chain(again).min();
        if told_from > now {
            return;
        }
        let is_over = first.ends <= now;
        self.is_over |= is_over;
        let end = if is_over { "ended" } else { "ends" };
        let hosts = few(entry.hosts);
        let Entry { secret: (namespace, name), .. } = entry;
        let sentence = if first.is_leaf {
            format!(
                "the certificate of {hosts} in Secret {namespace}/{name} {end} at {}: put a new one there, or see to it that its issuer does",
                first.ends
            )
        } else {
            format!(
                "the certificate `{}`, which signs that of {hosts} in Secret {namespace}/{name}, {end} at {}: put the chain there that the issuer has now",
                first.subject, first.ends
            )
        };
        self.expiring.insert(if is_first { 0 } else { self.expiring.len() }, sentence);
    }

    /// When the first of them ends.
    pub fn ends(&self) -> Option<Timestamp> {
        self.ends.as_ref().map(|(ends, _)| *ends)
    }

    /// Notes it.
    pub fn note(&self, status: &mut WebAppStatus, generation: Option<i64>, now: &Time) {
        status.tls =
            self.ends.as_ref().map(|(ends, secret)| TlsStatus { not_after: Time(*ends), secret_name: secret.clone() });
        let mut note = |kind, reason: &str, sentences: Vec<&str>| match &sentences[..] {
            [] => condition::clear(&mut status.conditions, kind),
            [first, rest @ ..] => {
                let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
                let message = format!("{first}{more}");
                condition::set(&mut status.conditions, kind, "True", reason, &message, generation, now);
            }
        };
        let reason = if self.is_over { "CertificateExpired" } else { "CertificateExpiresSoon" };
        note(CERTIFICATE_EXPIRING, reason, self.expiring.iter().map(String::as_str).collect());
        let reason = self.invalid.first().map_or("", |(reason, _)| *reason);
        note(CERTIFICATE_INVALID, reason, self.invalid.iter().map(|(_, sentence)| sentence.as_str()).collect());
    }
}

/// Hosts as they stand in a sentence.
fn few(hosts: &[String]) -> String {
    match hosts {
        [first, rest @ ..] if rest.len() > 1 => format!("{first} and {} more hosts", rest.len()),
        hosts => hosts.join(", "),
    }
}

/// What a person is told of certificates, between two statuses.
pub fn news(before: &[Condition], after: &[Condition]) -> Vec<News> {
    let said =
        |conditions, kind| condition::get(conditions, kind).map(|found| (found.reason.clone(), found.message.clone()));
    let new = [CERTIFICATE_EXPIRING, CERTIFICATE_INVALID].into_iter().filter_map(|kind| {
        let (reason, message) = said(after, kind)?;
        (said(before, kind) != Some((reason.clone(), message.clone()))).then(|| News::warning(reason, message))
    });
    new.collect()
}

/// What is wrong with a Secret of certificates.
enum Wrong {
    NotThere,
    NoCertificate,
    Unreadable,
    TooLarge,
    NoKey,
    UnreadableKey,
    OtherKey,
    OtherHosts { host: String, names: Vec<String> },
}

impl Wrong {
    fn reason(&self) -> &'static str {
        match self {
            Self::NotThere => "CertificateMissing",
            Self::NoCertificate | Self::Unreadable | Self::TooLarge => "CertificateUnreadable",
            Self::NoKey | Self::UnreadableKey | Self::OtherKey => "CertificateKeyUnfit",
            Self::OtherHosts { .. } => "CertificateOfOthers",
        }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotThere => f.write_str("is not there: create it, or let an issuer do so by an annotation in spec.expose.annotations"),
            Self::NoCertificate => f.write_str("has nothing under tls.crt: put the certificate there in PEM, and after it those that sign it"),
            Self::Unreadable => f.write_str("has no certificate in PEM under tls.crt that can be read: write it as the issuer gave it, from -----BEGIN CERTIFICATE----- on"),
            Self::TooLarge => write!(f, "has more than {} KiB or {MOST} certificates under tls.crt: put only the certificate there, and those that sign it", LARGEST >> 10),
            Self::NoKey => f.write_str("has nothing under tls.key: put the private key of its certificate there"),
            Self::UnreadableKey => f.write_str("has no private key in PEM under tls.key that can be used: put that of its certificate there, without a passphrase"),
            Self::OtherKey => f.write_str("has the private key of another certificate under tls.key: put both there as they belong together, the app's own certificate before those that sign it"),
            Self::OtherHosts { host, names } => {
                let names: Vec<String> = names.iter().map(|name| short(name)).collect();
                write!(f, "has no certificate for {host}, which spec.tls has it for: it is for {}", named(names.iter().map(String::as_str)))
            }
        }
    }
}

fn say(entry: &Entry<'_>, wrong: &Wrong) -> String {
    let (namespace, name) = entry.secret;
    format!("Secret {namespace}/{name}, which spec.tls names, {wrong}")
}

/// A certificate of a chain.
struct Link {
    subject: String,
    ends: Timestamp,
    is_leaf: bool,
}

/// The certificate of an entry, and those that sign it.
fn chain(entry: &Entry<'_>) -> Result<Vec<Link>, Wrong> {
    let held = entry.held.ok_or(Wrong::NotThere)?;
    let text = held.certificates.filter(|text| !text.trim_ascii().is_empty()).ok_or(Wrong::NoCertificate)?;
    let blocks = (text.len() <= LARGEST).then(|| blocks(text)).ok_or(Wrong::TooLarge)??;
    let parsed: Result<Vec<_>, _> = blocks.iter().map(Pem::parse_x509).collect();
    let certificates = parsed.map_err(|_| Wrong::Unreadable)?;
    let (leaf, others) = certificates.split_first().ok_or(Wrong::Unreadable)?;
    match held.key {
        Key::Missing => return Err(Wrong::NoKey),
        Key::Unreadable => return Err(Wrong::UnreadableKey),
        Key::Other => return Err(Wrong::OtherKey),
        Key::Fits => {}
    }
    let names = names(leaf);
    if let Some(host) = entry.hosts.iter().find(|host| !names.iter().any(|name| is_for(name, host))) {
        return Err(Wrong::OtherHosts { host: host.clone(), names });
    }
    let mut chain = vec![link(leaf, true)?];
    let mut last = leaf;
    let mut left: Vec<&X509Certificate<'_>> = others.iter().collect();
    // In whatever order they stand; who signs himself is the end of it.
    while last.issuer() != last.subject()
        && let Some(at) = left.iter().position(|other| other.subject() == last.issuer())
    {
        last = left.remove(at);
        chain.push(link(last, false)?);
    }
    Ok(chain)
}

fn blocks(text: &[u8]) -> Result<Vec<Pem>, Wrong> {
    let mut found = Vec::new();
    for block in Pem::iter_from_buffer(text) {
        let block = block.map_err(|_| Wrong::Unreadable)?;
        if matches!(block.label.as_str(), "CERTIFICATE" | "X509 CERTIFICATE") {
            found.push(block);
        }
        if found.len() > MOST {
            return Err(Wrong::TooLarge);
        }
    }
    Ok(found)
}

fn link(certificate: &X509Certificate<'_>, is_leaf: bool) -> Result<Link, Wrong> {
    let ends = Timestamp::from_second(certificate.validity().not_after.timestamp()).map_err(|_| Wrong::Unreadable)?;
    Ok(Link { subject: short(&certificate.subject().to_string()), ends, is_leaf })
}

/// The hosts that a certificate is for: browsers look at no others.
fn names(certificate: &X509Certificate<'_>) -> Vec<String> {
    let alternatives = certificate.subject_alternative_name().ok().flatten();
    let names = alternatives.into_iter().flat_map(|names| &names.value.general_names);
    names
        .filter_map(|name| if let GeneralName::DNSName(name) = name { Some((*name).to_owned()) } else { None })
        .collect()
}

/// Whether a name of a certificate is that host, or stands for it: `*` is one label.
fn is_for(name: &str, host: &str) -> bool {
    let below = |name: &str| name.split_once('.').map(|(_, below)| below.to_ascii_lowercase());
    name.eq_ignore_ascii_case(host) || name.starts_with("*.") && below(name) == below(host)
}

#[cfg(test)]
mod tests;
