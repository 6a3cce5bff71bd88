//! An encrypted file, and what SOPS answers: who may decrypt it, and what is put in where.
#![no_main]

use drover_core::render::{Limits, Opened, SourceFile, render_with, sealed};
use drover_fuzz::assert_sentence;
use libfuzzer_sys::fuzz_target;

/// The names by which a block names keys of others than age.
const OTHERS: [&str; 6] = ["pgp", "kms", "gcp_kms", "azure_kv", "hc_vault", "hckms"];

fn limits() -> Limits {
    Limits { documents: 200, alias_bytes: 64 << 10, ..Limits::default() }
}

fuzz_target!(|data: &[u8]| {
    // A form feed, which no manifest has, begins the answer.
    let mut parts = data.splitn(2, |byte| *byte == 0x0c);
    let bytes = parts.next().unwrap_or_default();
    let answer = parts.next().unwrap_or_default();
    let files = [SourceFile { path: "a.yaml".to_owned(), bytes: bytes.to_vec() }];
    let sealed = match sealed(&files[0], &limits()) {
        Ok(Some(sealed)) => sealed,
        Ok(None) => return,
        Err(errors) => return errors.iter().for_each(|error| assert_sentence(&error.to_string())),
    };
    assert!(!sealed.recipients.is_empty());
    // As another reader sees it: nothing but age is named.
    if let Ok(value) = serde_json::from_slice::<serde_json::Value>(bytes) {
        for other in OTHERS {
            let named = value.get("sops").and_then(|block| block.get(other)).and_then(|keys| keys.as_array());
            assert!(named.is_none_or(Vec::is_empty), "{other} is let through");
        }
    }
    for code in [1, 2, 25, 51, 52, 128] {
        assert_sentence(&sealed.unopened("a.yaml", code).to_string());
    }
    let mut opened = Opened::default();
    if let Err(error) = opened.add("a.yaml", &sealed, answer, &limits()) {
        return assert_sentence(&error.to_string());
    }
    for object in render_with(&files, &limits(), None, Some(&opened)).into_iter().flatten() {
        let json = serde_json::Value::Object(object.json().clone());
        assert!(!has_mark(&json), "ciphertext would be applied: {json}");
        assert!(object.json().get("sops").and_then(|block| block.get("mac")).is_none());
    }
});

fn has_mark(value: &serde_json::Value) -> bool {
    match value {
        serde_json::Value::String(text) => text.starts_with("ENC[AES256_GCM,"),
        serde_json::Value::Array(items) => items.iter().any(has_mark),
        serde_json::Value::Object(entries) => entries.values().any(has_mark),
        _ => false,
    }
}
