//! Image references of a spec, and the Secrets with which registries are asked.
#![no_main]

use std::collections::BTreeMap;

use drover::registry::{Credentials, has_digest, parse, pinned};
use drover_fuzz::{assert_sentence, texts};
use k8s_openapi::ByteString;
use libfuzzer_sys::fuzz_target;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fuzz_target!(|text: &str| {
    let [image, registry, config] = texts::<3>(text);
    match parse(image) {
        Ok(reference) => {
            let address = format!("https://{}/v2/{}/manifests/x", reference.resolve_registry(), reference.repository());
            let url: http::Uri = address.parse().expect("a reference is part of an address");
            assert_eq!(url.authority().map(|a| a.as_str()), Some(reference.resolve_registry()), "{image}");
            assert_eq!(url.query(), None);
            assert!(!url.path().contains("/../") && !address.contains(['@', '#']), "{address}");
            let pinned = pinned(image, DIGEST);
            assert!(has_digest(&pinned), "{pinned}");
            let again = parse(&pinned).expect("with a digest it is one still");
            assert_eq!(again.digest(), Some(DIGEST));
            assert_eq!(
                (again.resolve_registry(), again.repository()),
                (reference.resolve_registry(), reference.repository())
            );
        }
        Err(error) => assert_sentence(&error.to_string()),
    }
    let mut credentials = Credentials::default();
    for (secret, key) in [("first", ".dockerconfigjson"), ("second", ".dockercfg")] {
        let data = BTreeMap::from([(key.to_owned(), ByteString(config.as_bytes().to_vec()))]);
        credentials.add(secret, &data);
    }
    if let Some(login) = credentials.login(registry, "team/app") {
        assert!(["first", "second"].contains(&login.secret.as_str()));
        let shown = format!("{credentials:?}");
        assert!(
            login.password.len() < 6
                || config.matches(&login.password).count() != 1
                || !shown.contains(&login.password),
            "{shown}"
        );
    }
});
