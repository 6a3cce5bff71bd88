//! drover's own kinds, checked against the schemas that the API server has for them, so that a commit that it would refuse in part is
//! refused whole, with file and line. Rules in CEL stay with the API server.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use drover_crds::GROUP;
use regex::Regex;
use serde_json::{Map, Value};

use super::Object;
use super::error::{Problem, short};

/// The schema of a kind by apiVersion and kind.
static SCHEMAS: LazyLock<BTreeMap<(String, String), Value>> = LazyLock::new(|| {
    let definitions = drover_crds::all();
    let versions = definitions.iter().flat_map(|definition| {
        definition.spec.versions.iter().map(|version| (definition.spec.names.kind.clone(), version))
    });
    let schemas = versions.filter_map(|(kind, version)| {
        let schema = version.schema.as_ref()?.open_api_v3_schema.as_ref()?;
        let schema = serde_json::to_value(schema).ok()?;
        Some(((format!("{GROUP}/{}", version.name), kind), schema["properties"]["spec"].clone()))
    });
    schemas.collect()
});

/// What is wrong with the spec of an object of drover's own; nothing with any other object, and with kinds and versions that this
/// drover does not know.
pub(super) fn misfits(object: &Object) -> Vec<Problem> {
    if object.group() != GROUP {
        return Vec::new();
    }
    let Some(schema) = SCHEMAS.get(&(object.api_version().to_owned(), object.kind().to_owned())) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    match object.json().get("spec") {
        Some(spec) => check(schema, spec, "spec", &mut found),
        None => found.push(("spec".to_owned(), "is missing: write it".to_owned())),
    }
    let problem = |(field, what)| Problem::Misfit { object: Box::new(object.key()), field, what };
    found.into_iter().map(problem).collect()
}

type Found = Vec<(String, String)>;

fn check(schema: &Value, value: &Value, path: &str, found: &mut Found) {
    let mut say = |what: String| found.push((path.to_owned(), what));
    let wanted = match schema["type"].as_str() {
        // The API server drops a null where none is meant.
        _ if value.is_null() => return,
        None if schema["x-kubernetes-int-or-string"] == true => {
            if !(value.is_string() || value.is_i64() || value.is_u64()) {
                return say(format!("is {}, and must be a whole number or text", called(value)));
            }
            "int-or-string"
        }
        None => return,
        Some(wanted) => wanted,
    };
    let fits = match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "number" => value.is_number(),
        _ => true,
    };
    if !fits {
        let wanted = match wanted {
            "object" => "a mapping",
            "array" => "a list",
            "string" => "text: put the value in quotes",
            "boolean" => "true or false",
            "integer" => "a whole number",
            _ => "a number",
        };
        return say(format!("is {}, and must be {wanted}", called(value)));
    }
    if let Some(choices) = schema["enum"].as_array()
        && !choices.contains(value)
    {
        let choices: Vec<&str> = choices.iter().filter_map(Value::as_str).collect();
        return say(format!("is {}, and must be one of {}", shown(value), choices.join(", ")));
    }
    match value {
        Value::Object(fields) => mapping(schema, fields, path, found),
        Value::Array(items) => {
            if let Some(bound) = bound(schema, "Items", items.len()) {
                say(format!("has {} items, and must have {bound}", items.len()));
            }
            for (index, item) in items.iter().enumerate() {
                check(&schema["items"], item, &format!("{path}[{index}]"), found);
            }
        }
        Value::String(text) => {
            let length = text.chars().count();
            if let Some(bound) = bound(schema, "Length", length) {
                say(format!("has {length} characters, and must have {bound}"));
            } else if let Some(pattern) = schema["pattern"].as_str()
                && Regex::new(pattern).is_ok_and(|pattern| !pattern.is_match(text))
            {
                say(format!("is {}, and must match {pattern}", shown(value)));
            }
        }
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            if let Some(least) = schema["minimum"].as_f64().filter(|least| number < *least) {
                say(format!("is {}, and must be at least {least}", shown(value)));
            } else if let Some(most) = schema["maximum"].as_f64().filter(|most| number > *most) {
                say(format!("is {}, and must be at most {most}", shown(value)));
            }
        }
        Value::Null | Value::Bool(_) => {}
    }
}

fn mapping(schema: &Value, fields: &Map<String, Value>, path: &str, found: &mut Found) {
    if let Some(bound) = bound(schema, "Properties", fields.len()) {
        found.push((path.to_owned(), format!("has {} fields, and must have {bound}", fields.len())));
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if fields.get(name).is_none_or(Value::is_null) {
            found.push((format!("{path}.{name}"), "is missing: write it".to_owned()));
        }
    }
    let free = schema["x-kubernetes-preserve-unknown-fields"] == true || schema["additionalProperties"] == true;
    for (name, value) in fields {
        let below = format!("{path}.{}", short(name));
        match (schema["properties"].get(name), &schema["additionalProperties"]) {
            (Some(schema), _) | (None, schema @ Value::Object(_)) => check(schema, value, &below, found),
            (None, _) if free => {}
            (None, _) => found.push((below, "is not known to this drover: correct its name, or remove it".to_owned())),
        }
    }
}

/// How many there must be, where `count` are too few or too many. `what` is the end of the schema's `minItems` and the like.
fn bound(schema: &Value, what: &str, count: usize) -> Option<String> {
    let limit = |end: &str| schema[format!("{end}{what}")].as_u64();
    let count = count as u64;
    match (limit("min"), limit("max")) {
        (Some(least), _) if count < least => Some(format!("at least {least}")),
        (_, Some(most)) if count > most => Some(format!("at most {most}")),
        _ => None,
    }
}

fn called(value: &Value) -> &'static str {
    match value {
        Value::Null => "empty",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

fn shown(value: &Value) -> String {
    format!("`{}`", short(value.as_str().map_or_else(|| value.to_string(), str::to_owned).as_str()))
}
