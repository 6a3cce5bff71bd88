//! What was last sent, as one short value.

use drover_crds::{ANNOTATION_APPLIED, ANNOTATION_COMMIT, LABEL_OWNER};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::Object;

/// Hexadecimal digits that are kept: 128 bits.
const DIGITS: usize = 32;

/// Those of a hash at the end of a name.
pub const NAME_DIGITS: usize = 10;

/// A keyed hash of an object as it is wanted, the same for the same content whatever the order of keys. It is written to an
/// annotation that anybody who may read the object can see; without the key nobody can try out the values of a Secret on it.
/// What drover itself adds to every object (the owner's label, this annotation, the commit's) is left out, and so is a map of
/// labels or annotations that has nothing else in it.
///
/// # Panics
/// Never: HMAC takes a key of any length.
pub fn applied_hash(key: &[u8; 32], object: &Object) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mapping(object.json(), Place::Object, &mut |text| mac.update(text.as_bytes()));
    let mut digits = hex::encode(mac.finalize().into_bytes());
    digits.truncate(DIGITS);
    digits
}

/// A keyed hash of what only its owner may read, the same whatever the order of keys.
///
/// # Panics
/// Never: HMAC takes a key of any length.
pub fn keyed_hash(key: &[u8; 32], content: &Value) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    value(content, Place::Elsewhere, &mut |text| mac.update(text.as_bytes()));
    let mut digits = hex::encode(mac.finalize().into_bytes());
    digits.truncate(DIGITS);
    digits
}

/// The SHA-256 of what everybody may read, in hexadecimal digits, the same whatever the order of keys.
pub fn content_hash(content: &Value) -> String {
    let mut hash = Sha256::new();
    value(content, Place::Elsewhere, &mut |text| hash.update(text.as_bytes()));
    hex::encode(hash.finalize())
}

/// The first digits of [`content_hash`], for the end of a name that is another when the content is.
pub fn name_hash(content: &Value) -> String {
    let mut hash = content_hash(content);
    hash.truncate(NAME_DIGITS);
    hash
}

/// How much of the path from the object's root still matters for what is left out.
#[derive(Clone, Copy, PartialEq)]
enum Place {
    Object,
    Metadata,
    Labels,
    Annotations,
    Elsewhere,
}

impl Place {
    fn below(self, key: &str) -> Self {
        match (self, key) {
            (Self::Object, "metadata") => Self::Metadata,
            (Self::Metadata, "labels") => Self::Labels,
            (Self::Metadata, "annotations") => Self::Annotations,
            _ => Self::Elsewhere,
        }
    }

    fn leaves_out(self, key: &str, value: &Value) -> bool {
        match self {
            Self::Labels => key == LABEL_OWNER,
            Self::Annotations => key == ANNOTATION_APPLIED || key == ANNOTATION_COMMIT,
            Self::Metadata => {
                let place = self.below(key);
                place != Self::Elsewhere
                    && value.as_object().is_some_and(|map| map.iter().all(|(k, v)| place.leaves_out(k, v)))
            }
            Self::Object | Self::Elsewhere => false,
        }
    }
}

/// Canonical JSON: keys sorted, no spaces.
fn mapping(map: &Map<String, Value>, place: Place, write: &mut impl FnMut(&str)) {
    let mut keys: Vec<&String> = map.keys().collect();
    keys.sort_unstable();
    write("{");
    for key in keys {
        let value = &map[key];
        if place.leaves_out(key, value) {
            continue;
        }
        write(&Value::from(key.as_str()).to_string());
        write(":");
        self::value(value, place.below(key), write);
        write(",");
    }
    write("}");
}

fn value(value: &Value, place: Place, write: &mut impl FnMut(&str)) {
    match value {
        Value::Object(map) => mapping(map, place, write),
        Value::Array(items) => {
            write("[");
            for item in items {
                self::value(item, Place::Elsewhere, write);
                write(",");
            }
            write("]");
        }
        scalar => write(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(json: Value) -> Object {
        Object::new(json, None).expect("valid")
    }

    fn config_map() -> Object {
        object(
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": {"x": "1", "y": "2"}}),
        )
    }

    #[test]
    fn the_order_of_keys_does_not_matter_and_every_value_does() {
        let text =
            r#"{"data": {"y": "2", "x": "1"}, "metadata": {"name": "a"}, "kind": "ConfigMap", "apiVersion": "v1"}"#;
        let other_order = object(serde_json::from_str(text).expect("JSON"));
        let hash = applied_hash(&[1; 32], &config_map());
        assert_eq!(hash, applied_hash(&[1; 32], &other_order));
        assert_eq!(hash.len(), 32);
        assert_ne!(hash, applied_hash(&[2; 32], &config_map()), "another key");

        let mut labelled = config_map();
        labelled.set_label("app", "web");
        assert_ne!(hash, applied_hash(&[1; 32], &labelled));
    }

    #[test]
    fn what_drover_adds_does_not_change_it() {
        let bare = applied_hash(&[1; 32], &config_map());
        let mut sent = config_map();
        sent.set_label(LABEL_OWNER, "env.shop.prod");
        sent.set_annotation(ANNOTATION_APPLIED, "0123");
        sent.set_annotation(ANNOTATION_COMMIT, "abcd");
        assert_eq!(bare, applied_hash(&[1; 32], &sent));
    }

    #[test]
    fn only_the_metadata_of_the_object_itself_is_special() {
        let with = |value: &str| {
            object(json!({
                "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "a"},
                "spec": {"template": {"metadata": {"labels": {LABEL_OWNER: value}}}},
            }))
        };
        assert_ne!(applied_hash(&[1; 32], &with("a")), applied_hash(&[1; 32], &with("b")));
    }
}
