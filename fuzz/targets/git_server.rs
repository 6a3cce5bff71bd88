//! What a git server says: its list of references, and its refusals.
#![no_main]

use std::collections::BTreeMap;

use drover::git::Credential;
use drover::git::answer::{Asked, explain, retry_after};
use drover::git::references::{Advertised, resolve};
use drover_core::branch::CommitId;
use drover_crds::Reference;
use drover_fuzz::{assert_sentence, parts};
use git2::{ErrorClass, ErrorCode};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

const URL: &str = "https://git.example.org/team/app.git";
const CLASSES: [ErrorClass; 12] = [
    ErrorClass::None,
    ErrorClass::NoMemory,
    ErrorClass::Os,
    ErrorClass::Reference,
    ErrorClass::Zlib,
    ErrorClass::Net,
    ErrorClass::Indexer,
    ErrorClass::Odb,
    ErrorClass::Ssl,
    ErrorClass::Ssh,
    ErrorClass::Http,
    ErrorClass::Callback,
];
const CODES: [ErrorCode; 4] = [ErrorCode::GenericError, ErrorCode::Auth, ErrorCode::Certificate, ErrorCode::NotFound];
const PASSWORD: &str = "kpzW3vTf";

/// Each line of a list is a name; the number of the line is what it points to.
fn references(wanted: &str, list: &str) {
    let advertised: Vec<Advertised> = list
        .lines()
        .zip(1u32..)
        .map(|(name, n)| Advertised {
            name: name.to_owned(),
            id: CommitId::parse(&format!("{n:040x}")).expect("an id"),
        })
        .collect();
    let text = || Some(wanted.to_owned());
    for reference in [
        Reference { branch: text(), ..Reference::default() },
        Reference { tag: text(), ..Reference::default() },
        Reference { semver: text(), ..Reference::default() },
        Reference { commit: text(), ..Reference::default() },
    ] {
        match resolve(&reference, &advertised, URL) {
            Ok(found) => {
                let kind = if reference.branch.is_some() { "refs/heads/" } else { "refs/tags/" };
                if reference.commit.is_some() {
                    assert_eq!(found.commit.as_str(), wanted);
                } else {
                    let name = found.name.expect("it has a name");
                    assert!(name.starts_with(kind), "{name}");
                    let known = |known: &Advertised| known.name == name || known.name == format!("{name}^{{}}");
                    assert!(advertised.iter().any(|a| known(a) && a.id == found.commit), "{name} points elsewhere");
                }
            }
            Err(error) => assert_sentence(&error.to_string()),
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let [kind, first, rest] = parts::<3>(data);
    let (class, code) = match kind {
        [class, code, ..] => (usize::from(*class), usize::from(*code)),
        _ => (0, 0),
    };
    references(&String::from_utf8_lossy(first), &String::from_utf8_lossy(rest));

    let secret = BTreeMap::from([
        ("username".to_owned(), b"ann".to_vec()),
        ("password".to_owned(), PASSWORD.as_bytes().to_vec()),
    ]);
    let credential = Credential::from_secret(&secret).expect("a user and a password");
    let asked = Asked { url: URL, host: "git.example.org", auth: credential.auth() };
    let message: String = String::from_utf8_lossy(first).replace('\0', "");
    let error = git2::Error::new(CODES[code % CODES.len()], CLASSES[class % CLASSES.len()], &message);
    let said = explain(&asked, &error, rest, Timestamp::UNIX_EPOCH).to_string();
    assert_sentence(&said);
    assert!(!said.contains(PASSWORD) && !said.contains("YW5uOmtwelczdlRm"), "{said}");
    if retry_after(rest, Timestamp::UNIX_EPOCH).is_some() {
        assert!(
            rest.starts_with(b"HTTP/1.") || rest.starts_with(b"\r\n") || rest.starts_with(b"\n"),
            "from what is no HTTP"
        );
    }
});
