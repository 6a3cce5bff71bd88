//! Pure: what a payload hints at. Wrong or missing, it costs at most one look at the repository.

use drover_crds::Reference;
use serde::Deserialize;

/// What was pushed, as far as the payload says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Hint {
    #[serde(default, rename = "ref")]
    name: Option<String>,
    #[serde(default)]
    after: Option<String>,
}

impl Hint {
    /// Reads the JSON of a push, also where it is the field `payload` of a form, as GitHub sends it by default.
    pub fn read(body: &[u8]) -> Self {
        let json = serde_json::from_slice(body);
        json.ok().or_else(|| Self::read_form(body)).unwrap_or_default()
    }

    fn read_form(body: &[u8]) -> Option<Self> {
        if !body.starts_with(b"payload=") {
            return None;
        }
        let (_, payload) = url::form_urlencoded::parse(body).find(|(name, _)| name == "payload")?;
        serde_json::from_str(&payload).ok()
    }

    /// Whether somebody who follows `reference` and has `head` should look.
    pub fn concerns(&self, reference: &Reference, head: Option<&str>) -> bool {
        if head.is_some() && head == self.after.as_deref() {
            return false;
        }
        let Some(name) = &self.name else { return true };
        match reference {
            Reference { branch: Some(branch), .. } => match name.strip_prefix("refs/heads/") {
                Some(pushed) => pushed == branch,
                None => !name.starts_with("refs/tags/"),
            },
            Reference { tag: Some(tag), .. } => match name.strip_prefix("refs/tags/") {
                Some(pushed) => pushed == tag,
                None => !name.starts_with("refs/heads/"),
            },
            Reference { semver: Some(_), .. } => !name.starts_with("refs/heads/"),
            // A commit that was not there may have come with any push; one that is there does not change.
            _ => head.is_none(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hint(json: &str) -> Hint {
        Hint::read(json.as_bytes())
    }

    #[test]
    fn tells_who_should_look() {
        let branch = Reference { branch: Some("prod".into()), ..Reference::default() };
        let tag = Reference { tag: Some("v1".into()), ..Reference::default() };
        let semver = Reference { semver: Some("^1".into()), ..Reference::default() };
        let commit = Reference { commit: Some("a".repeat(40)), ..Reference::default() };
        for (json, for_branch, for_tag, for_semver) in [
            (r#"{"ref":"refs/heads/prod"}"#, true, false, false),
            (r#"{"ref":"refs/heads/other"}"#, false, false, false),
            (r#"{"ref":"refs/tags/v1"}"#, false, true, true),
            (r#"{"ref":"refs/tags/v2"}"#, false, false, true),
            (r#"{"ref":"prod"}"#, true, true, true),
            (r#"{"zen":"ping"}"#, true, true, true),
            (r#"{"ref":7}"#, true, true, true),
            ("not JSON", true, true, true),
            ("payload=%7B%22ref%22%3A%22refs%2Fheads%2Fprod%22%7D", true, false, false),
        ] {
            let concerned = [&branch, &tag, &semver].map(|reference| hint(json).concerns(reference, Some("old")));
            assert_eq!(concerned, [for_branch, for_tag, for_semver], "{json}");
        }
        let pushed = hint(r#"{"ref":"refs/heads/prod","after":"abc"}"#);
        assert!(pushed.concerns(&branch, Some("old")) && !pushed.concerns(&branch, Some("abc")));
        assert!(pushed.concerns(&commit, None) && !pushed.concerns(&commit, Some("old")));
    }

    proptest! {
        #[test]
        fn what_cannot_be_read_concerns_everybody(body in proptest::collection::vec(any::<u8>(), 0..64)) {
            prop_assume!(serde_json::from_slice::<Hint>(&body).is_err() && !body.starts_with(b"payload="));
            prop_assert_eq!(Hint::read(&body), Hint::default());
        }
    }
}
