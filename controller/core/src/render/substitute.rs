//! `${NAME}` in the values of manifests, where an Environment has variables.
//!
//! A value is put in after the text was parsed, so whatever stands in it cannot change the structure: no key, no document and no list
//! entry comes of it. A plain scalar is read anew afterwards, so `replicas: ${N}` is a number; a quoted one stays text. What is no
//! such form, or names no variable, is refused: half of a system with empty names in it is worse than none.

use std::borrow::Cow;
use std::collections::BTreeMap;

use drover_crds::ANNOTATION_SUBSTITUTE;
use serde_json::Value;

use super::error::{Problem, named, short};

/// The variables of an Environment, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl Variables {
    /// With these values; each name is one that [`is_name`] allows.
    pub fn new(values: impl IntoIterator<Item = (String, String)>) -> Self {
        Self(values.into_iter().collect())
    }

    /// `text` with the variables' values in it.
    pub(super) fn fill<'t>(&self, text: &'t str) -> Result<Cow<'t, str>, Problem> {
        if !text.contains("${") {
            return Ok(Cow::Borrowed(text));
        }
        let (mut filled, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(at) = rest.find("${") {
            let (before, from) = rest.split_at(at);
            if let Some(before) = before.strip_suffix('$') {
                filled.push_str(before);
                filled.push_str("${");
                rest = &from[2..];
                continue;
            }
            filled.push_str(before);
            let Some((name, after)) = from[2..].split_once('}').filter(|(name, _)| is_name(name)) else {
                return Err(Problem::NoVariable { text: short(from) });
            };
            let Some(value) = self.0.get(name) else {
                return Err(Problem::UnknownVariable {
                    name: name.to_owned(),
                    known: named(self.0.keys().map(String::as_str)),
                });
            };
            filled.push_str(value);
            rest = after;
        }
        filled.push_str(rest);
        Ok(Cow::Owned(filled))
    }
}

/// Whether a variable can be called that: as in a shell.
pub fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether an object's text is its own affair: a definition, whose descriptions quote such forms, or one that says so.
pub(super) fn is_left_alone(object: &Value) -> bool {
    let annotations = object.get("metadata").and_then(|metadata| metadata.get("annotations"));
    let says_so =
        || annotations.and_then(|all| all.get(ANNOTATION_SUBSTITUTE)).is_some_and(|value| value == "disabled");
    object.get("kind").is_some_and(|kind| kind == "CustomResourceDefinition") || says_so()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        Variables::new(
            [("HOST", "a.example.org"), ("N", "3"), ("EMPTY", "")].map(|(k, v)| (k.to_owned(), v.to_owned())),
        )
    }

    fn filled(text: &str) -> Result<String, String> {
        variables().fill(text).map(Cow::into_owned).map_err(|problem| problem.to_string())
    }

    #[test]
    fn names_are_replaced_and_what_is_escaped_stays() {
        for (text, expected) in [
            ("${HOST}", "a.example.org"),
            ("https://${HOST}:${N}/${EMPTY}x", "https://a.example.org:3/x"),
            ("$${HOST}", "${HOST}"),
            ("$${HOST} ${N}", "${HOST} 3"),
            ("$$${N}", "$${N}"),
            ("$HOST $(HOST) {HOST} $ {", "$HOST $(HOST) {HOST} $ {"),
            ("", ""),
        ] {
            assert_eq!(filled(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_such_form_or_names_nothing_is_refused_with_a_sentence() {
        let unknown = filled("x ${TAG}").expect_err("refused");
        assert!(
            unknown.starts_with("${TAG} names no variable of this Environment, which has EMPTY, HOST, N:"),
            "{unknown}"
        );
        for text in ["${#V}", "${V^^}", "${V:0:3}", "${V/a/b}", "${V:-x}", "${}", "${", "${HOST", "${1A}", "${ HOST }"]
        {
            let refused = filled(text).expect_err(text);
            assert!(refused.contains("is no variable") && refused.contains("$$"), "{refused}");
        }
    }

    #[test]
    fn values_are_not_looked_at_again() {
        let variables = Variables::new([("A".to_owned(), "${B}".to_owned())]);
        assert_eq!(variables.fill("${A}").map(Cow::into_owned), Ok("${B}".to_owned()));
    }

    proptest::proptest! {
        #[test]
        fn no_text_breaks_it_and_what_has_no_form_stays(text in "[${}A-Z \\PC]{0,40}") {
            if let Ok(filled) = variables().fill(&text) {
                let has_form = text.contains("${");
                proptest::prop_assert!(has_form || filled == text);
            }
        }
    }
}
