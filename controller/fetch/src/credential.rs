//! What a repository asks for, taken from a Secret's data.

use std::collections::BTreeMap;
use std::fmt;

use base64::Engine as _;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::address::{Address, Scheme};
use super::error::Error;

/// How drover proves who it is to a git server, and how the server proves who it is.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credential {
    auth: Auth,
    authority: Option<String>,
}

/// The secret part: goes to the child process through a pipe and nowhere else.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Auth {
    /// The repository is public.
    #[default]
    Nothing,
    /// Basic authentication.
    Password {
        /// The user.
        username: String,
        /// Its password, or a token in its place.
        password: String,
    },
    /// A token.
    Bearer {
        /// The token.
        token: String,
    },
    /// An SSH key.
    Key {
        /// The private key, in the form that `ssh-keygen` writes.
        identity: String,
        /// What it is encrypted with.
        passphrase: Option<String>,
        /// The server's keys.
        known_hosts: String,
    },
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "Nothing",
            Self::Password { .. } => "Password(…)",
            Self::Bearer { .. } => "Bearer(…)",
            Self::Key { .. } => "Key(…)",
        })
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Credential({:?}", self.auth)?;
        f.write_str(if self.authority.is_some() { ", with ca.crt)" } else { ")" })
    }
}

impl Credential {
    /// Reads the keys `username` and `password`, or `bearerToken`, or `identity`, `known_hosts` and optionally `password`
    /// (of the key), and optionally `ca.crt`. `Err` is the second half of a sentence: what is wrong and which keys to set.
    pub fn from_secret(data: &BTreeMap<String, Vec<u8>>) -> Result<Self, String> {
        let text = |key: &str| match data.get(key).map(Vec::as_slice) {
            None | Some([]) => Ok(None),
            Some(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Some(text.to_owned())),
                Err(_) => Err(format!("its key {key} is not text: write it again, as UTF-8")),
            },
        };
        // A line feed at the end is what `--from-file` leaves; no such value ends with one.
        let line = |key: &str| {
            let value = text(key)?.map(|value| value.trim_end_matches(['\r', '\n']).to_owned());
            match value {
                Some(value) if value.contains(['\r', '\n', '\0']) => {
                    Err(format!("its key {key} has more than one line"))
                }
                value => Ok(value.filter(|value| !value.is_empty())),
            }
        };
        let authority = text("ca.crt")?;
        if authority.as_ref().is_some_and(|pem| !pem.contains("-----BEGIN CERTIFICATE-----")) {
            return Err(
                "its key ca.crt holds no PEM certificate: it must begin with -----BEGIN CERTIFICATE-----".into()
            );
        }
        let auth = match (line("username")?, line("password")?, line("bearerToken")?, text("identity")?) {
            (None, None, None, None) => Auth::Nothing,
            (Some(username), Some(password), None, None) => Auth::Password { username, password },
            (None, None, Some(token), None) => Auth::Bearer { token },
            (None, passphrase, None, Some(identity)) => Auth::Key {
                identity,
                passphrase,
                known_hosts: text("known_hosts")?.ok_or("it has identity without known_hosts: add the key known_hosts with the server's line from `ssh-keyscan`, after comparing the fingerprint")?,
            },
            (Some(_), None, None, None) => return Err("it has username without password: set both, or bearerToken alone".into()),
            (None, Some(_), None, None) => return Err("it has password without username: set both, or bearerToken alone".into()),
            _ => return Err("it mixes several ways to log in: set username and password, or bearerToken, or identity and known_hosts".into()),
        };
        if auth == Auth::Nothing && authority.is_none() {
            return Err("it has none of the keys drover reads: set username and password, or bearerToken, or identity and known_hosts, or ca.crt".into());
        }
        Ok(Self { auth, authority })
    }

    /// Whether this can be used for that address.
    pub fn suits(&self, address: &Address) -> Result<(), Error> {
        if address.scheme() == Scheme::Ssh && *self == Self::default() {
            return Err(Error::NoCredential { url: address.to_string() });
        }
        let reason = match (address.scheme(), &self.auth) {
            (Scheme::Ssh, Auth::Key { .. })
            | (Scheme::Https | Scheme::Http, Auth::Nothing | Auth::Password { .. } | Auth::Bearer { .. }) => {
                return Ok(());
            }
            (Scheme::Ssh, _) => {
                "an ssh address needs a private key and the server's host keys: set its keys identity and known_hosts"
            }
            (_, Auth::Key { .. }) => {
                "identity is for ssh addresses: set its keys username and password, or bearerToken"
            }
        };
        Err(Error::UnsuitableCredential { url: address.to_string(), reason: reason.to_owned() })
    }

    /// The secret part.
    pub fn auth(&self) -> &Auth {
        &self.auth
    }

    /// The private certificate authority, in PEM.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// A hash over everything in it, each part framed by its length.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        let mut part = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        match &self.auth {
            Auth::Nothing => part("nothing"),
            Auth::Password { username, password } => ["password", username, password].into_iter().for_each(part),
            Auth::Bearer { token } => ["bearer", token].into_iter().for_each(part),
            Auth::Key { identity, passphrase, known_hosts } => {
                ["key", identity, passphrase.as_deref().unwrap_or(""), known_hosts].into_iter().for_each(part);
            }
        }
        hash.update(self.authority.as_deref().unwrap_or("").as_bytes());
        hash.finalize().into()
    }
}

impl Auth {
    /// The header that goes with the first request already: waiting to be asked would double each poll's requests.
    pub fn header(&self) -> Option<String> {
        match self {
            Self::Password { username, password } => {
                let pair = base64::engine::general_purpose::STANDARD.encode(format!("{username}:{password}"));
                Some(format!("Authorization: Basic {pair}"))
            }
            Self::Bearer { token } => Some(format!("Authorization: Bearer {token}")),
            Self::Nothing | Self::Key { .. } => None,
        }
    }

    /// What to do when the server knows it, and does not let it read.
    pub fn right(&self) -> &'static str {
        match self {
            Self::Nothing => {
                "the server lets nobody read it who does not say who it is, so name a Secret in spec.source.secretRef with the keys username and password, or bearerToken"
            }
            Self::Password { .. } | Self::Bearer { .. } | Self::Key { .. } => {
                "give the account of the credential in secretRef the right to read the repository"
            }
        }
    }

    /// What to do when the server refused it.
    pub fn advice(&self) -> &'static str {
        match self {
            Self::Nothing => {
                "the server asks who it is: if the repository is public, check spec.source.url, because git hosts ask so too where there is none, else name a Secret in spec.source.secretRef with the keys username and password, or bearerToken"
            }
            Self::Password { .. } => {
                "the server refused the keys username and password of the Secret that secretRef names, so put valid ones there"
            }
            Self::Bearer { .. } => {
                "the server refused the key bearerToken of the Secret that secretRef names, so put a valid one there"
            }
            Self::Key { .. } => {
                "the server refused the SSH key in the key identity of the Secret that secretRef names, so register its public half at the git host, and check its password"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn secret(pairs: &[(&str, &str)]) -> BTreeMap<String, Vec<u8>> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), v.as_bytes().to_vec())).collect()
    }

    #[test]
    fn reads_each_way_to_log_in() {
        for pairs in [
            &[("username", "u"), ("password", "hunter2\n")][..],
            &[("bearerToken", "hunter2")],
            &[("identity", "hunter2"), ("known_hosts", "h ssh-rsa AAAA")],
            &[("identity", "hunter2"), ("known_hosts", "h ssh-rsa AAAA"), ("password", "hunter2")],
            &[("ca.crt", "-----BEGIN CERTIFICATE-----\n")],
        ] {
            let credential = Credential::from_secret(&secret(pairs)).expect("suitable");
            assert!(!format!("{credential:?}{:?}", credential.auth).contains("hunter2"));
        }
        let both = Credential::from_secret(&secret(&[("username", "u"), ("password", "p\n")])).expect("suitable");
        assert_eq!(both.auth.header().as_deref(), Some("Authorization: Basic dTpw"));
    }

    #[test]
    fn names_the_keys_that_are_needed() {
        for (pairs, said) in [
            (&[][..], "username and password, or bearerToken, or identity and known_hosts"),
            (&[("username", "u")], "username without password"),
            (&[("password", "p")], "password without username"),
            (&[("identity", "k")], "identity without known_hosts"),
            (&[("bearerToken", "t"), ("username", "u"), ("password", "p")], "mixes"),
            (&[("bearerToken", "a\nX-Evil: b")], "more than one line"),
            (&[("ca.crt", "nonsense")], "PEM"),
        ] {
            let error = Credential::from_secret(&secret(pairs)).expect_err(said);
            assert!(error.contains(said), "{error}");
        }
        let binary = BTreeMap::from([("bearerToken".to_owned(), vec![0xff])]);
        assert!(Credential::from_secret(&binary).expect_err("binary").contains("bearerToken"));
    }

    #[test]
    fn fits_the_scheme_of_the_address() {
        let https = Address::parse("https://h/a", false).expect("https");
        let ssh = Address::parse("git@h:a", false).expect("ssh");
        let token = Credential::from_secret(&secret(&[("bearerToken", "t")])).expect("token");
        let key = Credential::from_secret(&secret(&[("identity", "k"), ("known_hosts", "h")])).expect("key");
        assert!(token.suits(&https).is_ok() && key.suits(&ssh).is_ok() && Credential::default().suits(&https).is_ok());
        assert!(token.suits(&ssh).expect_err("token").to_string().contains("identity and known_hosts"));
        assert!(key.suits(&https).expect_err("key").to_string().contains("username and password"));
        let public = Credential::default().suits(&ssh).expect_err("no key").to_string();
        assert!(!public.contains("the Secret of") && public.contains("names no Secret"), "{public}");
    }

    proptest! {
        #[test]
        fn no_header_carries_a_second_line(user in ".{1,20}", password in ".{1,20}", token in ".{1,20}") {
            for pairs in [&[("username", user.as_str()), ("password", &password)][..], &[("bearerToken", &token)]] {
                if let Ok(credential) = Credential::from_secret(&secret(pairs)) {
                    prop_assert!(!credential.auth.header().is_some_and(|header| header.contains(['\r', '\n', '\0'])));
                }
            }
        }

        #[test]
        fn differing_credentials_have_differing_fingerprints(a in "[a-z]{1,3}", b in "[a-z]{1,3}", c in "[a-z]{1,3}", d in "[a-z]{1,3}") {
            let make = |u: &str, p: &str| Credential::from_secret(&secret(&[("username", u), ("password", p)])).expect("suitable");
            prop_assert_eq!(make(&a, &b).fingerprint() == make(&c, &d).fingerprint(), (&a, &b) == (&c, &d));
        }
    }
}
