//! What registries and their token services answer.
#![no_main]

use drover::registry::challenge::{Challenge, challenges, retry_after, token, token_address};
use drover::registry::manifest::{Manifest, configuration, platform, read};
use drover_fuzz::{assert_sentence, texts};
use libfuzzer_sys::fuzz_target;

fn assert_digest(digest: &str) {
    let plain = digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b':');
    assert!(plain && digest.len() <= 200, "it becomes part of an address: {digest:?}");
}

fuzz_target!(|data: &[u8]| {
    match read(data) {
        Ok(Manifest::Image { config }) => assert_digest(&config),
        Ok(Manifest::Index(entries)) => {
            entries.iter().for_each(|entry| assert_digest(&entry.digest));
            if let Some(chosen) = platform(&entries, "amd64") {
                assert!(entries.iter().any(|entry| entry.digest == chosen));
            }
        }
        Err(why) => assert_sentence(&why),
    }
    match configuration(data) {
        Ok(said) => {
            assert!(said.user.is_none_or(|user| !user.is_empty() && user.len() <= data.len()));
            let plain = |revision: &str| revision.len() <= 128 && !revision.contains(['$', ' ']);
            assert!(said.origin.is_none_or(|origin| plain(&origin.revision)));
        }
        Err(why) => assert_sentence(&why),
    }
    if let Some(token) = token(data) {
        assert!(token.len() <= data.len());
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    let [first, second, repository] = texts::<3>(text);
    for challenge in challenges([first, second]) {
        if let Challenge::Bearer { realm: Some(realm), service } = challenge
            && realm.has_host()
        {
            let address = token_address(realm.clone(), service.as_deref(), repository);
            assert_eq!(
                (address.scheme(), address.host(), address.port(), address.path()),
                (realm.scheme(), realm.host(), realm.port(), realm.path()),
                "what is asked for changes nothing about who is asked"
            );
            let scope = format!("repository:{repository}:pull");
            let last = address.query_pairs().last().expect("a scope");
            assert_eq!((last.0.as_ref(), last.1.as_ref()), ("scope", scope.as_str()));
        }
    }
    assert!(retry_after(first).is_none_or(|wait| wait.as_secs() <= 3600));
});
