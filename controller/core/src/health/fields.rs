//! Reading fields of a live object that may not be there.

use serde_json::Value;

pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The longest quotation of what others wrote, in characters: a long sentence of drover's own is still whole.
const LONGEST: usize = 800;

/// The beginning of what others wrote.
pub(crate) fn bounded(said: &str) -> String {
    match said.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", &said[..end]),
        None => said.to_owned(),
    }
}

/// A condition of `status.conditions`.
#[derive(Clone, Copy)]
pub(super) struct Condition<'a>(&'a Value);

impl<'a> Condition<'a> {
    pub fn is(self, status: &str) -> bool {
        text(self.0, "/status") == status
    }

    pub fn reason(self) -> &'a str {
        text(self.0, "/reason")
    }

    /// Its message, or its reason where there is none.
    pub fn message(self) -> String {
        let message = text(self.0, "/message");
        if message.is_empty() { self.reason().to_owned() } else { message.to_owned() }
    }

    pub fn observed_generation(self) -> Option<i64> {
        number(self.0, "/observedGeneration")
    }
}

pub(super) fn condition<'a>(object: &'a Value, kind: &str) -> Option<Condition<'a>> {
    let conditions = object.pointer("/status/conditions")?.as_array()?;
    conditions.iter().find(|condition| text(condition, "/type") == kind).map(Condition)
}
