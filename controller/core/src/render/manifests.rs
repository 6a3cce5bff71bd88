//! The files of a commit → its objects.

use std::collections::HashMap;

use drover_crds::ANNOTATION_RESTORE;
use serde_json::{Map, Value};

use super::document::{Budget, Document, documents};
use super::error::{Problem, RenderError};
use super::generated::ungenerable;
use super::left::leave_to_others;
use super::limits::{Limits, MAX_ERRORS};
use super::own::misfits;
use super::secret::text_becomes_data;
use super::sops::{Opened, is_sealed, left_encrypted};
use super::substitute::Variables;
use super::{Object, ObjectKey, Origin, SourceFile};

/// RFC 1123 and 1035: a kind is a label, a group a name of DNS, and a version a label.
const LONGEST_KIND: usize = 63;
const LONGEST_API_VERSION: usize = 253 + 1 + 63;

/// Whether drover reads a file as manifests. `path` is relative to the folder that the Environment follows: YAML and JSON
/// files, except hidden ones and those in hidden folders (`.github/…`, `.sops.yaml`).
pub fn is_manifest(path: &str) -> bool {
    let hidden = path.split('/').any(|part| part.starts_with('.'));
    let extension = path.rsplit('/').next().and_then(|name| name.rsplit_once('.')).map(|(_, extension)| extension);
    !hidden && matches!(extension, Some("yaml" | "yml" | "json"))
}

/// Reads every document of every file, as kubectl does, into objects, in the order of files and documents, without what their APIs
/// give to others. Everything that
/// is wrong in any file is collected, up to [`MAX_ERRORS`]; with one error nothing is rendered.
pub fn render(files: &[SourceFile], limits: &Limits) -> Result<Vec<Object>, Vec<RenderError>> {
    render_with(files, limits, None, None)
}

/// The same, with these variables filled in, and with the values of encrypted files as they were decrypted. `None` leaves `${…}` as it
/// is, and refuses encrypted files.
pub fn render_with(
    files: &[SourceFile],
    limits: &Limits,
    variables: Option<&Variables>,
    opened: Option<&Opened>,
) -> Result<Vec<Object>, Vec<RenderError>> {
    let mut objects = Vec::new();
    let mut errors = Vec::new();
    let mut budget = Budget::new(limits);
    'files: for file in files {
        let (found, mut wrong) = documents(&file.path, &file.bytes, limits, &mut budget, variables);
        let enough = wrong.len() + MAX_ERRORS;
        let mut plain = opened.and_then(|opened| opened.of(&file.path));
        for mut document in found {
            if let Some(plain) = &mut plain {
                let Some(value) = Opened::reveal(document.value, plain) else { continue };
                document.value = value;
            }
            for (line, item) in flatten(document) {
                match object(&file.path, line, item, opened.is_some()) {
                    Ok(object) => {
                        let misfits = misfits(&object).into_iter().take(enough.saturating_sub(wrong.len()));
                        wrong.extend(misfits.map(|problem| RenderError::new(&file.path, line, problem)));
                        objects.push(object);
                    }
                    Err(problem) if wrong.len() < enough => wrong.push(RenderError::new(&file.path, line, problem)),
                    Err(_) => {}
                }
                if objects.len() > limits.documents {
                    let problem = Problem::TooManyDocuments { limit: limits.documents };
                    errors.push(RenderError::new(&file.path, line, problem));
                    break 'files;
                }
            }
        }
        wrong.sort_by_key(|error| error.origin.line);
        errors.append(&mut wrong);
        if errors.len() >= MAX_ERRORS {
            break;
        }
    }
    errors.extend(twice(&objects));
    errors.truncate(MAX_ERRORS);
    if errors.is_empty() { Ok(objects) } else { Err(errors) }
}

/// An error for each object that is defined a second time, naming both places.
pub(super) fn twice(objects: &[Object]) -> Vec<RenderError> {
    let mut places: HashMap<ObjectKey, &Object> = HashMap::with_capacity(objects.len());
    let mut errors = Vec::new();
    for object in objects {
        let key = object.key();
        if let Some(first) = places.get(&key) {
            let first = first.origin.clone().unwrap_or_default();
            let origin = object.origin.clone().unwrap_or_default();
            errors.push(RenderError { origin, problem: Problem::Twice { object: Box::new(key), first } });
        } else {
            places.insert(key, object);
        }
    }
    errors
}

/// A document's objects, each with its line: the items of a `List` or `…List`, of lists in it too, or the document itself.
fn flatten(document: Document) -> Vec<(usize, Value)> {
    let Document { value, line, item_lines } = document;
    let items = match into_items(value) {
        Ok(items) => items,
        Err(value) => return vec![(line, value)],
    };
    let mut flat = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let line = item_lines.get(index).copied().unwrap_or(line);
        flat.extend(flatten(Document { value: item, line, item_lines: Vec::new() }));
    }
    flat
}

/// The items of a list of objects, with the kind and version that a typed list leaves out of its items.
fn into_items(value: Value) -> Result<Vec<Value>, Value> {
    let text = |field: &str| value.get(field).and_then(Value::as_str);
    let Some(item_kind) = text("kind").and_then(|kind| kind.strip_suffix("List")).map(str::to_owned) else {
        return Err(value);
    };
    let api_version = text("apiVersion").unwrap_or_default().to_owned();
    // Each item gets both: longer than any name of Kubernetes they would be a bomb.
    if item_kind.len() > LONGEST_KIND || api_version.len() > LONGEST_API_VERSION {
        return Err(value);
    }
    // A kind that only ends like one has a name, and no list has.
    if value.get("metadata").and_then(|metadata| metadata.get("name")).is_some() {
        return Err(value);
    }
    let Value::Object(mut list) = value else { return Err(value) };
    let items = match list.remove("items") {
        Some(Value::Array(items)) => items,
        Some(Value::Null) | None if item_kind.is_empty() => Vec::new(),
        Some(other) => {
            list.insert("items".into(), other);
            return Err(Value::Object(list));
        }
        None => return Err(Value::Object(list)),
    };
    let complete = |item: Value| match item {
        Value::Object(mut item) if !item_kind.is_empty() => {
            item.entry("apiVersion").or_insert_with(|| api_version.clone().into());
            item.entry("kind").or_insert_with(|| item_kind.clone().into());
            Value::Object(item)
        }
        item => item,
    };
    Ok(items.into_iter().map(complete).collect())
}

/// `decrypts` says whether a file that is encrypted as a whole was decrypted.
fn object(file: &str, line: usize, value: Value, decrypts: bool) -> Result<Object, Problem> {
    let fields = value.as_object();
    let text = |field: &str| fields.and_then(|f| f.get(field)).and_then(Value::as_str).unwrap_or_default();
    let metadata = fields.and_then(|f| f.get("metadata")).and_then(Value::as_object);
    // kustomize takes a file of that name without apiVersion, too.
    let file_name = file.rsplit('/').next().unwrap_or_default();
    if text("apiVersion").starts_with("kustomize.config.k8s.io/") || file_name.starts_with("kustomization.") {
        return Err(Problem::Kustomization);
    }
    if matches!(file_name, "Chart.yaml" | "Chart.yml") && text("kind").is_empty() {
        return Err(Problem::Chart);
    }
    if !decrypts && fields.is_some_and(is_sealed) {
        return Err(Problem::Encrypted);
    }
    if let Some(metadata) = metadata
        && metadata.contains_key("generateName")
        && !metadata.contains_key("name")
        && !text("kind").is_empty()
    {
        return Err(Problem::GenerateName { kind: text("kind").to_owned() });
    }
    let mut object = Object::new(value, Some(Origin { file: file.to_owned(), line }))?;
    if let Some((map, key, found)) = object.json().get("metadata").and_then(Value::as_object).and_then(not_text) {
        return Err(Problem::NotText { map, key, object: Box::new(object.key()), found });
    }
    // Before a Secret's text becomes Base64.
    if let Some(field) = left_encrypted(&object) {
        return Err(Problem::LeftEncrypted { field, object: Box::new(object.key()) });
    }
    leave_to_others(&mut object);
    if let Err((key, found)) = text_becomes_data(&mut object) {
        return Err(Problem::NotText { map: "stringData", key, object: Box::new(object.key()), found });
    }
    match ungenerable(&object).or_else(|| of_a_person(&object)) {
        Some(problem) => Err(problem),
        None => Ok(object),
    }
}

/// What a person alone may ask for: git would ask for it again and again.
fn of_a_person(object: &Object) -> Option<Problem> {
    object.annotation(ANNOTATION_RESTORE).map(|_| Problem::OfAPerson {
        object: Box::new(object.key()),
        annotation: ANNOTATION_RESTORE,
        command: "drover restore",
    })
}

/// The first label or annotation whose value is not text, and what it is.
fn not_text(metadata: &Map<String, Value>) -> Option<(&'static str, String, &'static str)> {
    for (map, path) in [("labels", "metadata.labels"), ("annotations", "metadata.annotations")] {
        for (key, value) in metadata.get(map).and_then(Value::as_object).into_iter().flatten() {
            let found = match value {
                Value::String(_) => continue,
                Value::Null => "empty",
                Value::Bool(_) => "a boolean",
                Value::Number(_) => "a number",
                Value::Array(_) => "a list",
                Value::Object(_) => "a mapping",
            };
            return Some((path, key.clone(), found));
        }
    }
    None
}
