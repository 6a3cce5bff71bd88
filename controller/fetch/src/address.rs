//! The address of a repository: parsed here, so that what libgit2 gets to see is only what we understood.
//!
//! libgit2 also takes `file://`, bare paths and `git://`; none of them may be named by a tenant.

use std::fmt;

use url::Url;

use super::Error;

/// How a repository is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// TLS.
    Https,
    /// Plain text: only where it was allowed explicitly, for loopback.
    Http,
    /// SSH, with keys.
    Ssh,
}

/// A repository's address that is safe to connect to: https or ssh, without a password in it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    scheme: Scheme,
    user: String,
    host: String,
    port: Option<u16>,
    path: String,
    scp: bool,
}

impl Address {
    /// Reads `https://host/path`, `ssh://user@host/path` or `user@host:path`; `http://` only where `allow_http` says so.
    pub fn parse(text: &str, allow_http: bool) -> Result<Self, Error> {
        let wrong = |reason: &str| Error::BadAddress { url: scrub(text), reason: reason.to_owned() };
        if text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(wrong("it contains a space or a control character"));
        }
        if !text.contains("://") {
            return Self::parse_scp(text).ok_or_else(|| wrong("it is none of https, ssh and user@host:path"));
        }
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "ssh" => Scheme::Ssh,
            "http" if allow_http => Scheme::Http,
            "http" => return Err(wrong("plain http sends everything readable over the network")),
            other => return Err(wrong(&format!("the scheme {other} is not accepted"))),
        };
        if url.password().is_some() || (scheme != Scheme::Ssh && !url.username().is_empty()) {
            return Err(wrong("a user name or password belongs into the Secret that secretRef names"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(wrong("it has a query or a fragment"));
        }
        let host = url.host_str().filter(|host| !host.is_empty()).ok_or_else(|| wrong("it names no host"))?;
        let path = url.path();
        if path.trim_matches('/').is_empty() {
            return Err(wrong("it names no repository on the host"));
        }
        let user = url.username();
        if user.starts_with('-') || host.starts_with('-') || user.contains('%') {
            return Err(wrong("its user or host is not a plain name"));
        }
        Ok(Self {
            scheme,
            user: if user.is_empty() { "git".to_owned() } else { user.to_owned() },
            host: host.to_ascii_lowercase(),
            port: url.port(),
            path: path.to_owned(),
            scp: false,
        })
    }

    fn parse_scp(text: &str) -> Option<Self> {
        let (login, path) = text.split_once(':')?;
        let (user, host) = login.split_once('@')?;
        let plain = |s: &str| {
            !s.is_empty() && !s.starts_with('-') && s.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        };
        let fits = plain(user) && plain(host) && !host.contains('_') && !path.trim_matches('/').is_empty();
        (fits && !path.starts_with([':', '-'])).then(|| Self {
            scheme: Scheme::Ssh,
            user: user.to_owned(),
            host: host.to_ascii_lowercase(),
            port: None,
            path: path.to_owned(),
            scp: true,
        })
    }

    /// How the repository is reached.
    pub fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// The host, in lower case, without a port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port that is connected to.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(match self.scheme {
            Scheme::Https => 443,
            Scheme::Http => 80,
            Scheme::Ssh => 22,
        })
    }

    /// The SSH user: the address's own, or `git`.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// Host and path without `.git`, the same for the https and the ssh address of one repository.
    pub fn normalised(&self) -> String {
        let path = self.path.trim_matches('/');
        let path = path.strip_suffix(".git").unwrap_or(path);
        format!("{}/{path}", self.host)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.scp {
            return write!(f, "{}@{}:{}", self.user(), self.host, self.path);
        }
        match self.scheme {
            Scheme::Https => write!(f, "https://{}", self.host)?,
            Scheme::Http => write!(f, "http://{}", self.host)?,
            Scheme::Ssh => write!(f, "ssh://{}@{}", self.user(), self.host)?,
        }
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        f.write_str(&self.path)
    }
}

/// The text of an address that could not be read, without what may be a password or a token in it.
fn scrub(text: &str) -> String {
    let (login, rest) = text.rsplit_once('@').map_or(("", text), |(login, rest)| (login, rest));
    let scheme = login.split_once("://").map(|(scheme, _)| scheme);
    let scheme = scheme.filter(|scheme| scheme.bytes().all(|b| b.is_ascii_alphanumeric()));
    let before = match scheme {
        Some(scheme) => format!("{scheme}://…@"),
        None if login.contains([':', '/']) => "…@".to_owned(),
        None if login.is_empty() => String::new(),
        None => format!("{login}@"),
    };
    let end = rest.find(['?', '#']).map_or(rest.len(), |at| at + 1);
    let after = if end < rest.len() { "…" } else { "" };
    let shown = format!("{before}{}{after}", &rest[..end]);
    shown.chars().filter(|c| !c.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn takes_the_three_forms_and_writes_them_back() {
        for (text, host, port) in [
            ("https://git.example.org/team/app.git", "git.example.org", 443),
            ("https://git.example.org:8443/team/app", "git.example.org", 8443),
            ("https://[::1]:8443/app.git", "[::1]", 8443),
            ("ssh://git@git.example.org/team/app.git", "git.example.org", 22),
            ("ssh://me@git.example.org:2222/~/app.git", "git.example.org", 2222),
            ("git@git.example.org:team/app.git", "git.example.org", 22),
        ] {
            let address = Address::parse(text, false).expect(text);
            assert_eq!(address.to_string(), text);
            assert_eq!((address.host(), address.port()), (host, port));
        }
        assert_eq!(Address::parse("ssh://h.example/a", false).expect("no user").to_string(), "ssh://git@h.example/a");
    }

    #[test]
    fn refuses_what_reaches_files_or_carries_a_password() {
        for text in [
            "file:///etc",
            "/etc/passwd",
            "../up",
            "git://h/a",
            "http://h/a",
            "https://h",
            "https:///a",
            "https://h/",
            "https://u:hunter2@h/a",
            "https://u@h/a",
            "ssh://u:hunter2@h/a",
            "u:hunter2@h:a",
            "u:hunter2@https://h/a",
            "https://u:hunter2@https://u@h/a",
            "https://h/a?token=hunter2",
            "https://h/a#hunter2",
            "ext::sh -c id",
            "a b@h:c",
            "-oProxyCommand=x@h:a",
            "g@-oProxyCommand=x:a",
            "https://h/a?token=x",
            "ftp://h/a",
            "",
            "h:a",
            "g@h:-x",
            "g@h:",
        ] {
            let error = Address::parse(text, false).expect_err(text).to_string();
            assert!(!error.contains("hunter2"), "{error}");
            assert!(error.contains("https://host/path"), "{error}");
        }
        assert!(Address::parse("http://127.0.0.1:8080/a", true).is_ok());
    }

    #[test]
    fn one_repository_has_one_normalised_form() {
        let forms = ["https://H.example/team/app.git", "ssh://git@h.example/team/app", "git@h.example:team/app.git"];
        for form in forms {
            assert_eq!(Address::parse(form, false).expect(form).normalised(), "h.example/team/app");
        }
    }

    proptest! {
        #[test]
        fn what_was_parsed_reads_back_as_itself(text in "(https://|ssh://|[a-z]{1,4}@)?[ -~]{0,40}") {
            if let Ok(address) = Address::parse(&text, false) {
                let written = address.to_string();
                prop_assert!(written.starts_with("https://") || written.starts_with("ssh://") || address.scp);
                prop_assert_eq!(Address::parse(&written, false).expect("own output"), address);
            }
        }
    }
}
