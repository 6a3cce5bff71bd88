//! What a Secret's `stringData` means.
//!
//! For the API server it is another way to write `data`. Server-side apply, though, remembers that its keys were sent as
//! `stringData`, and not that they became keys of `data`: one that leaves git would stay in the Secret, and nobody would see that
//! somebody else changed one. So it becomes `data` here, before anything is planned.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::Object;

/// Moves `stringData` into `data`, where it wins as it does in the API server. `Err` names a value that is no text, and what it is.
/// Other objects, and what the API server will refuse in its own words, stay as they are.
pub(super) fn text_becomes_data(object: &mut Object) -> Result<(), (String, &'static str)> {
    if (object.api_version(), object.kind()) != ("v1", "Secret") {
        return Ok(());
    }
    let json = object.json_mut();
    let nothing = |value: Option<&Value>| value.is_none_or(Value::is_null);
    if nothing(json.get("stringData")) {
        json.remove("stringData");
        return Ok(());
    }
    if nothing(json.get("data")) {
        json.insert("data".to_owned(), Value::Object(Map::new()));
    }
    if !json["stringData"].is_object() || !json["data"].is_object() {
        return Ok(());
    }
    let Some(Value::Object(texts)) = json.remove("stringData") else { return Ok(()) };
    let Some(Value::Object(data)) = json.get_mut("data") else { return Ok(()) };
    for (key, value) in texts {
        let text = match value {
            Value::String(text) => text,
            Value::Null => String::new(),
            Value::Bool(_) => return Err((key, "a boolean")),
            Value::Number(_) => return Err((key, "a number")),
            Value::Array(_) => return Err((key, "a list")),
            Value::Object(_) => return Err((key, "a mapping")),
        };
        data.insert(key, STANDARD.encode(text).into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn secret(mut fields: Value) -> Object {
        fields["apiVersion"] = "v1".into();
        fields["kind"] = "Secret".into();
        fields["metadata"] = json!({"name": "a"});
        Object::new(fields, None).expect("valid")
    }

    fn data(fields: Value) -> Value {
        let mut object = secret(fields);
        text_becomes_data(&mut object).expect("all text");
        assert!(!object.json().contains_key("stringData"));
        object.json().get("data").cloned().unwrap_or_default()
    }

    #[test]
    fn text_becomes_data_and_wins_as_in_the_api_server() {
        assert_eq!(data(json!({"stringData": {"a": "hunter2"}})), json!({"a": "aHVudGVyMg=="}));
        assert_eq!(
            data(json!({"data": {"a": "b2xk", "b": "a2VwdA=="}, "stringData": {"a": "new", "c": ""}})),
            json!({"a": "bmV3", "b": "a2VwdA==", "c": ""})
        );
        assert_eq!(data(json!({"stringData": {"a": null}})), json!({"a": ""}));
        assert_eq!(data(json!({"data": null, "stringData": {}})), json!({}));
        assert_eq!(data(json!({"stringData": null})), Value::Null);
    }

    #[test]
    fn what_is_no_text_is_named() {
        for (value, found) in [
            (json!(5432), "a number"),
            (json!(true), "a boolean"),
            (json!(["x"]), "a list"),
            (json!({"x": "y"}), "a mapping"),
        ] {
            let refused = text_becomes_data(&mut secret(json!({"stringData": {"port": value}})));
            assert_eq!(refused, Err(("port".to_owned(), found)));
        }
    }

    #[test]
    fn what_only_the_api_server_can_judge_and_other_kinds_stay_as_they_are() {
        let mut others = [
            secret(json!({"stringData": ["a"]})),
            secret(json!({"data": "a", "stringData": {"b": "c"}})),
            Object::new(
                json!({"apiVersion": "example.org/v1", "kind": "Secret", "metadata": {"name": "a"}, "stringData": {"a": "b"}}),
                None,
            )
            .expect("valid"),
        ];
        for object in &mut others {
            let before = object.json()["stringData"].clone();
            text_becomes_data(object).expect("left alone");
            assert_eq!(object.json()["stringData"], before);
        }
    }
}
