//! Addresses of repositories, as tenants write them.
#![no_main]

use drover::git::webhook::webhook_id;
use drover::git::{Address, Scheme};
use drover_fuzz::assert_sentence;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    for allow_http in [false, true] {
        match Address::parse(text, allow_http) {
            Ok(address) => {
                let written = address.to_string();
                let scp = !written.contains("://");
                let login = written.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
                let no_user = login.is_some_and(|login| !login.contains('@'));
                match address.scheme() {
                    Scheme::Https => assert!(written.starts_with("https://") && no_user),
                    Scheme::Http => assert!(allow_http && written.starts_with("http://") && no_user),
                    Scheme::Ssh => assert!(written.starts_with("ssh://") || scp && written.contains('@')),
                }
                // These become arguments, names of files and fields of lines.
                assert!(!address.host().is_empty() && !address.user().is_empty());
                for part in [address.host(), address.user()] {
                    assert!(!part.starts_with('-') && !part.contains(['/', '@', '\\', ' ']), "{part:?}");
                }
                assert!(!written.chars().any(|c| c.is_control() || c.is_whitespace()), "{written:?}");
                let again = Address::parse(&written, allow_http).expect("its own text is an address");
                assert_eq!((&again, again.to_string()), (&address, written.clone()));
                assert_eq!(webhook_id(&written), webhook_id(text));
            }
            Err(error) => {
                let said = error.to_string();
                assert_sentence(&said);
                // What stands between a colon and an @ may be a password.
                let secret =
                    text.rsplit_once('@').and_then(|(login, _)| login.rsplit_once(':')).map(|(_, secret)| secret);
                if let Some(secret) = secret.filter(|secret| secret.starts_with("hunter2")) {
                    let once = text.matches(secret).count() == 1;
                    assert!(!once || !said.contains(secret), "{said}");
                }
            }
        }
    }
});
