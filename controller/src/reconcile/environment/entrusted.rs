//! What git may say of an Environment.
//!
//! An Environment can be among the objects of a commit: of its own repository even, as in most bootstraps. What protects it against
//! that git is not given by git: its guards, the confirmation of a removal, its account, and which Secret goes to which host. git may
//! repeat what the cluster has, and may tighten a guard. More it may say only where the namespace's opt-in lets the acting account
//! `update` the subresource `guards` of Environments, which `drover-deployer` does not hold.

use drover_core::plan::{DEFAULT_MAX_PERCENT, percent};
use drover_core::render::Object;
use drover_crds::{ANNOTATION_CONFIRM_PRUNE, DEFAULT_SERVICE_ACCOUNT, Environment, GROUP, Key, OwnerKind};
use serde_json::Value;

use crate::cluster::{Acting, ApiError};
use crate::git::Address;

/// The subresource that stands for what only a person says.
const GUARDS: &str = "guards";

/// Refuses an object that says of an Environment what git may not say; `applying` is the Environment whose commit holds it.
pub(super) async fn entrusted(
    acting: &Acting,
    applying: &Environment,
    Key { namespace, .. }: &Key,
    object: &Object,
) -> Result<(), ApiError> {
    if OwnerKind::of(object.group(), object.kind()) != Some(OwnerKind::Environment) {
        return Ok(());
    }
    let live = acting.read(object).await?;
    let wanted = Value::Object(object.json().clone());
    let target = object.namespace().unwrap_or(namespace);
    // Secrets and accounts of another namespace only share their names with ours.
    let own = if target == namespace { serde_json::to_value(applying).ok() } else { None };
    let Some(what) = beyond(&wanted, live.as_ref(), own.as_ref()) else { return Ok(()) };
    if acting.may("update", GROUP, OwnerKind::Environment.plural(), GUARDS, target).await? {
        return Ok(());
    }
    let account = applying.spec.service_account_name.as_deref().unwrap_or(DEFAULT_SERVICE_ACCOUNT);
    let way = if target == namespace && account == DEFAULT_SERVICE_ACCOUNT {
        format!("with `drover allow {target} --environments-from-git`")
    } else {
        format!(
            "by a Role in namespace {target} that lets service account {namespace}/{account} update environments/{GUARDS}"
        )
    };
    Err(ApiError::NotFromGit { object: object.key().to_string(), what, way })
}

/// What `wanted` says beyond what git may, in words; `live` is the Environment as it is, `own` the one that applies it.
fn beyond(wanted: &Value, live: Option<&Value>, own: Option<&Value>) -> Option<String> {
    let wanted = Says(wanted);
    let (live, own) = (live.map(Says), own.map(Says));
    if let Some(confirmed) = wanted.confirmation()
        && live.and_then(Says::confirmation) != Some(confirmed)
    {
        return Some(format!("confirm a removal (the annotation {ANNOTATION_CONFIRM_PRUNE})"));
    }
    if wanted.deletes() && !live.is_some_and(Says::deletes) {
        return Some("set spec.deletionPolicy to Delete".to_owned());
    }
    if wanted.prunes() == Some(true) && live.and_then(Says::prunes) == Some(false) {
        return Some("set spec.prune.enabled to true where it is false".to_owned());
    }
    let limit = live.and_then(Says::max_percent).unwrap_or(DEFAULT_MAX_PERCENT);
    if let Some(percent) = wanted.max_percent().filter(|percent| *percent > limit) {
        return Some(format!("raise spec.prune.maxFraction from {limit}% to {percent}%"));
    }
    if let Some(account) = wanted.account() {
        let known = |says: Says<'_>| says.account().unwrap_or(DEFAULT_SERVICE_ACCOUNT) == account;
        let may = live.map_or_else(|| account == DEFAULT_SERVICE_ACCOUNT || own.is_some_and(known), known);
        if !may {
            return Some(format!("choose service account {account} (spec.serviceAccountName)"));
        }
    }
    // What git leaves out stays as it is: a new address gets the old Secret.
    if let Some(secret) = wanted.secret().or_else(|| live?.secret()) {
        let url = wanted.url().or_else(|| live?.url());
        let known = |says: Says<'_>| says.secret() == Some(secret) && same_host(says.url(), url);
        if !live.is_some_and(known) && !own.is_some_and(known) {
            let host = url.and_then(|url| Address::parse(url, true).ok()).map(|address| address.host().to_owned());
            let host = host.unwrap_or_else(|| "another host".to_owned());
            return Some(format!("send Secret {secret} to {host} (spec.source.secretRef)"));
        }
    }
    if let Some(secret) = wanted.webhook_secret() {
        let known = |says: Says<'_>| says.webhook_secret() == Some(secret);
        if !live.is_some_and(known) && !own.is_some_and(known) {
            return Some(format!("use Secret {secret} for webhooks (spec.source.webhook.secretRef)"));
        }
    }
    None
}

fn same_host(one: Option<&str>, other: Option<&str>) -> bool {
    let read = |url: Option<&str>| Address::parse(url?, true).ok();
    match (read(one), read(other)) {
        (Some(one), Some(other)) => {
            (one.scheme(), one.host(), one.port()) == (other.scheme(), other.host(), other.port())
        }
        _ => false,
    }
}

/// An Environment as somebody wrote it: part of one, perhaps, or of another version.
#[derive(Clone, Copy)]
struct Says<'a>(&'a Value);

impl<'a> Says<'a> {
    fn text(self, pointer: &str) -> Option<&'a str> {
        self.0.pointer(pointer)?.as_str()
    }

    fn confirmation(self) -> Option<&'a str> {
        self.0.pointer("/metadata/annotations")?.get(ANNOTATION_CONFIRM_PRUNE)?.as_str()
    }

    fn deletes(self) -> bool {
        self.text("/spec/deletionPolicy") == Some("Delete")
    }

    fn prunes(self) -> Option<bool> {
        self.0.pointer("/spec/prune/enabled")?.as_bool()
    }

    fn max_percent(self) -> Option<u8> {
        self.text("/spec/prune/maxFraction").and_then(percent)
    }

    fn account(self) -> Option<&'a str> {
        self.text("/spec/serviceAccountName")
    }

    fn url(self) -> Option<&'a str> {
        self.text("/spec/source/url")
    }

    fn secret(self) -> Option<&'a str> {
        self.text("/spec/source/secretRef/name")
    }

    fn webhook_secret(self) -> Option<&'a str> {
        self.text("/spec/source/webhook/secretRef/name")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// An Environment with a Secret for its host, a webhook, an account and the guards that a person set.
    fn persons() -> Value {
        json!({"metadata": {"name": "prod"}, "spec": {
            "source": {"url": "https://git.example.org/shop.git", "secretRef": {"name": "git"},
                "webhook": {"secretRef": {"name": "hook"}}},
            "serviceAccountName": "deployer", "prune": {"maxFraction": "10%", "enabled": false}}})
    }

    fn spec(spec: &Value) -> Value {
        json!({"metadata": {"name": "prod"}, "spec": spec})
    }

    #[test]
    fn git_may_repeat_what_the_cluster_has() {
        let live = persons();
        assert_eq!(beyond(&persons(), Some(&live), Some(&live)), None, "its own Environment, as in every bootstrap");
        let mut confirmed = persons();
        confirmed["metadata"]["annotations"] = json!({ANNOTATION_CONFIRM_PRUNE: "1a2b3c4"});
        assert_eq!(beyond(&confirmed, Some(&confirmed), None), None);
        assert!(beyond(&confirmed, Some(&live), Some(&live)).expect("refused").starts_with("confirm a removal"));
        assert!(beyond(&confirmed, None, None).is_some());
    }

    #[test]
    fn git_may_tighten_a_guard_and_not_loosen_it() {
        let live = persons();
        let of = |wanted: Value| beyond(&spec(&wanted), Some(&live), None);
        assert_eq!(of(json!({"source": live["spec"]["source"], "prune": {"maxFraction": "5%"}})), None);
        for (wanted, words) in [
            (json!({"prune": {"maxFraction": "11%"}}), "raise spec.prune.maxFraction from 10% to 11%"),
            (json!({"prune": {"enabled": true}}), "set spec.prune.enabled to true where it is false"),
            (json!({"deletionPolicy": "Delete"}), "set spec.deletionPolicy to Delete"),
            (json!({"serviceAccountName": "admin"}), "choose service account admin (spec.serviceAccountName)"),
            (json!({"serviceAccountName": "drover"}), "choose service account drover (spec.serviceAccountName)"),
        ] {
            assert_eq!(of(wanted).as_deref(), Some(words));
        }
        let new = |wanted: Value| beyond(&spec(&wanted), None, Some(&live));
        assert_eq!(new(json!({"prune": {"maxFraction": "50%", "enabled": true}, "deletionPolicy": "Orphan"})), None);
        assert!(new(json!({"prune": {"maxFraction": "51%"}})).is_some());
        assert_eq!(new(json!({"serviceAccountName": "drover"})), None);
        assert_eq!(new(json!({"serviceAccountName": "deployer"})), None, "the account that applies it");
        assert!(new(json!({"serviceAccountName": "admin"})).is_some());
    }

    #[test]
    fn a_secret_goes_to_no_host_that_git_chooses() {
        let live = persons();
        let source = |url: &str, secret: Option<&str>| {
            let secret = secret.map(|name| json!({"name": name}));
            let mut source = json!({"url": url});
            if let Some(secret) = secret {
                source["secretRef"] = secret;
            }
            spec(&json!({"source": source}))
        };
        let attack = source("https://evil.example.net/a.git", Some("git"));
        let words = "send Secret git to evil.example.net (spec.source.secretRef)";
        assert_eq!(beyond(&attack, Some(&live), Some(&live)).as_deref(), Some(words));
        assert_eq!(beyond(&attack, None, Some(&live)).as_deref(), Some(words), "a new one");
        // The Secret that a person named stays where git does not name one.
        let silent = source("https://evil.example.net/a.git", None);
        assert_eq!(beyond(&silent, Some(&live), Some(&live)).as_deref(), Some(words));
        assert_eq!(beyond(&silent, None, Some(&live)), None, "a public repository");
        let another = source("https://git.example.org/shop.git", Some("database"));
        assert!(beyond(&another, Some(&live), Some(&live)).is_some());
        for changed in ["https://git.example.org:8443/shop.git", "http://git.example.org/shop.git"] {
            assert!(beyond(&source(changed, Some("git")), None, Some(&live)).is_some(), "{changed}");
        }
        // Many folders, or repositories, of the host that a person trusted with it.
        let sibling = source("https://git.example.org/other.git", Some("git"));
        assert_eq!(beyond(&sibling, None, Some(&live)), None);
        assert!(beyond(&sibling, None, None).is_some(), "in another namespace");
        let hook = spec(&json!({"source": {"webhook": {"secretRef": {"name": "database"}}}}));
        assert!(beyond(&hook, None, Some(&live)).is_some());
    }
}
