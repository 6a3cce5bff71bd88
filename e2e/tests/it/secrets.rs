//! Keys of Secrets that drover fills with random values.

use std::collections::BTreeMap;
use std::time::Duration;

use drover_crds::{ANNOTATION_CONFIRM_PRUNE, DeletionPolicy, GENERATED_MANAGER};
use drover_e2e::{Controller, Environment, Namespace, eventually, steadily};
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::apply::config_maps;

/// A Secret as it stands in git.
fn in_git(name: &str, annotations: &str, fields: &str) -> String {
    format!("apiVersion: v1\nkind: Secret\nmetadata: {{name: {name}, annotations: {{{annotations}}}}}\n{fields}\n")
}

async fn values(namespace: &Namespace, name: &str) -> Option<BTreeMap<String, String>> {
    let data = namespace.get::<Secret>(name).await?.data.unwrap_or_default();
    Some(data.into_iter().map(|(key, value)| (key, String::from_utf8(value.0).expect("text"))).collect())
}

fn is_random(value: &str) -> bool {
    value.len() == 50 && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_missing_are_filled_once_and_what_is_there_stays() {
    let namespace = Namespace::new("generate").await;
    let repo = namespace.repository("secrets");
    // What an old system had, which a person brought along; and what a drover that was killed half-way left.
    namespace.kubectl(&["create", "secret", "generic", "django", "--from-literal=PASSWORD=of a person"]);
    let half = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "half"}, "data": {"ONE": "b25l"}});
    let left =
        namespace.api::<Secret>().patch("half", &PatchParams::apply(GENERATED_MANAGER), &Patch::Apply(&half)).await;
    left.expect("the half of it");

    let generate = r#"drover.dev/generate: "SECRET_KEY PASSWORD""#;
    let half = in_git("half", "drover.dev/generate: ONE TWO", "type: Opaque");
    let push = |django: &str, message: &str| {
        let maps = config_maps(&["a", "b", "c", "d"], "one");
        repo.push(&[("django.yaml", django), ("half.yaml", &half), ("maps.yaml", &maps)], message)
    };
    let commit = push(&in_git("django", generate, "stringData: {DEBUG: \"0\"}"), "Secrets");
    let environment = Environment::create(&namespace, "prod", &repo, |spec| {
        spec.deletion_policy = Some(DeletionPolicy::Delete);
    })
    .await;
    environment.is_ready_at(&commit).await;
    let made = values(&namespace, "django").await.expect("it is there");
    assert_eq!((&*made["DEBUG"], &*made["PASSWORD"], made.len()), ("0", "of a person", 3));
    assert!(is_random(&made["SECRET_KEY"]), "{made:?}");
    let completed = values(&namespace, "half").await.expect("it is there");
    assert!(completed["ONE"] == "one" && is_random(&completed["TWO"]), "{completed:?}");
    assert_ne!(made["SECRET_KEY"], completed["TWO"]);

    // Another commit that changes the Secret takes nothing away, and what git gave until now outlives that it is to be made.
    let changed = in_git("django", r#"drover.dev/generate: "SECRET_KEY PASSWORD DEBUG""#, "");
    let commit = push(&changed, "Nothing is given any more");
    environment.is_ready_at(&commit).await;
    assert_eq!(values(&namespace, "django").await.as_ref(), Some(&made));

    // What git sets as well is refused whole.
    push(&in_git("django", generate, "stringData: {SECRET_KEY: of git}"), "Both");
    environment.complains_of(&["django.yaml:1", "names SECRET_KEY, which data or stringData sets as well"]).await;
    assert_eq!(values(&namespace, "django").await.as_ref(), Some(&made));

    // It is asked for no more: the values stay.
    let commit = push(&in_git("django", "a: b", ""), "No more");
    environment.is_ready_at(&commit).await;
    assert_eq!(values(&namespace, "django").await.as_ref(), Some(&made));

    // It leaves git: a person's word takes it, and nothing else.
    let commit = push("", "Without it");
    let status = environment.has_applied(&commit).await;
    let said = format!("{:?}", status.conditions);
    assert!(said.contains("the values that drover made for it are nowhere else"), "{said}");
    assert_eq!(values(&namespace, "django").await.as_ref(), Some(&made));
    environment.patch(json!({"metadata": {"annotations": {ANNOTATION_CONFIRM_PRUNE: commit}}})).await;
    eventually("the Secret goes by a person's word", Duration::from_secs(30), async || {
        if values(&namespace, "django").await.is_none() { Ok(()) } else { Err("it is there".to_owned()) }
    })
    .await;

    // Nor does it go with the Environment.
    environment.delete().await;
    steadily("the Secret outlives the Environment", Duration::from_secs(5), async || {
        if values(&namespace, "half").await.as_ref() == Some(&completed) {
            Ok(())
        } else {
            Err("it changed".to_owned())
        }
    })
    .await;

    let events = namespace.kubectl(&["get", "events.events.k8s.io", "--output=json"]);
    let log = Controller::shared().await.log();
    for value in [&made["SECRET_KEY"], &completed["TWO"]] {
        assert!(!events.contains(value) && !log.contains(value), "a value was told");
    }
    assert!(log.contains("made values for keys that were missing"), "the log says nothing of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_deletes_is_made_anew_and_no_other_environment_has_it() {
    let namespace = Namespace::new("generate-anew").await;
    let repo = namespace.repository("secrets");
    let secret = in_git("django", "drover.dev/generate: ONE TWO", "data: {GIVEN: Z2l0}");
    let commit = repo.push(&[("django.yaml", &secret), ("maps.yaml", &config_maps(&["a"], "one"))], "A Secret");
    let prod = namespace.follow(&repo).await;
    prod.is_ready_at(&commit).await;
    let made = values(&namespace, "django").await.expect("it is there");

    let other = namespace.repository("other");
    other.push(&[("django.yaml", &in_git("django", "drover.dev/generate: ONE THREE", ""))], "The same Secret");
    let test = Environment::create(&namespace, "test", &other, |_| {}).await;
    test.complains_of(&["Secret", "django", "is applied by Environment"]).await;
    assert_eq!(values(&namespace, "django").await.as_ref(), Some(&made), "the other adds nothing to it");

    // One key: how a person has a new value.
    namespace.kubectl(&["patch", "secret", "django", "--type=json", r#"--patch=[{"op":"remove","path":"/data/TWO"}]"#]);
    prod.look_now();
    let second = eventually("the key is made anew", Duration::from_secs(30), async || {
        let values = values(&namespace, "django").await.unwrap_or_default();
        if values.contains_key("TWO") { Ok(values) } else { Err(format!("{:?}", values.keys())) }
    })
    .await;
    assert_eq!((&second["ONE"], &second["GIVEN"]), (&made["ONE"], &made["GIVEN"]));
    assert!(is_random(&second["TWO"]) && second["TWO"] != made["TWO"]);

    // All of it.
    namespace.kubectl(&["delete", "secret", "django"]);
    prod.look_now();
    eventually("the Secret is made anew", Duration::from_secs(30), async || {
        let values = values(&namespace, "django").await.unwrap_or_default();
        let is_new = |key: &str| values.get(key).is_some_and(|value| is_random(value) && *value != second[key]);
        if is_new("ONE") && is_new("TWO") && values.contains_key("GIVEN") {
            Ok(())
        } else {
            Err(format!("{:?}", values.keys()))
        }
    })
    .await;
}
