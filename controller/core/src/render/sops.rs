//! Files that SOPS encrypted: who can decrypt them, what was encrypted in them, and what still bears its marks.
//!
//! What is not encrypted of such a file stays as it was written: only in the place of an encrypted value the decrypted one is put in. So
//! lines, and what a plain scalar means, are those of git, and variables are filled in there and never into what was decrypted.

use std::collections::HashMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::document::{Budget, documents};
use super::error::{Problem, RenderError, named, short};
use super::limits::Limits;
use super::{Object, SourceFile};

/// How each encrypted value begins, and the same in Base64, where it ends with a whole group of letters.
const MARK: &str = "ENC[AES256_GCM,";
const MARK_IN_BASE64: &str = "RU5DW0FFUzI1Nl9HQ00s";
/// What stands somewhere in a file that is encrypted, whatever its format.
const MARK_WITHIN: &str = "ENC[AES256_GCM,data:";
/// Where SOPS writes down who can decrypt a document, at its top.
const BLOCK: &str = "sops";
/// The key services of SOPS, as its block and its users call them.
const SERVICES: [(&str, &str); 6] = [
    ("pgp", "PGP"),
    ("kms", "AWS KMS"),
    ("gcp_kms", "GCP KMS"),
    ("azure_kv", "Azure Key Vault"),
    ("hc_vault", "HashiCorp Vault"),
    ("hckms", "Huawei Cloud KMS"),
];

/// A file that age keys alone can decrypt.
#[derive(Clone, Debug, PartialEq)]
pub struct Sealed {
    /// For whom it is encrypted, as age recipients, each once.
    pub recipients: Vec<String>,
    /// Line of its first encrypted document.
    line: usize,
    /// What is encrypted, without the blocks of SOPS.
    documents: Vec<Value>,
}

/// Whether SOPS encrypted `file`, and for whom. What is wrong in a file that it did not encrypt is not told here.
///
/// # Errors
/// All that is wrong in a file that it encrypted: it cannot be read, or another than an age key might be used for it.
pub fn sealed(file: &SourceFile, limits: &Limits) -> Result<Option<Sealed>, Vec<RenderError>> {
    if !file.bytes.windows(BLOCK.len()).any(|window| window == BLOCK.as_bytes()) {
        return Ok(None);
    }
    let (found, mut errors) = documents(&file.path, &file.bytes, limits, &mut Budget::new(limits), None);
    let Some(line) = found.iter().find(|document| block(&document.value).is_some()).map(|document| document.line)
    else {
        return Ok(None);
    };
    let (mut recipients, mut sealed) = (Vec::new(), Vec::new());
    for mut document in found {
        if let Some(block) = block(&document.value)
            && let Err(problem) = age_alone(block, &mut recipients)
        {
            errors.push(RenderError::new(&file.path, document.line, problem));
        }
        if !unwrap(&mut document.value) {
            sealed.push(document.value);
        }
    }
    if errors.is_empty() && recipients.is_empty() {
        let what = "its `sops` block names no age recipient: encrypt it with `sops encrypt --age RECIPIENT`".to_owned();
        errors.push(RenderError::new(&file.path, line, Problem::Undecrypted { what }));
    }
    if errors.is_empty() { Ok(Some(Sealed { recipients, line, documents: sealed })) } else { Err(errors) }
}

/// The block of SOPS at the top of a document.
fn block(document: &Value) -> Option<&Map<String, Value>> {
    block_in(document.as_object()?)
}

fn block_in(entries: &Map<String, Value>) -> Option<&Map<String, Value>> {
    let block = entries.get(BLOCK)?.as_object()?;
    let is_known = |key: &str| SERVICES.iter().any(|(service, _)| *service == key);
    let is_of_sops =
        |key: &String| is_known(key) || matches!(key.as_str(), "mac" | "lastmodified" | "age" | "key_groups");
    block.keys().any(is_of_sops).then_some(block)
}

/// Takes the block out; whether nothing else was there.
fn unwrap(document: &mut Value) -> bool {
    let Value::Object(entries) = document else { return document.is_null() };
    entries.remove(BLOCK);
    entries.is_empty()
}

/// Adds the recipients of a block in which nothing but age keys is named. What is no single value names keys of some service, also of one
/// that is not known here.
fn age_alone(block: &Map<String, Value>, recipients: &mut Vec<String>) -> Result<(), Problem> {
    for (key, value) in block {
        let entries = match value {
            Value::Array(entries) => entries.as_slice(),
            Value::Object(_) => std::slice::from_ref(value),
            _ => continue,
        };
        for entry in entries {
            match (key.as_str(), entry) {
                ("age", entry) => {
                    let recipient = entry.get("recipient").and_then(Value::as_str).unwrap_or("nobody");
                    if !recipients.iter().any(|known| known == recipient) {
                        recipients.push(recipient.to_owned());
                    }
                }
                ("key_groups", Value::Object(group)) => age_alone(group, recipients)?,
                _ => {
                    let known = SERVICES.iter().find(|(service, _)| service == key);
                    let service = known.map_or_else(|| short(key), |(_, name)| (*name).to_owned());
                    return Err(Problem::ForeignKeys { service });
                }
            }
        }
    }
    Ok(())
}

impl Sealed {
    /// Why SOPS did not decrypt the file at `path`, from the code with which it ended.
    pub fn unopened(&self, path: &str, code: i32) -> RenderError {
        let what = match code {
            128 => {
                let recipients: Vec<String> = self.recipients.iter().map(|recipient| short(recipient)).collect();
                format!(
                    "none of the age keys that drover has fits it, and it is encrypted for {}: put the key of one of these into the Secret that spec.decryption.secretRef names, or encrypt the file for a key that is there with `sops updatekeys`",
                    named(recipients.iter().map(String::as_str))
                )
            }
            51 => "somebody changed it after it was encrypted, if only the order of its keys, and its MAC tells: undo that and change it with `sops edit`, or write `mac_only_encrypted: true` into .sops.yaml and encrypt it anew, so that what is not encrypted may be changed".to_owned(),
            52 => "its `sops` block has no MAC, by which one knows that nobody changed it: encrypt it anew".to_owned(),
            24 | 25 => "a value in it is not what SOPS wrote, such as one that was put in by hand among the encrypted ones: undo that, and change it with `sops edit`".to_owned(),
            code => format!(
                "SOPS cannot read it (it ended with code {code}): try `sops decrypt` where the key is, and encrypt the file anew"
            ),
        };
        self.wrong(path, what)
    }

    /// That what SOPS needs for the file at `path` is more than it may use.
    pub fn excessive(&self, path: &str) -> RenderError {
        let what = "SOPS needs more memory or processor time for it than one file may use: split it".to_owned();
        self.wrong(path, what)
    }

    fn wrong(&self, path: &str, what: String) -> RenderError {
        RenderError::new(path, self.line, Problem::Undecrypted { what })
    }
}

/// What was decrypted of a commit. It cannot be printed.
#[derive(Default)]
pub struct Opened {
    files: HashMap<String, Vec<Value>>,
    secrets: Vec<String>,
}

impl Opened {
    /// Adds a file; `text` is the whole of it, as SOPS decrypted it.
    ///
    /// # Errors
    /// The text has not the shape of the file. Nothing of it is in the sentence.
    pub fn add(&mut self, path: &str, sealed: &Sealed, text: &[u8], limits: &Limits) -> Result<(), RenderError> {
        let (mut plain, errors) = documents(path, text, limits, &mut Budget::new(limits), None);
        if !errors.is_empty() {
            return Err(
                sealed.wrong(path, "what was decrypted is no YAML that drover reads: encrypt it anew".to_owned())
            );
        }
        plain.retain_mut(|document| !unwrap(&mut document.value));
        let plain: Vec<Value> = plain.into_iter().map(|document| document.value).collect();
        let fits = plain.len() == sealed.documents.len()
            && sealed.documents.iter().zip(&plain).all(|(written, plain)| {
                revealed(written.clone(), plain).is_some_and(|_| {
                    note(written, plain, &mut self.secrets);
                    true
                })
            });
        if !fits {
            let what = "what was decrypted has another shape than the file: encrypt it anew".to_owned();
            return Err(sealed.wrong(path, what));
        }
        self.files.insert(path.to_owned(), plain);
        Ok(())
    }

    /// All values that were encrypted, which no sentence may hold.
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }

    /// The decrypted documents of a file that was encrypted, for [`Self::reveal`].
    pub(super) fn of(&self, path: &str) -> Option<std::slice::Iter<'_, Value>> {
        self.files.get(path).map(|documents| documents.iter())
    }

    /// Puts the decrypted values into a document of such a file; `None` for one in which is nothing.
    pub(super) fn reveal(mut written: Value, plain: &mut std::slice::Iter<'_, Value>) -> Option<Value> {
        if unwrap(&mut written) {
            return None;
        }
        // It fitted when it was added, and variables change no shape.
        revealed(written, plain.next()?)
    }
}

/// `written` with the decrypted values in the places of the encrypted ones; `None` where the two have not one shape.
fn revealed(written: Value, plain: &Value) -> Option<Value> {
    match (written, plain) {
        (Value::String(text), plain) if text.starts_with(MARK) => is_of_its_type(&text, plain).then(|| plain.clone()),
        (written, _) if !has_mark(&written) => Some(written),
        (Value::Object(entries), Value::Object(plain)) => {
            let revealed = entries.into_iter().map(|(key, value)| {
                // A key that is not encrypted may come back in another spelling.
                let value = if has_mark(&value) { revealed(value, plain.get(&key)?)? } else { value };
                Some((key, value))
            });
            revealed.collect::<Option<_>>().map(Value::Object)
        }
        (Value::Array(items), Value::Array(plain)) if items.len() == plain.len() => {
            let revealed = items.into_iter().zip(plain).map(|(item, plain)| revealed(item, plain));
            revealed.collect::<Option<_>>().map(Value::Array)
        }
        _ => None,
    }
}

/// Whether a decrypted value is what its encrypted form says that it is: no text becomes a number on its way.
fn is_of_its_type(encrypted: &str, plain: &Value) -> bool {
    match encrypted.strip_suffix(']').and_then(|text| text.rsplit_once("type:")).map(|(_, kind)| kind) {
        Some("str") => plain.is_string(),
        Some("int" | "float") => plain.is_number(),
        Some("bool") => plain.is_boolean(),
        _ => !plain.is_array() && !plain.is_object(),
    }
}

fn has_mark(value: &Value) -> bool {
    match value {
        Value::String(text) => text.starts_with(MARK),
        Value::Array(items) => items.iter().any(has_mark),
        Value::Object(entries) => entries.values().any(has_mark),
        _ => false,
    }
}

/// Notes the values that were encrypted, and what they are the Base64 of.
fn note(written: &Value, plain: &Value, secrets: &mut Vec<String>) {
    match (written, plain) {
        (Value::String(_), Value::String(plain)) if has_mark(written) => {
            secrets.extend(STANDARD.decode(plain).ok().and_then(|bytes| String::from_utf8(bytes).ok()));
            secrets.push(plain.clone());
        }
        (Value::String(_), Value::Number(plain)) if has_mark(written) => secrets.push(plain.to_string()),
        (Value::Object(entries), Value::Object(plain)) => {
            let pairs = entries.iter().filter_map(|(key, value)| Some((value, plain.get(key)?)));
            pairs.for_each(|(written, plain)| note(written, plain, secrets));
        }
        (Value::Array(items), Value::Array(plain)) => {
            items.iter().zip(plain).for_each(|(written, plain)| note(written, plain, secrets));
        }
        _ => {}
    }
}

/// Whether SOPS encrypted the document of these entries.
pub(super) fn is_sealed(document: &Map<String, Value>) -> bool {
    block_in(document).is_some()
}

/// The path of a field that still is what SOPS encrypted, or its block. In a Secret that is also a file that it encrypted, of whatever format.
pub(super) fn left_encrypted(object: &Object) -> Option<String> {
    let is_secret = (object.api_version(), object.kind()) == ("v1", "Secret");
    let is_left = |field: &str, text: &str| {
        let within = |bytes: &[u8]| bytes.windows(MARK_WITHIN.len()).any(|part| part == MARK_WITHIN.as_bytes());
        text.starts_with(MARK)
            || text.starts_with(MARK_IN_BASE64)
            || is_secret && field == "stringData" && within(text.as_bytes())
            || is_secret && field == "data" && STANDARD.decode(text.trim()).is_ok_and(|bytes| within(&bytes))
    };
    if is_sealed(object.json()) {
        return Some(BLOCK.to_owned());
    }
    object.json().iter().find_map(|(field, value)| {
        let below = first(value, &|text| is_left(field, text))?;
        Some(format!("{field}{below}"))
    })
}

/// The path, from `value` on, of the first text of which that is true.
fn first(value: &Value, is_it: &dyn Fn(&str) -> bool) -> Option<String> {
    match value {
        Value::String(text) => is_it(text).then(String::new),
        Value::Array(items) => {
            let found = items.iter().enumerate().find_map(|(index, item)| Some((index, first(item, is_it)?)));
            found.map(|(index, below)| format!("[{index}]{below}"))
        }
        Value::Object(entries) => {
            let found = entries.iter().find_map(|(key, value)| Some((key, first(value, is_it)?)));
            found.map(|(key, below)| format!(".{key}{below}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
