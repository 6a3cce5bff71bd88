//! Secrets for repositories: logins, keys, and the servers' keys in known_hosts.
#![no_main]

use std::collections::BTreeMap;

use drover::git::Credential;
use drover::git::known_hosts::{Verdict, check, fingerprint, line};
use drover_fuzz::{assert_sentence, parts};
use libfuzzer_sys::fuzz_target;

const KEYS: [&str; 7] = ["username", "password", "bearerToken", "identity", "known_hosts", "ca.crt", "other"];

fuzz_target!(|data: &[u8]| {
    let [which, host, rest] = parts::<3>(data);
    // Each byte of the first line names a key; a zero byte ends its value.
    let values = rest.split(|byte| *byte == 0);
    let secret: BTreeMap<String, Vec<u8>> = which
        .iter()
        .zip(values)
        .map(|(key, value)| (KEYS[usize::from(*key) % KEYS.len()].to_owned(), value.to_vec()))
        .collect();
    match Credential::from_secret(&secret) {
        Ok(credential) => {
            let shown = format!("{credential:?}{:?}", credential.auth());
            assert!(shown.len() < 60, "it shows what is in it: {shown}");
            if let Some(header) = credential.auth().header() {
                assert!(header.starts_with("Authorization: "));
                assert!(!header.contains(['\r', '\n', '\0']), "{header:?} is more than one header");
            }
        }
        // The whole set of sentences is short and fixed, so no value can be in one.
        Err(said) => {
            assert_sentence(&said);
            assert!(said.len() < 250, "{said}");
        }
    }

    let text = String::from_utf8_lossy(rest);
    let host = String::from_utf8_lossy(host);
    let key: &[u8] = b"\0\0\0\x0bssh-ed25519\0\0\0\x04drov";
    let is_there = text.contains("AAAAC3NzaC1lZDI1NTE5AAAABGRyb3");
    for port in [22, 2222] {
        let verdict = check(&text, &host, port, key);
        assert!(verdict != Verdict::Trusted || is_there, "trusted without its key");
        assert_eq!(check("", &host, port, key), Verdict::Unknown);
        assert_sentence(&line("h", port, rest));
        if host.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'.') && !host.is_empty() {
            let known = line(&host, port, key);
            assert_eq!(check(&known, &host, port, key), Verdict::Trusted);
            // A line more never takes the trust away, unless it revokes.
            let with = format!("{text}\n{known}");
            assert!(check(&with, &host, port, key) == Verdict::Trusted || text.contains("@revoked"));
        }
    }
    assert!(fingerprint(rest).len() == 50);
});
