//! Variables that ConfigMaps and Secrets bring to an Environment.

use std::collections::BTreeMap;
use std::time::Duration;

use drover_crds::{Environment, SubstituteFrom, SubstituteKind};

use super::{Findings, Reached};
use crate::mask::mask;
use crate::render::{ObjectKey, Variables, is_name};
use crate::trouble::{Mend, Trouble};

/// Bytes that the values of all that is brought may have together.
const LARGEST: usize = 64 << 10;

/// What ConfigMaps and Secrets bring.
#[derive(Debug, Default)]
pub struct Brought {
    generation: Option<i64>,
    /// A keyed hash of all; `None` where the spec names no object.
    pub hash: Option<String>,
    /// When to look again all the same, where changes are not told.
    pub again: Option<Duration>,
    values: BTreeMap<String, String>,
    /// Those of Secrets.
    secrets: Vec<String>,
}

impl Brought {
    /// Nothing yet, for a spec of that generation.
    pub fn new(generation: Option<i64>) -> Self {
        Self { generation, ..Self::default() }
    }

    /// Whether it still holds for a spec of that generation, as far as changes are told.
    pub fn holds(&self, generation: Option<i64>) -> bool {
        self.generation == generation && self.again.is_none()
    }

    /// Adds what the object of that key, the spec's `index`th, has; `None` where it is not there. What is called otherwise than a variable
    /// is none.
    pub fn add(
        &mut self,
        (index, source): (usize, &SubstituteFrom),
        key: &ObjectKey,
        data: Option<BTreeMap<String, String>>,
    ) -> Result<(), Trouble> {
        let Some(mut data) = data else {
            if source.optional == Some(true) {
                return Ok(());
            }
            let sentence = format!(
                "{key}, which spec.substituteFrom[{index}] names, is not there: create it, or write `optional: true` there"
            );
            return Err(self.trouble("VariablesMissing", sentence));
        };
        data.retain(|name, _| is_name(name));
        if source.kind == SubstituteKind::Secret {
            self.secrets.extend(data.values().cloned());
        }
        self.values.extend(data);
        let size: usize = self.values.values().map(String::len).sum();
        if size > LARGEST {
            let sentence = format!(
                "the variables that spec.substituteFrom brings have {size} bytes with those of {key}, and at most {LARGEST} are filled in: name objects that hold only variables"
            );
            return Err(self.trouble("VariablesTooLarge", sentence));
        }
        Ok(())
    }

    fn trouble(&self, reason: &str, sentence: String) -> Trouble {
        Trouble { again: self.again, ..Trouble::new(reason, sentence, Mend::Event) }
    }

    /// All that is brought, to be hashed.
    pub fn content(&self) -> serde_json::Value {
        serde_json::json!(self.values)
    }

    /// All variables of `environment`; `None` where `${…}` is text.
    pub fn variables(&self, environment: &Environment) -> Option<Variables> {
        let (own, brought) = (&environment.spec.substitute, self.values.clone());
        let has_some = own.is_some() || !environment.spec.substitute_from.is_empty();
        has_some.then(|| Variables::new(brought.into_iter().chain(own.clone().unwrap_or_default())))
    }

    /// What Secrets brought, which no sentence may hold.
    pub fn secrets(&self) -> &[String] {
        &self.secrets
    }
}

/// Hides `secrets` in all that a turn says, which may quote objects.
pub fn hide(secrets: &[String], result: &mut Result<Reached, Trouble>, findings: &mut Findings) {
    if secrets.is_empty() {
        return;
    }
    let hide = |sentence: &mut String| *sentence = mask(sentence, secrets);
    let failures = findings.failures.iter_mut().chain(&mut findings.contested);
    failures.for_each(|failure| hide(&mut failure.message));
    match result {
        Ok(Reached::Applied { unhealthy: Some((_, health)), .. }) => {
            health.message_mut().into_iter().for_each(hide);
        }
        Ok(_) => {}
        Err(trouble) => hide_in(secrets, trouble),
    }
}

/// Hides `secrets` in what a trouble says.
pub fn hide_in(secrets: &[String], trouble: &mut Trouble) {
    if secrets.is_empty() {
        return;
    }
    trouble.sentence = mask(&trouble.sentence, secrets);
    trouble.each.iter_mut().for_each(|failure| failure.message = mask(&failure.message, secrets));
}

#[cfg(test)]
mod tests {
    use drover_crds::ObjectFailure;

    use super::*;
    use crate::health::Health;

    fn source(kind: SubstituteKind, optional: Option<bool>) -> SubstituteFrom {
        SubstituteFrom { kind, name: "site".into(), optional }
    }

    fn data(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_last_one_counts_and_what_is_no_name_is_left_out() {
        let key = ObjectKey::namespaced("", "ConfigMap", "shop", "site");
        let mut brought = Brought::default();
        let (map, secret) = (source(SubstituteKind::ConfigMap, None), source(SubstituteKind::Secret, None));
        brought.add((0, &map), &key, Some(data(&[("A", "one"), ("a.b", "x")]))).expect("there");
        brought.add((1, &secret), &key, Some(data(&[("A", "hunter2"), ("B", "long enough")]))).expect("there");
        assert_eq!(brought.content(), serde_json::json!({"A": "hunter2", "B": "long enough"}));

        let quotes = || "Invalid value: \"hunter2\"".to_owned();
        let mut failed = Err(Trouble::new("Invalid", quotes(), Mend::Spec));
        hide(brought.secrets(), &mut failed, &mut Findings::default());
        assert_eq!(failed.err().map(|trouble| trouble.sentence).as_deref(), Some("Invalid value: \"***\""));
        let unhealthy = Some(("WebApp shop/web".to_owned(), Health::InProgress { message: quotes() }));
        let mut applied = Ok(Reached::Applied { unhealthy, drifted: Vec::new(), held: Vec::new() });
        let wrong = ObjectFailure { message: quotes(), ..ObjectFailure::default() };
        let mut findings = Findings { failures: vec![wrong.clone()], contested: vec![wrong], ..Findings::default() };
        hide(brought.secrets(), &mut applied, &mut findings);
        let said: Vec<&String> = findings.failures.iter().chain(&findings.contested).map(|f| &f.message).collect();
        assert!(said.iter().all(|message| !message.contains("hunter2")), "{said:?}");
        let Ok(Reached::Applied { unhealthy: Some((_, health)), .. }) = applied else { panic!("it is applied") };
        assert_eq!(health, Health::InProgress { message: "Invalid value: \"***\"".into() });
    }

    #[test]
    fn what_is_missing_or_far_too_large_is_refused_with_a_sentence() {
        let key = ObjectKey::namespaced("", "ConfigMap", "shop", "site");
        let mut brought = Brought::default();
        let optional = source(SubstituteKind::ConfigMap, Some(true));
        brought.add((0, &optional), &key, None).expect("it may be missing");
        let needed = source(SubstituteKind::ConfigMap, None);
        let missing = brought.add((1, &needed), &key, None).expect_err("it is needed");
        assert!(missing.sentence.starts_with("ConfigMap shop/site, which spec.substituteFrom[1] names, is not there"));
        let large = "x".repeat(LARGEST + 1);
        let refused = brought.add((1, &needed), &key, Some(data(&[("A", &large)]))).expect_err("too large");
        assert!(refused.reason == "VariablesTooLarge" && refused.sentence.contains("65537 bytes"), "{refused}");
    }
}
