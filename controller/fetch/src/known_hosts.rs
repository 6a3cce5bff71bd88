//! known_hosts as OpenSSH reads it: lists of patterns, hashed names, `[host]:port`, `@revoked`.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

/// What known_hosts says about a server's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A line for this host has this key.
    Trusted,
    /// No line is for this host.
    Unknown,
    /// Lines for this host have other keys of the same type, or one revokes it.
    Changed,
}

/// Looks `key` (the raw blob) of `host` at `port` up in the text of a known_hosts file. Lines that cannot be read are
/// passed over, as OpenSSH does; certificates (`@cert-authority`) vouch for nothing here.
pub fn check(text: &str, host: &str, port: u16, key: &[u8]) -> Verdict {
    let host = host.trim_matches(['[', ']']).to_ascii_lowercase();
    let name = if port == 22 { host } else { format!("[{host}]:{port}") };
    let mut verdict = Verdict::Unknown;
    for line in text.lines() {
        let mut fields = line.split_ascii_whitespace();
        let Some(mut first) = fields.next().filter(|field| !field.starts_with('#')) else { continue };
        let marker = first.starts_with('@').then_some(first);
        if marker.is_some() {
            let Some(next) = fields.next() else { continue };
            first = next;
        }
        let (Some(kind), Some(blob)) = (fields.next(), fields.next()) else { continue };
        let Ok(blob) = STANDARD.decode(blob).or_else(|_| STANDARD_NO_PAD.decode(blob)) else { continue };
        if !matches_name(first, &name) {
            continue;
        }
        match marker {
            Some("@revoked") if blob == key => return Verdict::Changed,
            None if blob == key => verdict = Verdict::Trusted,
            None if verdict == Verdict::Unknown && kind.as_bytes() == key_type(key) => verdict = Verdict::Changed,
            _ => {}
        }
    }
    verdict
}

/// The key's fingerprint as `ssh-keygen -l` prints it.
pub fn fingerprint(key: &[u8]) -> String {
    format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(key)))
}

/// The line that would make the key known.
pub fn line(host: &str, port: u16, key: &[u8]) -> String {
    let name = if port == 22 { host.to_owned() } else { format!("[{host}]:{port}") };
    let kind: String = String::from_utf8_lossy(key_type(key)).chars().filter(char::is_ascii_graphic).collect();
    format!("{name} {kind} {}", STANDARD.encode(key))
}

/// A key blob begins with its type, prefixed by its length.
fn key_type(key: &[u8]) -> &[u8] {
    let length = key.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes) as usize);
    key.get(4..4usize.saturating_add(length)).unwrap_or_default()
}

fn matches_name(patterns: &str, name: &str) -> bool {
    if let Some(hashed) = patterns.strip_prefix("|1|") {
        return hashed.split_once('|').is_some_and(|(salt, hash)| {
            let (Ok(salt), Ok(hash)) = (STANDARD.decode(salt), STANDARD.decode(hash)) else { return false };
            let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(&salt) else { return false };
            mac.update(name.as_bytes());
            mac.verify_slice(&hash).is_ok()
        });
    }
    let mut matched = false;
    for pattern in patterns.split(',') {
        let (negated, pattern) = pattern.strip_prefix('!').map_or((false, pattern), |rest| (true, rest));
        if glob(pattern.to_ascii_lowercase().as_bytes(), name.as_bytes()) {
            if negated {
                return false;
            }
            matched = true;
        }
    }
    matched
}

/// `*` and `?`, in time proportional to the product of the lengths.
fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut star) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(&c) if c == b'?' || c == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((at, from)) => {
                    p = at + 1;
                    t = from + 1;
                    star = Some((at, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|&c| c == b'*')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn key(kind: &str, body: u8) -> Vec<u8> {
        let mut blob = u32::try_from(kind.len()).expect("short").to_be_bytes().to_vec();
        blob.extend(kind.as_bytes());
        blob.extend([body; 8]);
        blob
    }

    #[test]
    fn finds_the_host_in_each_way_of_writing_it() {
        let own = key("ssh-ed25519", 1);
        let blob = STANDARD.encode(&own);
        for (names, host, port, verdict) in [
            ("git.example.org", "git.example.org", 22, Verdict::Trusted),
            ("GIT.example.org,10.0.0.1", "Git.Example.org", 22, Verdict::Trusted),
            ("*.example.org", "git.example.org", 22, Verdict::Trusted),
            ("*.example.org,!git.example.org", "git.example.org", 22, Verdict::Unknown),
            ("[git.example.org]:2222", "git.example.org", 2222, Verdict::Trusted),
            ("git.example.org", "git.example.org", 2222, Verdict::Unknown),
            ("[git.example.org]:2222", "git.example.org", 22, Verdict::Unknown),
            ("[::1]:2222", "[::1]", 2222, Verdict::Trusted),
            ("other.example.org", "git.example.org", 22, Verdict::Unknown),
        ] {
            let text = format!("# comment\n\nnonsense\n{names} ssh-ed25519 {blob} me@there\n");
            assert_eq!(check(&text, host, port, &own), verdict, "{names} {host}:{port}");
        }
    }

    #[test]
    fn finds_hashed_names() {
        let salt = b"0123456789abcdefghij";
        let mut mac = Hmac::<Sha1>::new_from_slice(salt).expect("any length");
        mac.update(b"[example.com]:2222");
        let own = key("ssh-ed25519", 1);
        let text = format!(
            "|1|{}|{} ssh-ed25519 {}",
            STANDARD.encode(salt),
            STANDARD.encode(mac.finalize().into_bytes()),
            STANDARD.encode(&own)
        );
        assert_eq!(check(&text, "example.com", 2222, &own), Verdict::Trusted);
        assert_eq!(check(&text, "example.com", 22, &own), Verdict::Unknown);
    }

    #[test]
    fn tells_another_key_from_an_unknown_host() {
        let (own, other) = (key("ssh-ed25519", 1), key("ssh-ed25519", 2));
        let line = line("h", 22, &other);
        assert_eq!(check(&line, "h", 22, &own), Verdict::Changed);
        assert_eq!(check(&line, "h", 22, &key("ssh-rsa", 1)), Verdict::Unknown, "another type may be added beside it");
        let revoked = format!("{}\n@revoked * ssh-ed25519 {}", super::line("h", 22, &own), STANDARD.encode(&own));
        assert_eq!(check(&revoked, "h", 22, &own), Verdict::Changed);
        let authority = format!("@cert-authority * ssh-ed25519 {}", STANDARD.encode(&own));
        assert_eq!(check(&authority, "h", 22, &own), Verdict::Unknown);
    }

    proptest! {
        #[test]
        fn the_line_it_suggests_makes_the_key_known(host in "[a-z][a-z0-9.]{0,20}", port in 1u16.., body in any::<u8>()) {
            let own = key("ecdsa-sha2-nistp256", body);
            prop_assert_eq!(check(&line(&host, port, &own), &host, port, &own), Verdict::Trusted);
            prop_assert_eq!(check(&line(&host, port, &own), &host, port, &key("ecdsa-sha2-nistp256", !body)), Verdict::Changed);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,300}", key in proptest::collection::vec(any::<u8>(), 0..40)) {
            check(&text, "h", 22, &key);
            line("h", 22, &key);
        }
    }
}
