//! Files of a commit → objects, their namespaces and their hash.
#![no_main]

use drover_core::render::{
    Limits, MAX_ERRORS, Object, SourceFile, Variables, applied_hash, render, render_with, scope,
};
use drover_fuzz::assert_sentence;
use libfuzzer_sys::fuzz_target;

fn limits() -> Limits {
    Limits { documents: 200, alias_bytes: 64 << 10, ..Limits::default() }
}

fn file(path: &str, bytes: &[u8]) -> SourceFile {
    SourceFile { path: path.to_owned(), bytes: bytes.to_vec() }
}

/// Bytes of text in a value: what aliases may multiply.
fn weight(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::String(text) => text.len(),
        serde_json::Value::Array(items) => items.iter().map(weight).sum(),
        serde_json::Value::Object(entries) => entries.iter().map(|(key, value)| key.len() + weight(value)).sum(),
        _ => 0,
    }
}

/// What was read, written as JSON, must be read as the same again.
fn reads_back(object: &Object) {
    let json = serde_json::to_vec(object.json()).expect("an object is JSON");
    let again = match render(&[file("again.json", &json)], &limits()) {
        Ok(objects) => objects,
        Err(errors) => panic!("the object's own JSON is refused: {}\n{}", errors[0], String::from_utf8_lossy(&json)),
    };
    assert_eq!(again.len(), 1);
    assert_eq!(again[0].json(), object.json());
    assert_eq!(applied_hash(&[7; 32], &again[0]), applied_hash(&[7; 32], object));
}

fuzz_target!(|data: &[u8]| {
    // A form feed, which no manifest has, begins the next file.
    let files: Vec<SourceFile> = data
        .split(|byte| *byte == 0x0c)
        .take(3)
        .enumerate()
        .map(|(n, bytes)| file(&format!("f{n}.yaml"), bytes))
        .collect();
    // With variables, whatever their values, there are as many objects as without, or a sentence.
    let variables = Variables::new([("A", "x: y\n- *z"), ("N", "6")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    match (render(&files, &limits()), render_with(&files, &limits(), Some(&variables), None)) {
        (Ok(plain), Ok(filled)) => assert_eq!(plain.len(), filled.len()),
        (_, Err(errors)) => assert_sentence(&errors[0].to_string()),
        (Err(_), Ok(_)) => {}
    }
    match render(&files, &limits()) {
        Ok(mut objects) => {
            assert!(objects.len() <= limits().documents);
            let text: usize = objects.iter().map(|object| object.json().values().map(weight).sum::<usize>()).sum();
            // Items of a list get its kind and version, and binary is text with replacements: some bytes for each.
            assert!(text <= 4 * data.len() + limits().alias_bytes + 400 * objects.len(), "{text} from {}", data.len());
            objects.iter().for_each(reads_back);
            let scoped = scope(&mut objects, |group, kind| (kind != "Unknown").then_some(group != "cluster"), "own");
            for object in objects.iter().filter(|_| scoped.is_ok()) {
                assert_eq!(object.namespace().is_none(), object.group() == "cluster");
            }
            for error in scoped.err().into_iter().flatten() {
                assert_sentence(&error.to_string());
            }
        }
        Err(errors) => {
            assert!(!errors.is_empty() && errors.len() <= MAX_ERRORS);
            for error in errors {
                let said = error.to_string();
                assert_sentence(&said);
                assert!(said.starts_with(&format!("{}:{}: ", error.origin.file, error.origin.line)), "{said}");
                let in_file = files.iter().find(|file| file.path == error.origin.file).expect("a file of the commit");
                let lines = String::from_utf8_lossy(&in_file.bytes).replace("\r\n", "\n").split(['\n', '\r']).count();
                assert!((1..=lines).contains(&error.origin.line), "{said}, of {lines} lines");
            }
        }
    }
});
