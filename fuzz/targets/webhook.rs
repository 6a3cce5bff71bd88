//! A webhook as a stranger may send it: the proofs in its headers, and what its payload hints at.
#![no_main]

use drover::git::webhook::{Hint, verifies, webhook_id};
use drover_crds::Reference;
use drover_fuzz::parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

const HEADERS: [&str; 6] = [
    "x-hub-signature-256",
    "x-drover-signature",
    "x-gitea-signature",
    "x-forgejo-signature",
    "x-gitlab-token",
    "authorization",
];
/// Not in any seed, and too long to be found.
const TOKEN: &[u8] = b"wpN6m1c0rQyVq8m3uJd2";

fuzz_target!(|data: &[u8]| {
    let [kind, value, reference, body] = parts::<4>(data);
    let name = HEADERS[usize::from(kind.first().copied().unwrap_or_default()) % HEADERS.len()];
    if let Ok(value) = HeaderValue::from_bytes(value) {
        let mut headers = HeaderMap::new();
        headers.append(HeaderName::from_static(name), value);
        assert!(!verifies(&headers, body, TOKEN), "a proof without the token");
        assert!(!verifies(&headers, body, b""), "an empty token proves nothing");
        // Whatever else is sent, the right token is one.
        headers.insert("x-gitlab-token", HeaderValue::from_bytes(TOKEN).expect("plain text"));
        assert!(verifies(&headers, body, TOKEN));
    }
    let hint = Hint::read(body);
    let text = String::from_utf8_lossy(reference).into_owned();
    let branch = Reference { branch: Some(text.clone()), ..Reference::default() };
    let tag = Reference { tag: Some(text.clone()), ..Reference::default() };
    let (for_branch, for_tag) = (hint.concerns(&branch, None), hint.concerns(&tag, None));
    if hint == Hint::default() {
        assert!(for_branch && for_tag, "what says nothing concerns everybody");
    }
    // The same push as a form, as GitHub sends it by default.
    if let Ok(json) = std::str::from_utf8(body)
        && serde_json::from_str::<serde_json::Value>(json).is_ok()
    {
        let escaped: String = json.bytes().map(|byte| format!("%{byte:02X}")).collect();
        assert_eq!(Hint::read(format!("payload={escaped}").as_bytes()), hint);
    }
    if let Some(id) = webhook_id(&text) {
        assert!(id.len() == 16 && id.bytes().all(|byte| byte.is_ascii_hexdigit()));
    }
});
