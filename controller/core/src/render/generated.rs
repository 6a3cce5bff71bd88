//! Keys of a Secret that drover fills with random values, because an annotation in git names them ([`ANNOTATION_GENERATE`]).
//!
//! They are written under a field manager of their own ([`GENERATED_MANAGER`]), so that no apply of what git says takes them away, and that
//! holds every key it ever wrote: what it leaves out would go.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use drover_crds::{ANNOTATION_GENERATE, GENERATED_MANAGER};
use serde_json::{Map, Value, json};

use super::error::short;
use super::{Object, ObjectKey, Problem};

/// How many keys may be named.
const MOST: usize = 64;
/// How long the key of a Secret may be.
const LONGEST: usize = 253;

/// The keys that an object has filled, in the order in which they are named.
pub fn generated_keys(object: &Object) -> impl Iterator<Item = &str> {
    object.annotation(ANNOTATION_GENERATE).unwrap_or_default().split_whitespace()
}

/// What is wrong with the keys that an object asks for.
pub(super) fn ungenerable(object: &Object) -> Option<Problem> {
    let asked = object.annotation(ANNOTATION_GENERATE)?;
    let refused = |what: String| Some(Problem::Ungenerable { object: Box::new(object.key()), what });
    if (object.api_version(), object.kind()) != ("v1", "Secret") {
        return refused("stands on no Secret: only the keys of a Secret are filled, so remove it".to_owned());
    }
    let keys: Vec<&str> = asked.split_whitespace().collect();
    if keys.is_empty() {
        return refused("names no key: write the keys to fill, with a blank between two, or remove it".to_owned());
    }
    if keys.len() > MOST {
        return refused(format!(
            "names {} keys, and {MOST} are the most: spread them over several Secrets",
            keys.len()
        ));
    }
    let given = object.json().get("data").and_then(Value::as_object);
    for (index, key) in keys.iter().enumerate() {
        if !is_key(key) {
            return refused(format!(
                "names `{}`, which cannot be a key of a Secret: write keys of letters, digits, -, _ and . with a blank between two",
                short(key)
            ));
        }
        if keys[..index].contains(key) {
            return refused(format!("names {key} twice: write it once"));
        }
        if given.is_some_and(|given| given.contains_key(*key)) {
            return refused(format!(
                "names {key}, which data or stringData sets as well: remove it in one of the two; a value that is in the cluster stays when git no longer sets it"
            ));
        }
    }
    None
}

/// Whether Kubernetes takes a Secret with that key.
fn is_key(key: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    key.len() <= LONGEST && key.bytes().all(allowed) && key != "." && !key.starts_with("..")
}

/// What an object in the cluster has of values that drover made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Generated {
    /// It has some, whatever git says of it now.
    pub has_some: bool,
    /// It lacks a key that its annotation names.
    pub lacks_some: bool,
}

impl Generated {
    /// Reads the whole object.
    pub fn of(live: &Value) -> Self {
        let named = live.pointer("/metadata/annotations").and_then(|all| all.get(ANNOTATION_GENERATE)?.as_str());
        let lacks_some = named.is_some_and(|named| named.split_whitespace().any(|key| value(live, key).is_none()));
        Self { has_some: held(live).next().is_some(), lacks_some }
    }
}

/// What is to be sent so that a Secret has its keys.
#[derive(Debug, PartialEq)]
pub struct Filling {
    /// What [`GENERATED_MANAGER`] applies, without force. Where the Secret was there it holds only for that very state of it.
    pub sent: Value,
    /// The keys that get a value by this.
    pub made: Vec<String>,
}

/// What is to be sent so that the Secret `object` has the keys that it names, each missing one with a value that `random` makes; what is
/// there stays, and is held from now on, also where git gave it before. `live` is the Secret as it is in the cluster. `None` where nothing
/// is missing, and nothing that only git holds.
pub fn filling(object: &Object, live: Option<&Value>, random: &mut dyn FnMut() -> String) -> Option<Filling> {
    let nothing = Value::Null;
    let live = live.unwrap_or(&nothing);
    let before: Vec<&str> = held(live).collect();
    let mut data: Map<String, Value> = Map::new();
    let mut made = Vec::new();
    let mut is_new = false;
    for key in generated_keys(object) {
        is_new |= !before.contains(&key);
        let filled = value(live, key).cloned().unwrap_or_else(|| {
            made.push(key.to_owned());
            STANDARD.encode(random()).into()
        });
        data.insert(key.to_owned(), filled);
    }
    if made.is_empty() && !is_new {
        return None;
    }
    for key in before {
        if let Some(filled) = value(live, key) {
            data.insert(key.to_owned(), filled.clone());
        }
    }
    let ObjectKey { namespace, name, .. } = object.key();
    let mut sent =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "namespace": namespace}, "data": data});
    for exact in ["uid", "resourceVersion"] {
        if let Some(value) = live.pointer("/metadata").and_then(|metadata| metadata.get(exact)) {
            sent["metadata"][exact] = value.clone();
        }
    }
    // It cannot change once the Secret is there.
    if let Some(kind) = live.get("type").or_else(|| object.json().get("type")).filter(|kind| kind.is_string()) {
        sent["type"] = kind.clone();
    }
    Some(Filling { sent, made })
}

fn value<'a>(live: &'a Value, key: &str) -> Option<&'a Value> {
    live.get("data")?.get(key)
}

/// The keys that the field manager of generated values holds of a Secret.
fn held(live: &Value) -> impl Iterator<Item = &str> {
    let managers = live.pointer("/metadata/managedFields").and_then(Value::as_array).into_iter().flatten();
    let fields = managers.filter(|entry| entry["manager"] == GENERATED_MANAGER && entry["operation"] == "Apply");
    let keys = fields.filter_map(|entry| entry["fieldsV1"]["f:data"].as_object()).flat_map(Map::keys);
    keys.filter_map(|key| key.strip_prefix("f:"))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn secret(keys: &str, fields: Value) -> Object {
        let mut json = fields;
        json["apiVersion"] = "v1".into();
        json["kind"] = "Secret".into();
        json["metadata"] = json!({"name": "django", "namespace": "shop", "annotations": {ANNOTATION_GENERATE: keys}});
        Object::new(json, None).expect("an object")
    }

    fn said(object: &Object) -> Option<String> {
        ungenerable(object).map(|problem| problem.to_string())
    }

    /// The Secret of the cluster with these values, of which `held` were once filled in.
    fn live(data: &Value, held: &[&str], keys: &str) -> Value {
        let fields: Map<String, Value> = held.iter().map(|key| (format!("f:{key}"), json!({}))).collect();
        json!({"metadata": {"name": "django", "uid": "u1", "resourceVersion": "7", "annotations": {ANNOTATION_GENERATE: keys},
            "managedFields": [
                {"manager": "drover-env.shop.prod", "operation": "Apply", "fieldsV1": {"f:data": {"f:other": {}}}},
                {"manager": GENERATED_MANAGER, "operation": "Apply", "fieldsV1": {"f:data": fields}},
            ]}, "type": "Opaque", "data": data})
    }

    fn filled(object: &Object, live: Option<&Value>) -> Option<Filling> {
        let mut number = 0;
        filling(object, live, &mut || {
            number += 1;
            format!("random {number}")
        })
    }

    #[rstest]
    #[case::nothing(" ", "names no key")]
    #[case::a_bad_name("A B/C", "names `B/C`, which cannot be a key of a Secret")]
    #[case::a_list("A,B", "names `A,B`, which cannot be a key of a Secret")]
    #[case::dots("..A", "names `..A`")]
    #[case::twice("A B A", "names A twice")]
    #[case::of_git("A FROM_GIT", "names FROM_GIT, which data or stringData sets as well")]
    fn what_cannot_be_filled_is_said(#[case] keys: &str, #[case] expected: &str) {
        let sentence = said(&secret(keys, json!({"data": {"FROM_GIT": "b2xk"}}))).expect("refused");
        assert!(sentence.starts_with("the annotation drover.dev/generate of Secret shop/django "), "{sentence}");
        assert!(sentence.contains(expected), "{sentence}");
    }

    #[test]
    fn only_secrets_have_keys_that_are_filled_and_not_too_many() {
        let mut json = secret("A", json!({})).json().clone();
        json["kind"] = "ConfigMap".into();
        let other = Object::new(Value::Object(json), None).expect("an object");
        assert!(said(&other).expect("refused").contains("stands on no Secret"));
        let many: Vec<String> = (0..65).map(|number| format!("K{number}")).collect();
        assert!(said(&secret(&many.join(" "), json!({}))).expect("refused").contains("names 65 keys"));
        assert!(said(&secret(&"x".repeat(254), json!({}))).is_some());
        assert_eq!(said(&secret(&many[1..].join("\n"), json!({}))), None);
        assert_eq!(said(&secret("tls.key _a-B .x", json!({"data": {"other": ""}}))), None);
    }

    #[test]
    fn a_secret_that_is_not_there_gets_all_its_keys() {
        let filling = filled(&secret("A B", json!({"type": "example.org/x"})), None).expect("something is missing");
        assert_eq!(filling.made, ["A", "B"]);
        assert_eq!(
            filling.sent,
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "django", "namespace": "shop"},
                "type": "example.org/x", "data": {"A": STANDARD.encode("random 1"), "B": STANDARD.encode("random 2")}})
        );
    }

    #[test]
    fn what_is_there_stays_as_it_is_whoever_gave_it() {
        // One of a person, one that is empty on purpose, and one that was made when the annotation named it.
        let live = live(&json!({"A": "cGVyc29u", "E": "", "OLD": "b2xk"}), &["OLD"], "A E NEW");
        assert_eq!(Generated::of(&live), Generated { has_some: true, lacks_some: true });
        let filling = filled(&secret("A E NEW", json!({})), Some(&live)).expect("something is missing");
        assert_eq!(filling.made, ["NEW"]);
        let data = json!({"A": "cGVyc29u", "E": "", "OLD": "b2xk", "NEW": STANDARD.encode("random 1")});
        assert_eq!(filling.sent["data"], data);
        let metadata = json!({"name": "django", "namespace": "shop", "uid": "u1", "resourceVersion": "7"});
        assert_eq!(filling.sent["metadata"], metadata, "of this very state of it");
    }

    #[test]
    fn a_value_that_git_gave_before_is_held_so_that_it_outlives_that() {
        let live = live(&json!({"other": "Z2l0"}), &[], "other");
        assert_eq!(Generated::of(&live), Generated::default());
        let filling = filled(&secret("other", json!({})), Some(&live)).expect("only git holds it");
        assert_eq!((filling.made, &filling.sent["data"]), (vec![], &json!({"other": "Z2l0"})));
    }

    #[test]
    fn nothing_is_sent_where_nothing_is_missing() {
        let live = live(&json!({"A": "eA=="}), &["A"], "A");
        assert_eq!(Generated::of(&live), Generated { has_some: true, lacks_some: false });
        assert_eq!(filled(&secret("A", json!({})), Some(&live)), None);
        let other = json!({"metadata": {"name": "a"}});
        assert_eq!(Generated::of(&other), Generated::default());
    }
}
