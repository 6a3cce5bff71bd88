//! YAML that kubectl reads as it was meant: keys sorted, texts that look like something else quoted.

use serde::Serialize;
use serde_json::Value;

/// One document, without a separator, with a line feed at its end. Equal values give equal text.
///
/// # Panics
/// When `value` cannot be JSON, which no Kubernetes object is.
pub fn document<T: Serialize>(value: &T) -> String {
    // By way of JSON: its maps are sorted.
    let mut json = serde_json::to_value(value).expect("Kubernetes objects are JSON");
    whole_numbers(&mut json);
    let options = serde_saphyr::ser_options! {
        compact_list_indent: true,
        // Long sentences stay on one line: a folded one changes wherever a word does.
        folded_wrap_chars: 100_000,
    };
    let mut text = serde_saphyr::to_string_with_options(&json, options).expect("JSON is YAML");
    if !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// Writes `511.0` as `511`: they are the same number to the API server, and people read the second.
fn whole_numbers(value: &mut Value) {
    match value {
        // Up to 2^53, beyond which a float stands for several integers.
        Value::Number(number) if number.is_f64() => {
            if let Some(float) = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 9e15) {
                #[allow(clippy::cast_possible_truncation)] // whole and small enough, as just seen
                let whole = float as i64;
                *value = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        Value::Object(fields) => fields.values_mut().for_each(whole_numbers),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use drover_core::render::{Limits, SourceFile, render};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// What drover, and so kubectl, reads back.
    fn read(data: &Value) -> Value {
        let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data});
        let text = document(&object);
        let file = SourceFile { path: "a.yaml".to_owned(), bytes: text.clone().into_bytes() };
        let objects = render(&[file], &Limits::default()).unwrap_or_else(|errors| panic!("{}\n{text}", errors[0]));
        objects[0].json()["data"].clone()
    }

    #[test]
    fn texts_that_look_like_something_else_stay_texts() {
        for text in [
            "yes",
            "on",
            "010",
            "0o14",
            "1_000",
            "1:30",
            "1e3",
            "null",
            "~",
            "",
            " a ",
            "a: b",
            "# a",
            "- a",
            "2024-01-01",
            "a\nb",
            "a\n\nb\n",
            "\tx",
            "é\u{85}",
        ] {
            let value = json!({"key": text, text: 1});
            assert_eq!(read(&value), value, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_back_as_written(key in "[ -~]{1,12}", text in "(?s)[ -~\n\t\u{e0}-\u{ff}]{0,200}", number in any::<i64>()) {
            let value = json!({key: [text, number, null, {"nested": true}]});
            prop_assert_eq!(read(&value), value);
        }
    }
}
