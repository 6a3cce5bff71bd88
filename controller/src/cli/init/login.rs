//! What the repository asks for, read from standard input and files, never from arguments.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use crate::cli::Error;

use super::Init;

/// The data of the Secret NAME-git; empty when the repository asks for nothing.
pub type Login = BTreeMap<String, String>;

/// A password or token longer than this is a file that was piped by mistake.
const MAX_LINE: u64 = 64 << 10;

/// Reads everything that the options name.
pub fn read(command: &Init) -> Result<Login, Error> {
    let mut login = Login::new();
    let ssh = is_ssh(&command.url);
    if let Some(username) = &command.username {
        refuse(ssh, "a user name and password are for https addresses", "use --identity-file and --known-hosts")?;
        login.insert("username".to_owned(), username.clone());
        login.insert("password".to_owned(), from_stdin("password")?);
    }
    if command.bearer_token_stdin {
        refuse(ssh, "a bearer token is for https addresses", "use --identity-file and --known-hosts")?;
        login.insert("bearerToken".to_owned(), from_stdin("token")?);
    }
    if let (Some(identity), Some(known_hosts)) = (&command.identity_file, &command.known_hosts) {
        let advice = "use --username with --password-stdin, or --bearer-token-stdin";
        refuse(!ssh, "an SSH key is for ssh addresses", advice)?;
        login.insert("identity".to_owned(), key(identity)?);
        login.insert("known_hosts".to_owned(), file(known_hosts)?);
    } else if ssh {
        return Err(Error::Usage {
            sentence: format!(
                "{} is an ssh address, which needs a private key and the server's host keys",
                command.url
            ),
            hint: "give them with --identity-file FILE and --known-hosts FILE".to_owned(),
        });
    }
    if let Some(path) = &command.ca_file {
        let pem = file(path)?;
        if !pem.contains("-----BEGIN CERTIFICATE-----") {
            return Err(Error::BadInput {
                what: path.display().to_string(),
                problem: "holds no PEM certificate".to_owned(),
                hint: "a certificate begins with -----BEGIN CERTIFICATE-----".to_owned(),
            });
        }
        login.insert("ca.crt".to_owned(), pem);
    }
    Ok(login)
}

/// `ssh://…` and `user@host:path`.
fn is_ssh(url: &str) -> bool {
    url.split_once("://").is_none_or(|(scheme, _)| scheme == "ssh")
}

fn refuse(wrong: bool, sentence: &str, hint: &str) -> Result<(), Error> {
    if wrong { Err(Error::Usage { sentence: sentence.to_owned(), hint: hint.to_owned() }) } else { Ok(()) }
}

/// The one line that was piped in.
fn from_stdin(what: &str) -> Result<String, Error> {
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        return Err(Error::Usage {
            sentence: format!("the {what} is read from standard input, and that is the terminal, which would show it"),
            hint: format!("pipe it in, such as `pass git/shop | drover init …`, or from a file with `< {what}.txt`"),
        });
    }
    let mut text = String::new();
    stdin.lock().take(MAX_LINE + 1).read_to_string(&mut text).map_err(|source| Error::Io {
        what: "standard input".to_owned(),
        done: "read",
        source,
    })?;
    one_line(what, &text)
}

/// The line without its line feed, which `echo` and editors leave.
fn one_line(what: &str, text: &str) -> Result<String, Error> {
    let line = text.trim_end_matches(['\r', '\n']);
    let problem = if line.is_empty() {
        "is empty"
    } else if line.contains(['\r', '\n', '\0']) || text.len() as u64 > MAX_LINE {
        "is more than one line of text"
    } else {
        return Ok(line.to_owned());
    };
    Err(Error::BadInput {
        what: "standard input".to_owned(),
        problem: problem.to_owned(),
        hint: format!("pipe the {what} in, as one line"),
    })
}

/// A private key, not the public one beside it.
fn key(path: &Path) -> Result<String, Error> {
    let text = file(path)?;
    if text.contains("PRIVATE KEY-----") {
        return Ok(text);
    }
    Err(Error::BadInput {
        what: path.display().to_string(),
        problem: "holds no private SSH key".to_owned(),
        hint: "name the key itself, not its .pub file; `ssh-keygen -t ed25519 -N '' -f deploy-key` makes one"
            .to_owned(),
    })
}

fn file(path: &Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(|source| Error::Io { what: path.display().to_string(), done: "read", source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_feed_at_the_end_is_no_part_of_a_password() {
        assert_eq!(one_line("password", "hunter 2\r\n").expect("one line"), "hunter 2");
        for text in ["", "\n", "a\nb\n"] {
            let error = one_line("password", text).expect_err(text);
            assert!(error.hint().is_some_and(|hint| hint.contains("password")), "{error}");
        }
    }

    #[test]
    fn tells_ssh_from_https() {
        assert!(is_ssh("ssh://git@h/a.git") && is_ssh("git@h:a.git"));
        assert!(!is_ssh("https://h/a.git") && !is_ssh("http://127.0.0.1/a.git"));
    }
}
